"""Scores of pairs against scikit-learn and brute force."""

import itertools

import numpy as np
import pytest
from sklearn import metrics

from abaw_jax.scoring import verification


def people(counts=(4, 1, 3, 2), dim=6, noise=0.8):
  rng = np.random.default_rng(0)
  identity = np.repeat(np.arange(len(counts)) * 7, counts)
  centers = rng.normal(size=(len(counts), dim))
  directions = np.repeat(centers, counts, axis=0)
  directions += noise * rng.normal(size=directions.shape)
  directions /= np.linalg.norm(directions, axis=1, keepdims=True)
  order = rng.permutation(len(identity))
  return directions[order].astype(np.float32), identity[order]


def as_set(pairs):
  return {tuple(sorted(pair)) for pair in pairs.tolist()}


def brute_force(identity, same):
  return {
      (i, j)
      for i, j in itertools.combinations(range(len(identity)), 2)
      if (identity[i] == identity[j]) == same
  }


def test_few_images_give_all_pairs():
  _, identity = people()
  for pairs, same in (
      (verification.same_pairs(identity, 100), True),
      (verification.different_pairs(identity, 100), False),
  ):
    assert as_set(pairs) == brute_force(identity, same)
    assert len(as_set(pairs)) == len(pairs)


def test_many_images_give_random_pairs():
  identity = np.random.default_rng(1).integers(0, 40, 2000)
  same = verification.same_pairs(identity, 500)
  different = verification.different_pairs(identity, 500)
  for pairs in (same, different):
    assert len(as_set(pairs)) == len(pairs) == 500
    assert (pairs[:, 0] != pairs[:, 1]).all()
    # The mean of random rows has a standard error of about 2 %.
    assert abs(pairs.mean() / 1000 - 1) < 0.1
  assert (identity[same[:, 0]] == identity[same[:, 1]]).all()
  assert (identity[different[:, 0]] != identity[different[:, 1]]).all()
  np.testing.assert_array_equal(same, verification.same_pairs(identity, 500))


def test_every_number_is_another_pair():
  want = [(i, j) for j in range(60) for i in range(j)]
  np.testing.assert_array_equal(verification._pair(np.arange(len(want))), want)
  # Numbers that float64 cannot hold exactly.
  j = np.array([2**31, 2**31 - 1, 94_906_267])
  first = j * (j - 1) // 2
  np.testing.assert_array_equal(
      verification._pair(first), np.stack([np.zeros_like(j), j], -1)
  )
  np.testing.assert_array_equal(
      verification._pair(first - 1), np.stack([j - 2, j - 1], -1)
  )


def test_scores_equal_scikit_learn():
  rng = np.random.default_rng(2)
  # Rounding makes ties.
  close = np.round(rng.normal(0.4, 0.3, 700), 2)
  far = np.round(rng.normal(0.0, 0.3, 3000), 2)
  truth = np.repeat([1, 0], [len(close), len(far)])
  values = np.concatenate([close, far])
  assert verification.auc(close, far) == pytest.approx(
      metrics.roc_auc_score(truth, values)
  )
  rates, accepted, _ = metrics.roc_curve(truth, values, drop_intermediate=False)
  for rate in (0.5, 1e-1, 1e-2, 1e-3):
    want = accepted[rates <= rate].max()
    assert verification.tar(close, far, rate=rate) == pytest.approx(want)
  assert verification.tar(close, far, rate=1.0) == 1


def test_the_threshold_of_a_fold_comes_from_the_other_folds():
  rng = np.random.default_rng(3)
  close, far = rng.normal(0.5, 0.4, 33), rng.normal(0.0, 0.4, 47)
  scores = []
  for fold in range(10):
    rest = np.delete(close, np.s_[fold::10]), np.delete(far, np.s_[fold::10])
    _, threshold = max(
        ((rest[0] >= t).mean() + (rest[1] < t).mean(), -t)
        for t in np.concatenate(rest)
    )
    own, own_far = close[fold::10], far[fold::10]
    scores.append(
        ((own >= -threshold).mean() + (own_far < -threshold).mean()) / 2
    )
  assert verification.fold_accuracy(close, far) == pytest.approx(
      np.mean(scores)
  )


def test_clear_embeddings_are_verified_and_noise_is_not():
  scores = verification.verification(*people((5,) * 8, dim=64, noise=0.1))
  # The same pair with the lowest cosine is refused in its own fold.
  assert scores.pop('accuracy') == 1 - 1 / 80 / 2
  assert scores == {
      'AUC': 1.0,
      'TAR_1e-2': 1.0,
      'TAR_1e-3': 1.0,
      'n_same': 80,
      'n_different': 700,
  }
  directions, identity = people((5,) * 8, dim=64, noise=0.1)
  rng = np.random.default_rng(4)
  noise = verification.verification(directions, rng.permutation(identity))
  assert abs(noise['AUC'] - 0.5) < 0.1


def test_too_few_pairs_and_nan_are_refused():
  directions, identity = people()
  with pytest.raises(
      ValueError, match='there are 0 pairs of images of the same'
  ):
    verification.verification(directions, np.arange(10))
  with pytest.raises(ValueError, match=r'45 pairs .* and 0 of different'):
    verification.verification(directions, np.zeros(10, int))
  directions[3, 0] = np.nan
  with pytest.raises(ValueError, match='an embedding is NaN or infinite'):
    verification.verification(directions, identity)


def test_identification_is_accuracy():
  scores = verification.identification(
      np.array([1, 2, 3, 3]), np.array([1, 2, 3, 0])
  )
  assert scores == {'accuracy': 0.75, 'n_images': 4}
