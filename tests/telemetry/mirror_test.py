"""Metrics of a run in a bucket: complete lines, each step once."""

import pathlib

import numpy as np
import pytest

from abaw_jax.buckets import paths
from abaw_jax.core import errors, files
from abaw_jax.telemetry import events, mirror, writer

pytestmark = pytest.mark.filterwarnings(
    'ignore::pytest.PytestUnraisableExceptionWarning'
)


def steps(workdir) -> list[int]:
  return [line['step'] for line in writer.read_lines(workdir / 'metrics.jsonl')]


def test_lines_are_in_the_bucket_after_an_upload(bucket):
  workdir = files.path(f'{bucket}/run')
  log = writer.Writer(workdir, resume_step=None)
  for step in (1, 2, 3):
    log.write_scalars(step, {'loss': 0.5})
  assert steps(workdir) == []
  log.upload()
  assert steps(workdir) == [1, 2, 3]
  path = log.write_image(3, 'mae', np.zeros((4, 4, 3), np.uint8))
  assert path == workdir / 'plots' / 'mae_3.png'
  log.write_scalars(4, {'loss': 0.5})
  log.close()
  assert path.read_bytes().startswith(b'\x89PNG')
  assert steps(workdir) == [1, 2, 3, 4]

  # A run that resumes from step 2 repeats steps 3 and 4.
  with writer.Writer(workdir, resume_step=2) as log:
    log.write_scalars(3, {'loss': 0.25})
  assert steps(workdir) == [1, 2, 3]


def test_the_bucket_gets_lines_without_an_upload(gs_bucket, monkeypatch):
  monkeypatch.setattr(mirror, 'EVERY_S', 0.1)
  workdir = files.path(f'{gs_bucket}/timed')
  with writer.Writer(workdir, resume_step=None) as log:
    log.write_scalars(1, {'loss': 0.5})
    for _ in range(100):
      if steps(workdir):
        break
      log._mirror._stop.wait(0.1)
    assert steps(workdir) == [1]


def test_a_lost_bucket_is_one_line(gs_bucket, monkeypatch):
  workdir = files.path(f'{gs_bucket}/lost')
  log = writer.Writer(workdir, resume_step=None)
  log.write_scalars(1, {'loss': 0.5})

  def fail(*_):
    raise OSError('Cannot connect to host')

  with monkeypatch.context() as patch:
    patch.setattr(paths.file_system(workdir), 'pipe_file', fail)
    with pytest.raises(errors.InputError) as caught:
      log.upload()
  message = str(caught.value)
  assert message.startswith(
      f'{workdir}: cannot write metrics.jsonl: the bucket'
  )
  assert message.count('does not answer') == 1
  log.close()
  assert steps(workdir) == [1]


def test_event_files_stay_small(tmp_path: pathlib.Path):
  file = events.EventFile(tmp_path, purge_step=None, max_bytes=1000)
  for step in range(100):
    file.add_scalar(step, 'loss', 1.0)
    file.flush()
  file.close()
  sizes = [path.stat().st_size for path in sorted(tmp_path.iterdir())]
  assert len(sizes) > 3
  assert max(sizes) < 1200
