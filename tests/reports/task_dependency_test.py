"""Gains of tasks from each other against known numbers."""

import numpy as np

from abaw_jax.reports import task_dependency

TASKS = ('valence', 'au')


def scores(valence, au, pair):
  """Returns scores of one seed: of each alone, and of both together."""
  keys = task_dependency.SCORES['valence'], task_dependency.SCORES['au']
  return {
      ('valence',): {keys[0]: valence, keys[1]: 0.9},
      ('au',): {keys[0]: 0.9, keys[1]: au},
      TASKS: dict(zip(keys, pair, strict=True)),
  }


def test_gains_are_differences_within_a_seed():
  found = task_dependency.gains(
      [scores(0.1, 0.4, (0.2, 0.3)), scores(0.3, 0.6, (0.6, 0.5))], TASKS
  )
  mean, std = found.alone
  np.testing.assert_allclose(mean, [20, 50])
  np.testing.assert_allclose(std, np.std([10, 30], ddof=1))
  # Rows: with valence, with au, with all.
  np.testing.assert_allclose(
      found.mean, [[np.nan, -10], [20, np.nan], [20, -10]]
  )
  assert found.rows == ('+ valence', '+ au', 'all')
  np.testing.assert_allclose(found.std[1, 0], np.std([10, 30], ddof=1))
  np.testing.assert_allclose(found.std[0, 1], 0, atol=1e-12)


def test_the_table_has_all_gains():
  found = task_dependency.gains([scores(0.1, 0.4, (0.2, 0.3))], TASKS)
  assert found.table() == [
      '| trained with | valence | au |',
      '| --- | --- | --- |',
      '| alone | 10.0 | 40.0 |',
      '| + valence | none | -10.0 |',
      '| + au | +10.0 | none |',
      '| all | +10.0 | -10.0 |',
  ]
  assert found.as_json()['gain']['std'] == [[None, None]] * 3


def test_a_task_without_labels_has_no_gain():
  found = task_dependency.gains([scores(None, 0.4, (None, 0.3))], TASKS)
  assert np.isnan(found.mean[:, 0]).all()
  np.testing.assert_allclose(found.mean[0, 1], -10)
