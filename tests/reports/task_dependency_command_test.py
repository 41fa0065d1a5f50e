"""The command `dependency`: one of its runs, and what it reports of all."""

import json

import cv2
import pytest

from abaw_jax import dependency
from abaw_jax.reports import task_dependency as gains
from abaw_jax.training import loop
from abaw_jax.workflow import dependencies
from tests.training import runs as smoke_runs


def test_a_run_is_trained_as_planned_and_the_report_tells(
    feature_dir, tmp_path, capsys
):
  planned = dependencies.plan(tmp_path, (0,), tuple(gains.SCORES))
  stage = dependencies.stages(planned[:1], ['--config=x'])[0]
  given = dict(
      word.removeprefix('--config.').split('=', 1)
      for word in stage.command
      if word.startswith('--config.')
  )
  assert given.pop('keep_task_bests') == 'False'
  assert stage.command[-1] == f'--workdir={planned[0].workdir}'
  config = smoke_runs.smoke(
      'mtl',
      feature_dir,
      epochs=1.0,
      eval_epochs=float(given.pop('eval_epochs')),
      keep_task_bests=False,
      seed=int(given.pop('seed')),
      **{key.replace('.', '__'): value for key, value in given.items()},
  )
  assert config['model']['tasks'] == 'valence'
  loop.train(config, planned[0].workdir)
  assert stage.done.is_file()
  ended = dependencies.scores(planned[0])
  for run in planned[1:]:  # as if it had helped a little
    run.workdir.mkdir()
    (run.workdir / 'DONE').write_text(
        json.dumps({k: (v or 0.0) + 0.01 for k, v in ended.items()})
    )
  capsys.readouterr()
  dependency.report(tmp_path, planned)
  said = capsys.readouterr().out
  assert '| + arousal | +1.0 |' in said
  report = json.loads((tmp_path / 'report.json').read_text())
  assert report['seeds'] == [0]
  assert report['gain']['mean'][0][0] is None
  assert report['gain']['mean'][1][0] == pytest.approx(1.0)
  assert (tmp_path / 'table.md').read_text() in said
  image = cv2.imread(str(tmp_path / 'heat_map.png'))
  assert image.shape == (60 + 5 * 56, 130 + 4 * 112, 3)
