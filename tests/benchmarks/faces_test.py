"""The benchmark of faces prints its tables."""

from absl.testing import flagsaver

from benchmarks.video import faces


def test_both_tables(capsys):
  with flagsaver.flagsaver(frames=2):
    faces.main([])
  lines = capsys.readouterr().out.splitlines()
  stages = [line[:26].strip() for line in lines[1:8]]
  assert stages[0] == 'decode'
  assert stages[-1] == 'align'
  settings = [line.split() for line in lines[10:]]
  assert len(settings) == 12
  assert all(row[3] == '100%' for row in settings)
