"""Early stopping: its rule, and a run that ends early, also after a kill."""

import json
import math
import shutil

import pytest

from abaw_jax.core import errors
from abaw_jax.training import ending, loop
from tests.training import runs

# The rate is 0, so no score is better than the first.
OPTIONS = {
    'epochs': 6.0, 'eval_epochs': 1.0, 'optim__lr': 0.0, 'log_steps': 1,
    'keep_task_bests': False,
}  # fmt: skip


def test_only_a_better_score_starts_the_count_again():
  scores = [0.1, 0.3, 0.3, 0.2, 0.3]
  steps = [(10 * i, score) for i, score in enumerate(scores)]
  assert ending.best(steps, 'max') == (10, 0.3, 3)
  assert ending.best(steps[:4], 'min') == (0, 0.1, 3)
  step, score, waited = ending.best([], 'max')
  assert (step, waited) == (0, 0)
  assert math.isnan(score)


def test_a_run_ends_early_and_at_the_same_step_after_a_kill(
    feature_dir, tmp_path, capsys
):
  config = runs.smoke('heads', feature_dir, **OPTIONS, early_stop_evals=2)
  run, killed = tmp_path / 'run', tmp_path / 'killed'
  loop.train(config, run)
  out = capsys.readouterr().out
  evaluations = runs.metrics(run, 'validation')
  steps = list(evaluations)
  assert len(steps) == 3
  reason = 'stopping early: no better score in 2 evaluations; best '
  assert reason + f'{evaluations[steps[0]]["score"]:.4f} at step' in out
  done = json.loads((run / 'DONE').read_text())
  assert done['step'] == steps[-1]
  assert (run / 'checkpoints' / str(steps[-1])).is_dir()
  assert max(runs.metrics(run)) == steps[-1]
  # A run that was killed before it wrote DONE, and one that was killed before it
  # saved its last checkpoint.
  for lost, trained in ((None, 0), (steps[-1], steps[-1] - steps[-2])):
    shutil.copytree(run, killed)
    (killed / 'DONE').unlink()
    if lost:
      shutil.rmtree(killed / 'checkpoints' / str(lost))
    loop.train(config, killed)
    out = capsys.readouterr().out
    assert out.count(reason) == 1
    assert json.loads((killed / 'DONE').read_text()) == done
    assert runs.metrics(killed, 'validation') == evaluations
    for mine, theirs in zip(
        runs.metrics(killed).values(), runs.metrics(run).values(), strict=True
    ):
      assert all(mine[k] == theirs[k] for k in mine if k not in runs.TIMED)
    assert out.count(' loss ') == trained
    shutil.rmtree(killed)


def test_early_stopping_needs_evaluations(feature_dir, tmp_path):
  config = runs.smoke('mtl', feature_dir, early_stop_evals=1, eval_epochs=0.0)
  with pytest.raises(errors.InputError, match=r'eval_epochs=0 evaluates only'):
    loop.train(config, tmp_path / 'run')
  assert not (tmp_path / 'run').exists()
