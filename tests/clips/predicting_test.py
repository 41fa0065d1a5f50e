"""Many clips: files of each, resuming, damaged clips, and cameras."""

import json
import pathlib
import signal

import cv2
import numpy as np
from pyarrow import parquet
import pytest

from abaw_jax import video
from abaw_jax.clips import options as settings
from abaw_jax.clips import predicting, reading
from abaw_jax.core import errors
from tests.clips import fakes
from tests.training import runs

SUFFIXES = ('csv', 'parquet', 'schema.json', 'summary.json')


def make_clips(folder: pathlib.Path, **lengths: int) -> list[str]:
  """Writes folders of images, of which the colour tells the frame."""
  for name, length in lengths.items():
    (folder / name).mkdir(parents=True)
    for i in range(length):
      image = np.full([8, 8, 3], (0, 0, i), np.uint8)
      cv2.imwrite(str(folder / name / f'{i:03}.png'), image)
  return [str(folder / name) for name in lengths]


def predict(
    sources,
    out,
    *,
    predictor=None,
    with_overlay=False,
    overwrite=False,
    jobs=1,
    **options,
):
  """Returns (problems, printed lines) of images that are faces."""
  said = []
  prediction = predicting.Prediction(
      predictor or fakes.Predictor(delay=3),
      out,
      settings.Options(**{'detector': 'none', 'image_rate': 10.0} | options),
      jobs=jobs,
      batch_size=16,
      with_overlay=with_overlay,
      overwrite=overwrite,
      say=said.append,
  )
  return prediction.run(video.find_clips(sources)), said


def names(folder):
  return sorted(path.name for path in folder.iterdir())


def check_table(path, length):
  """Asserts that a table has the rows of `length` frames of face 0."""
  table = parquet.read_table(path)
  value = fakes.expected(np.arange(length), 0)
  np.testing.assert_array_equal(table['frame'], value.frame_index)
  np.testing.assert_allclose(table['valence'], value.valence, atol=1e-6)
  np.testing.assert_allclose(table['timestamp'], np.arange(length) / 10)
  assert set(table['success'].to_pylist()) == {1}


def test_a_damaged_clip_is_listed_and_the_others_are_predicted(tmp_path):
  sources = make_clips(tmp_path / 'in', a=40, b=25, c=1)
  broken = tmp_path / 'in' / 'broken.mp4'
  broken.write_text('no video')
  out = tmp_path / 'out'
  problems, said = predict([sources[0], broken, *sources[1:]], out, jobs=2)
  assert len(problems) == 1
  assert problems[0].startswith(f'{broken}: ')
  assert names(out) == sorted(
      [f'{x}.{suffix}' for x in 'abc' for suffix in SUFFIXES] + ['summary.csv']
  )
  for name, length in (('a', 40), ('b', 25), ('c', 1)):
    check_table(out / f'{name}.parquet', length)
  assert len(said) == 3
  assert (out / 'summary.csv').read_text().count('\n') == 4


def test_a_clip_that_fails_after_some_frames_leaves_no_table(
    tmp_path, monkeypatch
):
  sources = make_clips(tmp_path / 'in', a=20, b=40)
  read = reading.read_faces

  def fail(clip, *args):
    for i, frame in enumerate(read(clip, *args)):
      if clip.name == 'b' and i == 30:
        raise OSError(5, 'Input/output error')
      yield frame

  monkeypatch.setattr(reading, 'read_faces', fail)
  problems, _ = predict(sources, tmp_path / 'out')
  assert problems == [f'{sources[1]}: [Errno 5] Input/output error']
  assert names(tmp_path / 'out') == sorted(
      [f'a.{suffix}' for suffix in SUFFIXES] + ['summary.csv']
  )


KILLED = """
import os, pathlib, signal, sys
from tests.clips import fakes, predicting_test

class Killed(fakes.Predictor):
  def embed(self, faces):
    if self.embedded > 70:
      os.kill(os.getpid(), signal.SIGKILL)
    return super().embed(faces)

predicting_test.predict(
    sys.argv[2:], pathlib.Path(sys.argv[1]), predictor=Killed(delay=3)
)
"""


def test_a_killed_command_leaves_no_half_files_and_continues(tmp_path):
  sources = make_clips(tmp_path / 'in', a=50, b=50, c=20)
  out = tmp_path / 'out'
  process = runs.start_code(KILLED, str(out), *map(str, sources))
  status, _, error = runs.finish(process)
  assert status == -signal.SIGKILL, error
  whole = [name for name in names(out) if not name.endswith('.tmp')]
  assert whole == [f'a.{suffix}' for suffix in SUFFIXES]
  before = {name: (out / name).stat().st_mtime_ns for name in whole}
  predictor = fakes.Predictor(delay=3)
  problems, said = predict(sources, out, predictor=predictor)
  assert problems == []
  assert predictor.embedded == 70
  assert said[0] == 'a: finished before'
  assert {x: (out / x).stat().st_mtime_ns for x in whole} == before
  assert not [name for name in names(out) if name.endswith('.tmp')]
  for name, length in (('a', 50), ('b', 50), ('c', 20)):
    check_table(out / f'{name}.parquet', length)


def test_another_model_option_or_clip_is_not_taken_for_finished(tmp_path):
  sources = make_clips(tmp_path / 'in', a=5)
  out = tmp_path / 'out'
  assert predict(sources, out)[0] == []
  other = fakes.Predictor()
  other.info = fakes.INFO | {'version': 2}
  for expected, changes in {
      'model version: 1, now 2': {'predictor': other},
      'options interpolate: 0.0, now 1.0': {'interpolate': 1.0},
  }.items():
    problems, _ = predict(sources, out, **changes)
    assert len(problems) == 1
    assert expected in problems[0]
    assert '--overwrite' in problems[0]
  make_clips(tmp_path / 'other', a=7)
  moved = [str(tmp_path / 'other' / 'a')]
  assert 'another content of the clip' in predict(moved, out)[0][0]
  assert predict(moved, out, overwrite=True)[0] == []
  check_table(out / 'a.parquet', 7)


def test_files_of_others_are_not_replaced(tmp_path):
  sources = make_clips(tmp_path / 'in', a=5)
  other = tmp_path / 'out' / 'a.csv'
  other.parent.mkdir()
  other.write_text('mine')
  problems, _ = predict(sources, other.parent)
  assert len(problems) == 1
  assert 'of another program' in problems[0]
  assert other.read_text() == 'mine'
  assert (other.parent / 'summary.csv').read_text() == 'clip,face_id\n'
  assert predict(sources, other.parent, overwrite=True)[0] == []
  check_table(other.with_suffix('.parquet'), 5)


def test_a_summary_of_others_is_not_replaced(tmp_path):
  sources = make_clips(tmp_path / 'in', a=1)
  (tmp_path / 'summary.csv').write_text('name,age\n')
  with pytest.raises(errors.InputError, match='of another program'):
    predict(sources, tmp_path)


def test_a_kill_between_the_last_two_files_is_continued(tmp_path):
  sources = make_clips(tmp_path / 'in', a=5)
  out = tmp_path / 'out'
  predict(sources, out)
  schema = out / 'a.schema.json'
  schema.write_text(json.dumps(json.loads(schema.read_text()) | {'files': []}))
  (out / 'a.summary.json').unlink()
  problems, said = predict(sources, out)
  assert problems == []
  assert 'finished before' not in said[0]
  assert json.loads(schema.read_text())['files']


def test_interpolation_is_a_column(tmp_path):
  sources = make_clips(tmp_path / 'in', a=5)
  assert predict(sources, tmp_path / 'out', interpolate=1.0)[0] == []
  table = parquet.read_table(tmp_path / 'out' / 'a.parquet')
  assert table['interpolated'].to_pylist() == [0] * 5


def test_a_clip_without_a_face_has_rows_and_is_listed(tmp_path):
  sources = make_clips(tmp_path / 'in', a=5)
  boxes = tmp_path / 'boxes.csv'
  boxes.write_text('frame,x1,y1,x2,y2,score\n')
  problems = []
  for _ in range(2):  # predicted, then finished before
    problems += predict(sources, tmp_path / 'out', detector=f'csv:{boxes}')[0]
  assert len(problems) == 2
  assert 'no face in 5 frames' in problems[0]
  assert problems[0] == problems[1]
  table = parquet.read_table(tmp_path / 'out' / 'a.parquet')
  assert table['success'].to_pylist() == [0] * 5
  assert table['valence'].null_count == 5
  found = json.loads((tmp_path / 'out' / 'a.summary.json').read_text())
  assert (found['frames'], found['frames_with_face']) == (5, 0)


def test_the_overlay_shows_every_frame(tmp_path):
  sources = make_clips(tmp_path / 'in', a=30)
  out = tmp_path / 'out'
  assert predict(sources, out, with_overlay=True)[0] == []
  with video.open_clip(out / 'a.overlay.webm') as clip:
    shown = list(clip)
  assert len(shown) == 30
  for frame in shown:
    assert frame.timestamp == pytest.approx(frame.index / 10, abs=2e-3)
    picture = frame.image[:, :360][100:200, 100:200]
    # VP9 keeps colours only about.
    assert np.abs(picture[..., 0].mean() - frame.index) < 12
  assert predict(sources, out)[0] == []  # finished with more than is asked for
  # The overlay is a video in the folder, but no clip.
  problems, said = predict([*sources, out], out)
  assert problems == []
  assert said == [f'{out}: 1 overlay videos are no clips', 'a: finished before']


@pytest.mark.parametrize(
    ('source', 'options', 'text'),
    [
        ('camera:0', {}, 'camera has no end; give --duration'),
        (
            'camera:0',
            {'duration': 1.0, 'with_overlay': True},
            '--overlay reads a clip twice',
        ),
        ('summary', {}, 'rename the clip'),
    ],
)
def test_sources_that_do_not_fit_are_refused(tmp_path, source, options, text):
  make_clips(tmp_path, summary=1)
  path = source if ':' in source else str(tmp_path / source)
  with pytest.raises(errors.InputError, match=text):
    predict([path], tmp_path / 'out', **options)
  assert not (tmp_path / 'out').exists()


def test_one_file_of_boxes_for_two_clips_is_refused(tmp_path):
  sources = make_clips(tmp_path / 'in', a=1, b=1)
  with pytest.raises(errors.InputError, match='name the file of each clip'):
    predict(sources, tmp_path / 'out', detector='csv:boxes.csv')
