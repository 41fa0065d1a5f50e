"""The runs of the study of which tasks help which."""

import pytest

from abaw_jax.core import errors
from abaw_jax.workflow import dependencies

TASKS = ('valence', 'arousal', 'expression', 'au')


def test_each_alone_all_pairs_and_all_together(tmp_path):
  planned = dependencies.plan(tmp_path, (0, 3), TASKS)
  assert len(planned) == 2 * (4 + 6 + 1)
  assert len({run.workdir for run in planned}) == len(planned)
  of_one = [run.tasks for run in planned if run.seed == 3]
  assert [len(tasks) for tasks in of_one] == [1] * 4 + [2] * 6 + [4]
  assert len(set(of_one)) == 11
  assert planned[4].workdir == tmp_path / 'valence+arousal_seed0'


@pytest.mark.parametrize('seeds', [(), (1, 1)])
def test_seeds_that_make_no_study(tmp_path, seeds):
  with pytest.raises(errors.InputError, match='give each seed once'):
    dependencies.plan(tmp_path, seeds, TASKS)


@pytest.mark.parametrize(
    'argument', ['--config.model.tasks=au', '--config.seed=1']
)
def test_what_differs_from_run_to_run_cannot_be_given(argument):
  with pytest.raises(errors.InputError, match='each run has its own'):
    dependencies.check_arguments(['--config=configs/mtl.py', argument])
