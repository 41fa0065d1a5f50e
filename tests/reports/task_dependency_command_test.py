"""The report of the command `dependency`, for finished runs."""

import json

import pytest

from abaw_jax import dependency
from abaw_jax.reports import task_dependency as gains
from abaw_jax.training import loop
from abaw_jax.workflow import studies
from tests.training import runs as smoke_runs


def test_the_report_has_the_gains_of_trained_runs(
    feature_dir, tmp_path, capsys
):
  planned = studies.task_dependency(tmp_path, (0,), tuple(gains.SCORES))
  first, *others = planned.values()
  config = first.config(smoke_runs.smoke('mtl', feature_dir, epochs=1.0))
  assert config['model']['tasks'] == 'valence'
  loop.train(config, first.workdir)
  ended = json.loads((first.workdir / 'DONE').read_text())
  for run in others:  # each score is 0.01 higher than alone
    run.workdir.mkdir()
    (run.workdir / 'DONE').write_text(
        json.dumps({k: (v or 0.0) + 0.01 for k, v in ended.items()})
    )
  capsys.readouterr()
  dependency.report(tmp_path, planned)
  output = capsys.readouterr().out
  assert '| + arousal | +1.0 |' in output
  report = json.loads((tmp_path / 'report.json').read_text())
  assert report['seeds'] == [0]
  assert report['gain']['mean'][0][0] is None
  assert report['gain']['mean'][1][0] == pytest.approx(1.0)
  assert (tmp_path / 'table.md').read_text() in output
