"""Biases against brute force and closed forms."""

import itertools

import numpy as np
import pytest
from sklearn import metrics as sk_metrics

from abaw_jax.postprocessing import calibration
from abaw_jax.scoring import metrics


def _rows(n, seed=0, prior=None, k=8):
  """Returns posteriors that are correct if classes are equally frequent."""
  rng = np.random.default_rng(seed)
  target = rng.choice(k, n, p=prior)
  scores = rng.normal(size=[n, k]) + np.eye(k)[target]
  powers = np.exp(scores)  # the log likelihood ratio of N(1, 1) and N(0, 1)
  return powers / powers.sum(axis=-1, keepdims=True), target


def _f1(prob, target, k=8):
  return sk_metrics.f1_score(
      target, prob.argmax(-1), labels=range(k), average='macro', zero_division=0
  )


@pytest.mark.parametrize('seed', range(5))
def test_the_bias_of_two_classes_is_the_optimum(seed):
  # Only the difference of the two biases matters, so all of them can be tried.
  prob, target = _rows(30, seed, k=2)
  bias = calibration.f1_bias(prob, target)
  ahead = np.sort(np.log(prob[:, 1] / prob[:, 0]))
  edges = [ahead[0] - 1, *(ahead[1:] + ahead[:-1]) / 2, ahead[-1] + 1]
  every = [
      sk_metrics.f1_score(
          target, prob[:, 1] > prob[:, 0] * np.exp(e), average='macro'
      )
      for e in edges
  ]
  found = _f1(calibration.apply(prob, bias), target, 2)
  np.testing.assert_allclose(found, max(every), rtol=1e-12)


@pytest.mark.parametrize('seed', range(3))
def test_no_single_move_improves_the_bias(seed):
  prob, target = _rows(120, seed, prior=np.arange(1, 9) / 36)
  bias = calibration.f1_bias(prob, target)
  best = _f1(calibration.apply(prob, bias), target)
  assert best >= _f1(prob, target)
  np.testing.assert_allclose(bias.sum(), 0, atol=1e-9)
  for k, move in itertools.product(range(8), np.linspace(-4, 4, 81)):
    other = bias + move * np.eye(8)[k]
    pred = calibration.apply(prob, other).argmax(-1)
    assert metrics.macro_f1(pred, target) <= best + 1e-9


def test_prior_bias_matches_the_frequencies():
  prob, target = _rows(4000, prior=np.arange(1, 9) / 36)
  moved = calibration.apply(prob, calibration.prior_bias(prob, target))
  counts = np.bincount(target, minlength=8) + 1
  np.testing.assert_allclose(
      moved.mean(axis=0), counts / counts.sum(), rtol=1e-5
  )


def test_tau_is_the_best_strength_of_the_logit_adjustment():
  prob, target = _rows(400, prior=np.arange(1, 9) / 36)
  bias = calibration.tau_bias(prob, target)
  shares = (np.bincount(target, minlength=8) + 1) / (len(target) + 8)
  adjusted = {t: prob * shares[None] ** -t for t in calibration.TAUS}
  best = max(_f1(one, target) for one in adjusted.values())
  np.testing.assert_allclose(
      _f1(calibration.apply(prob, bias), target), best, rtol=1e-12
  )
  found = calibration.tau(bias, target)
  chosen = adjusted[min(adjusted, key=lambda t: abs(t - found))]
  np.testing.assert_allclose(
      calibration.apply(prob, bias),
      chosen / chosen.sum(-1, keepdims=True),
      rtol=1e-9,
  )
  assert calibration.TAUS[0] == 0
  # Nothing to gain: no adjustment.
  sure = np.eye(8)[target]
  np.testing.assert_array_equal(calibration.tau_bias(sure, target), 0)


def test_no_bias_changes_nothing_and_a_huge_one_is_finite():
  prob, _ = _rows(20)
  found = calibration.apply(prob, np.zeros(8))
  np.testing.assert_allclose(found, prob, rtol=1e-12)
  huge = np.array([900.0, *[0.0] * 7])
  found = calibration.apply(prob, huge)
  np.testing.assert_allclose(found, np.tile(np.eye(8)[0], [20, 1]), atol=1e-12)
  # A class of probability 0 stays at 0.
  sure = np.eye(8)[[3]]
  np.testing.assert_array_equal(calibration.apply(sure, huge), sure)
