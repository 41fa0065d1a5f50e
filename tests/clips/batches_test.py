"""Rows of a clip are complete, right and in order; nothing piles up."""

import tracemalloc

import numpy as np
import pytest

from abaw_jax.clips import batches, reading, stage_times, tracks
from abaw_jax.clips import options as settings
from abaw_jax.tables import rows
from tests.clips import fakes


class Clip:
  """A clip of `length` frames that runs through `batches`."""

  def __init__(self, present, predictor, *, length, patience=0.8, **options):
    self.largest_wait = 0
    self.options = settings.Options(**options)
    self.times = stage_times.StageTimes()
    layout = rows.Layout.from_predictor(predictor)
    self.batches = batches.Batches(
        predictor, self.options, self.times, batch_size=16
    )
    self.tracks = tracks.ClipTracks(predictor, layout, patience=patience)
    self._tracker = fakes.Tracker(present)
    self._crop = predictor.alignment.crop
    self._length = length

  def run(self):
    """Yields complete frames."""
    image = np.zeros([4, 4, 3], np.uint8)
    frames = reading.array_frames(
        np.broadcast_to(image, (self._length, 4, 4, 3)), 25.0
    )
    for frame in reading.read_faces(
        frames, self._tracker, self._crop, self.options, self.times
    ):
      if self.batches.add(self.tracks, frame):
        self.batches.run()
        yield from self.tracks.take()
      self.largest_wait = max(self.largest_wait, self.tracks.waiting)
    self.batches.end(self.tracks)
    yield from self.tracks.take()


def two_faces(index):
  """Face 0 is lost after 150 frames; face 3 is there every other ten frames."""
  return [0] * (index < 150) + [3] * (index // 10 % 2)


@pytest.mark.parametrize('delay', [0, 7, 40])
def test_rows_are_complete_right_and_in_order(delay):
  predictor = fakes.Predictor(delay)
  clip = Clip(two_faces, predictor, length=400)
  found = list(clip.run())
  assert [frame.index for frame in found] == list(range(400))
  for frame in found:
    assert [face.face_id for face in frame.faces] == two_faces(frame.index)
    for face in frame.faces:
      value = fakes.expected(frame.index, face.face_id)
      np.testing.assert_allclose(
          face.values,
          np.hstack([value.valence, value.arousal, *value[3:]]),
          atol=1e-6,
      )
      np.testing.assert_array_equal(
          face.geometry[:4], fakes.box(frame.index, face.face_id)
      )
      assert face.detected is (frame.index % 2 == 0)
  count = sum(len(two_faces(i)) for i in range(400))
  assert count <= predictor.embedded < count + 16  # the last batch is filled up
  assert predictor.calls <= count / 16 + 2


def test_nothing_waits_for_a_lost_face_or_for_the_end():
  """As many frames wait, and as much memory is used, for 4 times the length."""
  waits, peaks = [], []
  for length in (250, 1000):
    clip = Clip(
        lambda i: [] if i % 50 > 30 else [i // 50],
        fakes.Predictor(delay=10),
        length=length,
    )
    tracemalloc.start()
    assert sum(1 for _ in clip.run()) == length
    peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    waits.append(clip.largest_wait)
  assert waits[1] <= waits[0] + 16 < 100
  # 750 crops have 2 MB; Python itself keeps up to 2,000 freed tuples.
  assert peaks[1] < peaks[0] + 250_000


def test_frames_without_a_face_do_not_pile_up():
  clip = Clip(lambda i: [], fakes.Predictor(), length=300)
  assert sum(1 for _ in clip.run()) == 300
  assert clip.largest_wait <= 8 * 16


@pytest.mark.parametrize('threshold', [0.3, 0.999])
def test_adaptive_reading_gives_every_row(threshold):
  predictor = fakes.Predictor(delay=5)
  clip = Clip(two_faces, predictor, length=300, adaptive=threshold)
  found = list(clip.run())
  faces = [(frame.index, face) for frame in found for face in frame.faces]
  assert clip.batches.faces == len(faces)
  assert clip.batches.read == predictor.embedded
  assert sum(face.is_read for _, face in faces) == predictor.embedded
  if threshold > 0.9:
    assert predictor.embedded == len(faces)
  else:
    assert predictor.embedded < 0.4 * len(faces)


@pytest.mark.parametrize(
    ('options', 'index'),
    [
        ({'frame_rate': 10.0}, [0, 3, 5, 8, 10, 13, 15, 18]),
        ({'frame_rate': 25.0}, list(range(20))),
        ({'duration': 0.2}, [0, 1, 2, 3, 4]),
    ],
)
def test_options_choose_frames(options, index):
  clip = Clip(lambda i: [0], fakes.Predictor(), length=20, **options)
  assert [frame.index for frame in clip.run()] == index
