"""Distributions of votes against hand-computed cases."""

import numpy as np
import pytest

from abaw_jax.core import labels
from abaw_jax.data import votes

# Votes for Neutral, Happiness, Surprise, Sadness, Anger, Disgust, Fear,
# Contempt, Unknown, NF; then the shares of our classes; empty if unusable.
CASES = {
    'all agree': ([0, 10, 0, 0, 0, 0, 0, 0, 0, 0], {'Happiness': 1}),
    'single votes are ignored': (
        [8, 1, 0, 1, 0, 0, 0, 0, 0, 0],
        {'Neutral': 1},
    ),
    'contempt becomes other': (
        [2, 0, 0, 0, 0, 0, 0, 8, 0, 0],
        {'Other': 1},  # 8 of 10 are enough
    ),
    'three quarters are enough': (
        [0, 0, 6, 2, 2, 0, 0, 0, 0, 0],
        {'Surprise': 0.6, 'Sadness': 0.2, 'Anger': 0.2},  # 6 of 10 are not
    ),
    'two classes': (
        [5, 0, 0, 3, 0, 0, 2, 0, 0, 0],
        {'Neutral': 5 / 8, 'Sadness': 3 / 8},
    ),
    'unknown after an expression gets no share': (
        [6, 0, 0, 0, 0, 0, 0, 0, 3, 0],
        {'Neutral': 1},
    ),
    'unknown ends the list': (
        [0, 0, 0, 5, 2, 0, 0, 0, 2, 0],
        {'Sadness': 5 / 7, 'Anger': 2 / 7},  # anger is before unknown
    ),
    'unknown first': ([4, 0, 0, 0, 0, 0, 0, 0, 6, 0], {}),
    'no face': ([0, 0, 0, 0, 0, 0, 0, 0, 0, 10], {}),
    'half of the votes are not enough': ([5, 0, 0, 0, 0, 0, 0, 0, 5, 0], {}),
    'four classes are too many': ([3, 3, 2, 2, 0, 0, 0, 0, 0, 0], {}),
    'nobody agrees': ([1, 1, 1, 1, 1, 1, 1, 1, 1, 1], {}),
}


@pytest.mark.parametrize('name', CASES)
def test_distribution(name):
  given, want = CASES[name]
  probs = votes.distribution(np.array(given, np.int32))
  expected = [want.get(name, 0.0) for name in labels.EXPRESSIONS]
  np.testing.assert_allclose(probs, expected, rtol=1e-12)


def test_the_result_sums_to_one_or_is_zero():
  rng = np.random.default_rng(0)
  usable = 0
  for _ in range(300):
    given = rng.multinomial(10, rng.dirichlet(np.full(10, 0.4)))
    probs = votes.distribution(given)
    usable += probs.any()
    assert not probs.any() or abs(probs.sum() - 1) < 1e-12
    # A class needs two votes to get a share.
    taken = {labels.EXPRESSIONS[i] for i in np.flatnonzero(probs)}
    names = labels.NATIVE_EXPRESSIONS['fer_plus']
    voted = {names[i] for i in np.flatnonzero(given > 1)}
    assert taken <= {'Other' if n == 'Contempt' else n for n in voted}
  assert 100 < usable < 300
