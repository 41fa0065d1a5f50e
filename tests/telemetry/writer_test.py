"""The files of the writer, also after a kill or a full disk."""

import json
import math

import numpy as np
from PIL import Image
import pytest
from tensorboardX.proto import event_pb2

from abaw_jax.core import errors
from abaw_jax.telemetry import writer
from tests.core import disks


def _lines(workdir):
  text = (workdir / 'metrics.jsonl').read_text()
  assert text.endswith('\n')

  def reject(name):
    raise AssertionError(f'{name} is not JSON')

  return [json.loads(x, parse_constant=reject) for x in text.splitlines()]


def _events(workdir):
  """Returns the events of all files, read from TensorFlow's record format."""
  events = []
  for path in sorted((workdir / 'tb').iterdir()):
    data = path.read_bytes()
    while data:
      size = int.from_bytes(data[:8], 'little')
      assert len(data) >= 16 + size, 'incomplete record'
      events.append(event_pb2.Event.FromString(data[12 : 12 + size]))
      data = data[16 + size :]
  return events


def test_each_call_writes_a_line_and_events(tmp_path):
  with writer.Writer(tmp_path / 'run', resume_step=None) as w:
    w.write_scalars(1, {'loss': np.float32(0.5), 'count': 3})
    w.write_scalars(2, {'P_MTL': np.array(1.25)}, split='validation')
  assert _lines(tmp_path / 'run') == [
      {'step': 1, 'split': 'train', 'loss': 0.5, 'count': 3},
      {'step': 2, 'split': 'validation', 'P_MTL': 1.25},
  ]
  scalars = {
      (event.step, value.tag): value.simple_value
      for event in _events(tmp_path / 'run')
      for value in event.summary.value
  }
  assert scalars == {
      (1, 'train/loss'): 0.5,
      (1, 'train/count'): 3.0,
      (2, 'validation/P_MTL'): 1.25,
  }


def test_a_line_is_on_disk_when_the_call_returns(tmp_path):
  with writer.Writer(tmp_path, resume_step=None) as w:
    w.write_scalars(7, {'loss': 1.0})
    assert _lines(tmp_path)[-1]['step'] == 7


def test_nan_and_infinity_become_null(tmp_path):
  with writer.Writer(tmp_path, resume_step=None) as w:
    w.write_scalars(1, {'a': math.nan, 'b': np.float32(-np.inf), 'c': 0.0})
  (line,) = _lines(tmp_path)
  assert line == {'step': 1, 'split': 'train', 'a': None, 'b': None, 'c': 0.0}


@pytest.mark.parametrize(
    ('resume_step', 'kept'), [(None, [0, 5, 5, 10]), (5, [0, 5, 5]), (-1, [])]
)
@pytest.mark.parametrize('incomplete', ['', '{"step": 15, "split": "tr'])
def test_a_resumed_run_has_each_step_once(
    tmp_path, resume_step, kept, incomplete
):
  with writer.Writer(tmp_path, resume_step=None) as w:
    for step, split in ((0, 'train'), (5, 'train'), (5, 'val'), (10, 'train')):
      w.write_scalars(step, {'loss': 1.0}, split=split)
  with (tmp_path / 'metrics.jsonl').open('a') as f:
    f.write(incomplete)
  with writer.Writer(tmp_path, resume_step=resume_step) as w:
    w.write_scalars(20, {'loss': 2.0})
  assert [line['step'] for line in _lines(tmp_path)] == [*kept, 20]
  assert not list(tmp_path.glob('*.tmp'))


def test_a_resumed_run_drops_the_goodput_of_its_first_step(tmp_path):
  with writer.Writer(tmp_path, resume_step=None) as w:
    for step in (0, 5, 10):
      w.write_scalars(step, {'loss': 1.0})
      w.write_scalars(step, {'lost_s': 0.0}, split='goodput')
  writer.Writer(tmp_path, resume_step=5).close()
  kept = [(line['step'], line['split']) for line in _lines(tmp_path)]
  assert kept == [(0, 'train'), (0, 'goodput'), (5, 'train')]


def test_a_picture_is_in_plots_and_in_the_event_file(tmp_path):
  image = np.zeros((4, 6, 3), np.uint8)
  image[..., 0] = 200
  with writer.Writer(tmp_path, resume_step=None) as w:
    path = w.write_image(7, 'faces', image)
  assert path == tmp_path / 'plots' / 'faces_7.png'
  (event,) = [x for x in _events(tmp_path) if x.summary.value]
  (value,) = event.summary.value
  assert (event.step, value.tag) == (7, 'plots/faces')
  assert (value.image.height, value.image.width) == (4, 6)
  assert value.image.encoded_image_string == path.read_bytes()
  with Image.open(path) as decoded:
    np.testing.assert_array_equal(np.asarray(decoded), image)


def test_tensorboard_hides_the_repeated_steps(tmp_path):
  with writer.Writer(tmp_path, resume_step=5) as w:
    w.write_scalars(6, {'loss': 1.0})
  starts = [
      event.step
      for event in _events(tmp_path)
      if event.session_log.status == event_pb2.SessionLog.START
  ]
  assert starts == [6]


def test_a_broken_line_in_the_middle_is_named(tmp_path):
  path = tmp_path / 'metrics.jsonl'
  path.write_text('{"step": 1, "split": "train"}\nnonsense\n')
  with pytest.raises(errors.InputError, match=r'metrics\.jsonl:2: expected'):
    writer.Writer(tmp_path, resume_step=1)
  assert 'nonsense' in path.read_text()


def test_a_full_disk_is_one_line_and_the_next_run_continues(tmp_path):
  w = writer.Writer(tmp_path, resume_step=None)
  w.write_scalars(1, {'loss': 1.0})
  size = (tmp_path / 'metrics.jsonl').stat().st_size
  with disks.full(size + 10):
    with pytest.raises(errors.InputError, match='cannot write') as error:
      w.write_scalars(2, {'loss': 1.0})
    assert str(error.value).startswith(f'{tmp_path}: cannot write the metrics')
    with pytest.raises(errors.InputError, match='File too large'):
      w.close()
  with writer.Writer(tmp_path, resume_step=1) as w:
    w.write_scalars(2, {'loss': 2.0})
  assert [(x['step'], x['loss']) for x in _lines(tmp_path)] == [
      (1, 1.0),
      (2, 2.0),
  ]
