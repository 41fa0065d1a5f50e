"""Alignment against scikit-image, closed forms and a crop by hand."""

import json

import cv2
import numpy as np
import pytest
from skimage import transform

from abaw_jax.core import errors
from abaw_jax.faces import alignment, face


def make_face(landmarks=None, box=(0, 0, 10, 10)):
  points = None if landmarks is None else np.float32(landmarks)
  return face.Face(np.float32(box), points, 1.0)


def ramp(height, width):
  """Returns an image whose red is x and whose green is y."""
  y, x = np.mgrid[:height, :width]
  return np.stack([x, y, np.full_like(x, 9)], -1).astype(np.uint8)


@pytest.mark.parametrize('seed', range(4))
def test_similarity_is_that_of_umeyama(seed):
  rng = np.random.default_rng(seed)
  source, target = rng.normal(50, 20, (2, 5, 2))
  expected = transform.SimilarityTransform.from_estimate(source, target)
  np.testing.assert_allclose(
      alignment.similarity(source, target), expected.params[:2], atol=1e-9
  )


def test_equal_points_only_shift():
  found = alignment.similarity(np.ones((5, 2)), np.full((5, 2), 3.0))
  np.testing.assert_allclose(found, [[1, 0, 2], [0, 1, 2]])


@pytest.mark.parametrize('scale', [0.5, 1.0, 2.0, 3.0])
def test_landmarks_come_to_the_template(scale):
  angle = np.radians(25)
  turn = np.array(
      [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
  )
  template = np.array(alignment.ARCFACE)
  points = (template - 56) * scale @ turn.T + (128, 120)
  image = ramp(256, 256)
  crop = alignment.Alignment().crop(image, make_face(points))
  assert crop.shape == (112, 112, 3)
  # The colour of a pixel of the crop tells where it was in the image.
  for x, y in [(30, 40), (56, 56), (80, 70)]:
    where = (np.array([x, y]) - 56) * scale @ turn.T + (128, 120)
    np.testing.assert_allclose(crop[y, x, :2], where, atol=1.01)


def test_large_faces_are_reduced_without_aliasing():
  board = np.uint8(np.indices((448, 448)).sum(0) % 2 * 255)[..., None].repeat(
      3, 2
  )
  points = np.array(alignment.ARCFACE) * 4 + 1.5
  crop = alignment.Alignment().crop(board, make_face(points))
  np.testing.assert_allclose(crop.mean(), 127.5, atol=2)
  assert crop.std() < 3


def test_box_with_margin_is_squashed_as_by_emotiefflib():
  image = np.random.default_rng(0).integers(0, 255, (80, 100, 3), np.uint8)
  aligned = alignment.Alignment('box', 24, margin=0.1)
  crop = aligned.crop(image, make_face(box=(20, 10, 60, 60)))
  expected = cv2.resize(
      image[5:65, 16:64], (24, 24), interpolation=cv2.INTER_AREA
  )
  np.testing.assert_array_equal(crop, expected)
  # A box that reaches out of the image is cut, and one outside is black.
  crop = aligned.crop(image, make_face(box=(-20, -10, 20, 40)))
  expected = cv2.resize(image[:45, :24], (24, 24), interpolation=cv2.INTER_AREA)
  np.testing.assert_array_equal(crop, expected)
  assert not aligned.crop(image, make_face(box=(-90, 0, -50, 40))).any()


def test_an_aligned_face_is_only_resized():
  image = np.random.default_rng(0).integers(0, 255, (112, 112, 3), np.uint8)
  whole = make_face(box=(0, 0, 112, 112))
  np.testing.assert_array_equal(alignment.Alignment().crop(image, whole), image)
  with pytest.raises(errors.InputError, match='no landmarks'):
    alignment.Alignment().crop(image, make_face(box=(0, 0, 50, 50)))


@pytest.mark.parametrize(
    'made',
    [
        alignment.Alignment(),
        alignment.Alignment(size=224),
        alignment.Alignment('box', 260, margin=0.25),
        alignment.Alignment(
            'five_points', 8, tuple((i, 2.0 * i) for i in range(5))
        ),
    ],
)
def test_json_round_trip(made):
  values = json.loads(json.dumps(made.to_json()))
  found = alignment.Alignment.from_json(values)
  assert found.to_json() == made.to_json()
  np.testing.assert_array_equal(found.points, made.points)


@pytest.mark.parametrize(
    ('changed', 'message'),
    [
        (
            {'method': 'six_points'},
            "a.json: method: 'six_points'; choose one of",
        ),
        ({'method': None}, 'method'),
        ({'size': 0}, 'size: 0; give a whole number from 8'),
        ({'size': 112.0}, 'size'),
        ({'margin': 'wide'}, 'margin'),
        ({'margin': float('nan')}, 'margin'),
        ({'template': [[1, 2]] * 4}, 'template: give five pairs'),
        ({'template': [[1, 2]] * 4 + [[1, float('inf')]]}, 'template'),
        ({'template': 'arcface'}, 'template'),
        ({'crop': 1}, 'crop: unknown field'),
    ],
)
def test_wrong_json_names_the_field(changed, message):
  values = alignment.Alignment().to_json() | changed
  with pytest.raises(errors.InputError, match=message):
    alignment.Alignment.from_json(values, 'a.json')
