"""Pseudo-labels are confident, agreed and new, row by row."""

import numpy as np
import pytest

from abaw_jax.core import errors
from abaw_jax.postprocessing import pseudo_labels
from abaw_jax.scoring import predictions

COUNT = 200
LIMITS = pseudo_labels.Limits(expression=0.4, au=0.6, va_std=0.2)


def members():
  rng = np.random.default_rng(0)
  shared = {
      'video': np.repeat(['a', 'b'], COUNT // 2),
      'frame_id': np.arange(COUNT),
      'row': np.arange(COUNT),
      'target_valence': np.full(COUNT, 0.5),
      'target_arousal': np.full(COUNT, 0.5),
      'target_expression': np.full(COUNT, 2),
      'target_au': np.zeros((COUNT, 12), np.int8),
      'va': rng.random(COUNT) < 0.5,
      'expr': rng.random(COUNT) < 0.5,
      'au_mask': rng.random((COUNT, 12)) < 0.5,
  }
  # The second member is a temporal model: it has more labels of repeated frames.
  more = shared | {'va': shared['va'] | (rng.random(COUNT) < 0.1)}
  return [
      predictions.Predictions(
          **known,
          valence=rng.normal(0, 0.2, COUNT),
          arousal=rng.normal(0, 0.2, COUNT),
          expression=rng.dirichlet(np.full(8, 0.2), COUNT),
          au=rng.random((COUNT, 12)),
      )
      for known in (shared, more)
  ]


def test_equals_its_definition_row_by_row():
  first, second = both = members()
  found = pseudo_labels.select(both, ['a', 'b'], LIMITS)
  for i in range(COUNT):
    mean = (first.expression[i] + second.expression[i]) / 2
    same = first.expression[i].argmax() == second.expression[i].argmax()
    assert found.expr[i] == (same and mean.max() >= 0.4 and not first.expr[i])
    if found.expr[i]:
      assert found.target_expression[i] == mean.argmax()
    spread = max(
        np.std([getattr(m, name)[i] for m in both], ddof=1)
        for name in ('valence', 'arousal')
    )
    assert found.va[i] == (spread <= 0.2 and not second.va[i])
    for j in range(12):
      one, two = first.au[i, j], second.au[i, j]
      sure = min(one, two) >= 0.5 or max(one, two) < 0.5
      sure = sure and abs((one + two) / 2 - 0.5) >= 0.1
      assert found.au_mask[i, j] == (sure and not first.au_mask[i, j])
      if found.au_mask[i, j]:
        assert found.target_au[i, j] == (one >= 0.5)
  for mask in (found.va, found.expr, found.au_mask):
    assert 0 < mask.sum() < mask.size / 2
  lines = pseudo_labels.summary(found)
  assert lines[0] == f'valence and arousal: {found.va.sum()} of 200 rows'


def test_one_member_agrees_with_nobody():
  with pytest.raises(errors.InputError, match=r'a\.npz: one member'):
    pseudo_labels.select(members()[:1], ['a.npz'], LIMITS)
