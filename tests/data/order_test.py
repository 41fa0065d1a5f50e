"""Shares against exact arithmetic; epochs against sorted ranges."""

import collections
from fractions import Fraction
import itertools

import numpy as np
import pytest

from abaw_jax.data import order

SIZES = (30, 7, 13)
MIXES = [
    (Fraction(3), Fraction(1), Fraction(1)),
    (Fraction('0.1'), Fraction('0.25'), Fraction('17.5')),
    (Fraction(1, 3), Fraction(1, 7), Fraction('1e-3')),
]


def draw(walk, start, stop):
  """Returns the indices at positions `start` to `stop`."""
  return [walk[position] for position in range(start, stop)]


def parts_of(indices):
  """Returns for each index which part it lies in."""
  return np.searchsorted(np.cumsum(SIZES), indices, side='right')


def test_without_weights_every_epoch_is_a_permutation_of_all():
  drawn = draw(order.Order(SIZES, None, seed=4), 0, 150)
  epochs = np.reshape(drawn, (3, 50))
  np.testing.assert_array_equal(np.sort(epochs), np.tile(np.arange(50), (3, 1)))
  assert len({tuple(epoch) for epoch in epochs.tolist()}) == 3
  # How the examples are divided into parts does not matter then.
  assert drawn == draw(order.Order((50,), None, seed=4), 0, 150)


@pytest.mark.parametrize('weights', [None, *MIXES])
def test_any_stretch_is_a_slice_of_the_whole(weights):
  walk = order.Order(SIZES, weights, seed=1)
  whole = draw(walk, 0, 400)
  for start, stop in ((0, 1), (49, 51), (120, 121), (7, 393), (250, 250)):
    assert draw(walk, start, stop) == whole[start:stop]


@pytest.mark.parametrize('weights', MIXES)
def test_shares_are_exact_after_every_epoch(weights):
  counts = np.zeros(3, int)
  walk = order.Order(SIZES, weights, seed=0)
  for epoch in range(40):
    drawn = draw(walk, 50 * epoch, 50 * (epoch + 1))
    counts += np.bincount(parts_of(drawn), minlength=3)
    for count, weight in zip(counts.tolist(), weights, strict=True):
      assert abs(count - 50 * (epoch + 1) * weight / sum(weights)) < 3


@pytest.mark.parametrize('weights', MIXES)
def test_each_part_walks_through_its_own_epochs(weights):
  drawn = np.array(draw(order.Order(SIZES, weights, seed=2), 0, 3000))
  first = 0
  for part, size in enumerate(SIZES):
    own = drawn[parts_of(drawn) == part] - first
    laps = [own[i : i + size] for i in range(0, len(own) - size + 1, size)]
    for lap in laps:
      np.testing.assert_array_equal(np.sort(lap), np.arange(size))
    # Orders of few examples may come again, but not at once.
    for lap, after in itertools.pairwise(laps):
      assert (lap != after).any()
    first += size


def test_parts_are_mixed_within_an_epoch():
  sizes, weights = (1000, 1000), (Fraction(3), Fraction(1))
  drawn = np.array(draw(order.Order(sizes, weights, seed=0), 0, 2000))
  share = (drawn.reshape(20, 100) < 1000).mean(axis=1)
  # 100 draws of 3/4 without replacement: a deviation of 4 percent.
  assert (np.abs(share - 0.75) < 0.2).all()


def test_everything_depends_on_the_seed():
  walks = [draw(order.Order(SIZES, MIXES[0], seed), 0, 150) for seed in (0, 1)]
  assert walks[0] != walks[1]
  assert (parts_of(walks[0]) != parts_of(walks[1])).any()


def test_parts_of_equal_size_have_different_orders():
  weights = (Fraction(1), Fraction(1))
  drawn = np.array(draw(order.Order((40, 40), weights, 0), 0, 80))
  assert (drawn[drawn < 40] != drawn[drawn >= 40] - 40).any()


def test_a_part_far_smaller_than_its_share_repeats():
  weights = (Fraction(1), Fraction(9))
  drawn = draw(order.Order((90, 1), weights, seed=0), 0, 910)
  counts = collections.Counter(drawn)
  assert counts.pop(90) == 819
  assert sorted(counts.values()) == [1] * 89 + [2]
