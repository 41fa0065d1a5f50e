"""Identities over gaps, crossings and cuts, with faces whose place is known."""

import numpy as np
import pytest
from skimage import data

from abaw_jax import faces
from abaw_jax.core import errors
from abaw_jax.video import frames

GREY = np.full((90, 160, 3), 120, np.uint8)


def face_at(x, y=40.0, size=16.0):
  box = np.float32([x - size / 2, y - size / 2, x + size / 2, y + size / 2])
  return faces.Face(box, None, 0.9)


def track(paths, *, image=lambda i: GREY, rate=25, **options):
  """Returns {face_id: positions} of paths [time, face], None where it is hidden."""
  found = {}
  current = []
  tracker = faces.FaceTracker(lambda _: current, **options)
  for i, positions in enumerate(zip(*paths, strict=True)):
    current[:] = [
        face_at(*np.atleast_1d(x)) for x in positions if x is not None
    ]
    for tracked in tracker.update(frames.Frame(i, i / rate, image(i), False)):
      found.setdefault(tracked.face_id, {})[i] = float(
          tracked.face.box[:2].mean()
      )
  return found


def test_faces_keep_their_identity_and_their_order_is_free():
  rng = np.random.default_rng(0)
  a, b = 30 + rng.normal(0, 1, 30).cumsum(), 120 + rng.normal(0, 1, 30).cumsum()
  found = track([a, b])
  assert {k: len(v) for k, v in found.items()} == {0: 30, 1: 30}
  # The detector returns them in the other order half of the time.
  flipped = [
      np.where(np.arange(30) % 2, a, b),
      np.where(np.arange(30) % 2, b, a),
  ]
  assert {k: len(v) for k, v in track(flipped).items()} == {0: 30, 1: 30}


def test_identities_survive_short_gaps_only():
  still = [50.0] * 100
  short, long = list(still), list(still)
  short[20:40] = [None] * 20  # 0.8 s
  long[20:60] = [None] * 40  # 1.6 s
  assert {k: len(v) for k, v in track([short]).items()} == {0: 80}
  assert {k: len(v) for k, v in track([long]).items()} == {0: 20, 1: 40}
  assert len(track([short], max_gap=0.5)) == 2


def test_crossing_faces_keep_their_identities():
  t = np.arange(40)
  a, b = 20 + 3.0 * t, 140 - 3.0 * t
  found = track([a, b])
  assert len(found) == 2
  assert found[0][39] > found[0][0]
  assert found[1][39] < found[1][0]
  # One hides the other for half a second.
  hidden = [None if abs(x - y) < 30 else x for x, y in zip(a, b, strict=True)]
  assert sum(x is None for x in hidden) > 8
  found = track([hidden, b])
  assert len(found) == 2
  assert found[0][39] > found[0][0]
  assert found[1][39] < found[1][0]


def test_cuts_end_identities_and_pans_do_not():
  scenes = data.astronaut()[:180], data.rocket()[:180, :512]
  still = [60.0] * 20

  def cut(i):
    return np.ascontiguousarray(scenes[i // 10][:180, :320])

  def pan(i):
    return np.ascontiguousarray(scenes[0][:180, 9 * i : 9 * i + 320])

  def flash(i):
    return np.uint8(np.clip(cut(0) * (1.7 if i == 5 else 1.0), 0, 255))

  assert {k: len(v) for k, v in track([still], image=cut).items()} == {
      0: 10,
      1: 10,
  }

  def other_size(i):
    return cut(0) if i < 10 else cut(0)[:100]

  assert len(track([still], image=other_size, every=3)) == 2
  for image in (pan, flash):
    assert {k: len(v) for k, v in track([still], image=image).items()} == {
        0: 20
    }


def moving(i, shift):
  """Returns a picture with the astronaut's face at x = 40 + shift * i."""
  image = np.full((120, 200, 3), 120, np.uint8)
  x = 40 + shift * i
  image[20:100, x - 35 : x + 35] = data.astronaut()[40:200:2, 155:295:2]
  return image


@pytest.mark.parametrize('every', [1, 2, 4])
def test_between_detections_faces_follow_the_picture(every):
  calls = []

  def detector(frame):
    calls.append(frame.index)
    return [face_at(40 + 4 * frame.index, 60, 40)]

  tracker = faces.FaceTracker(detector, every=every)
  for i in range(12):
    (found,) = tracker.update(frames.Frame(i, i / 25, moving(i, 4), False))
    assert (found.face_id, found.detected) == (0, i % every == 0)
    np.testing.assert_allclose(
        found.face.box, face_at(40 + 4 * i, 60, 40).box, atol=0.3
    )
  assert calls == list(range(0, 12, every))


def test_a_cut_or_a_lost_face_calls_the_detector():
  calls = []

  def detector(frame):
    calls.append(frame.index)
    return [face_at(40, 60, 40)]

  cut = np.ascontiguousarray(data.rocket()[:120, :200])
  tracker = faces.FaceTracker(detector, every=10)
  images = (
      [moving(0, 0)] * 3
      + [cut] * 3
      + [GREY.repeat(2, 0)[:120, :1].repeat(200, 1)]
  )
  found = [
      tracker.update(frames.Frame(i, i / 25, image, False))
      for i, image in enumerate(images)
  ]
  assert calls == [0, 3, 6]
  assert [x[0].face_id for x in found] == [0, 0, 0, 1, 1, 1, 2]


def test_every_must_be_positive():
  with pytest.raises(errors.InputError, match='every=0'):
    faces.FaceTracker(lambda _: [], every=0)
