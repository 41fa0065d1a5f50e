"""The ranking of a sweep."""

import pytest

from abaw_jax.reports import sweeps


def scores(*values, **others):
  parts = dict.fromkeys(('VA', 'EXPR'), 0.5) | {'AU': None}
  return [{'P_MTL': x, 'score': x} | parts | others for x in values]


def test_the_best_mean_is_first_and_a_warning_follows():
  found = sweeps.rank(
      {'a': scores(0.1, 0.9), 'b': scores(0.6, 0.8), 'c': scores(None, None)},
      'score',
  )
  assert found.best == 'b'
  names = [one['setting'] for one in found.content['settings']]
  assert names == ['b', 'a', 'c']
  spread = found.content['settings'][0]['scores']['P_MTL']
  assert spread['mean'] == pytest.approx(0.7)
  assert spread['std'] == pytest.approx(0.02**0.5)
  assert '0.7000 +- 0.1414' in found.lines[1]
  assert 'no labels' in found.lines[1]
  assert 'over 2 runs' in found.lines[-2]
  assert 'the best of 3 settings' in found.lines[-1]


def test_a_loss_is_best_when_lowest():
  found = sweeps.rank(
      {'a': [{'loss': 2.0, 'step': 9}], 'b': [{'loss': 1.0, 'step': 9}]},
      'loss',
      lowest=True,
  )
  assert found.best == 'b'
  assert found.lines[0].split() == ['setting', 'loss']
  assert found.lines[-2].startswith('one run of each setting')
  assert found.content['settings'][0]['scores'].keys() == {'loss'}
