"""Shares against exact fractions; epochs against sorted ranges."""

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


def draw(endless, start, stop):
  """Returns the indices at positions `start` to `stop`."""
  return [endless[position] for position in range(start, stop)]


def parts_of(indices):
  """Returns the part of each index."""
  return np.searchsorted(np.cumsum(SIZES), indices, side='right')


def test_without_weights_every_epoch_is_a_permutation():
  drawn = draw(order.Order(SIZES, None, seed=4), 0, 150)
  epochs = np.reshape(drawn, (3, 50))
  np.testing.assert_array_equal(np.sort(epochs), np.tile(np.arange(50), (3, 1)))
  assert len({tuple(epoch) for epoch in epochs.tolist()}) == 3
  # Without weights, the parts do not matter.
  assert drawn == draw(order.Order((50,), None, seed=4), 0, 150)


@pytest.mark.parametrize('weights', [None, *MIXES])
def test_positions_can_be_read_in_any_order(weights):
  endless = order.Order(SIZES, weights, seed=1)
  expected = draw(endless, 0, 400)
  for start, stop in ((0, 1), (49, 51), (120, 121), (7, 393), (250, 250)):
    assert draw(endless, start, stop) == expected[start:stop]


@pytest.mark.parametrize('weights', MIXES)
def test_shares_are_exact_after_every_epoch(weights):
  counts = np.zeros(3, int)
  endless = order.Order(SIZES, weights, seed=0)
  for epoch in range(40):
    drawn = draw(endless, 50 * epoch, 50 * (epoch + 1))
    counts += np.bincount(parts_of(drawn), minlength=3)
    for count, weight in zip(counts.tolist(), weights, strict=True):
      assert abs(count - 50 * (epoch + 1) * weight / sum(weights)) < 3


@pytest.mark.parametrize('weights', MIXES)
def test_each_part_has_its_own_epochs(weights):
  drawn = np.array(draw(order.Order(SIZES, weights, seed=2), 0, 3000))
  first = 0
  for part, size in enumerate(SIZES):
    own = drawn[parts_of(drawn) == part] - first
    epochs = [own[i : i + size] for i in range(0, len(own) - size + 1, size)]
    for epoch in epochs:
      np.testing.assert_array_equal(np.sort(epoch), np.arange(size))
    # A permutation of few examples may occur again, but not in the next epoch.
    for epoch, after in itertools.pairwise(epochs):
      assert (epoch != after).any()
    first += size


def test_parts_are_mixed_within_an_epoch():
  sizes, weights = (1000, 1000), (Fraction(3), Fraction(1))
  drawn = np.array(draw(order.Order(sizes, weights, seed=0), 0, 2000))
  share = (drawn.reshape(20, 100) < 1000).mean(axis=1)
  # 100 draws of 3/4 without replacement: a deviation of 4 percent.
  assert (np.abs(share - 0.75) < 0.2).all()


def test_indices_and_parts_depend_on_the_seed():
  orders = [draw(order.Order(SIZES, MIXES[0], seed), 0, 150) for seed in (0, 1)]
  assert orders[0] != orders[1]
  assert (parts_of(orders[0]) != parts_of(orders[1])).any()


def test_parts_of_equal_size_have_different_orders():
  weights = (Fraction(1), Fraction(1))
  drawn = np.array(draw(order.Order((40, 40), weights, 0), 0, 80))
  assert (drawn[drawn < 40] != drawn[drawn >= 40] - 40).any()


def test_a_small_part_with_a_large_weight_repeats():
  weights = (Fraction(1), Fraction(9))
  drawn = draw(order.Order((90, 1), weights, seed=0), 0, 910)
  counts = collections.Counter(drawn)
  assert counts.pop(90) == 819
  assert sorted(counts.values()) == [1] * 89 + [2]
