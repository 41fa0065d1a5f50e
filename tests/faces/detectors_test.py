"""Detectors that read files of the user, on networks and tables made here."""

import numpy as np
import pytest

from abaw_jax import faces
from abaw_jax.core import errors
from abaw_jax.faces import boxes, scrfd
from abaw_jax.video import frames
from tests.faces import onnx_files

SIZE = 64
# Distances to the edges of the box, and x, y of the landmarks, in cells.
EDGES = (1.0, 2.0, 1.5, 1.25)
POINTS = np.array([(-0.5, -0.5), (0.5, -0.5), (0, 0), (-0.4, 0.5), (0.4, 0.5)])


def frame(image, index=0):
  return frames.Frame(index, index / 25, image, False)


def dots(*cells, size=SIZE):
  """Returns a black image with white cells, given as (stride, row, column)."""
  image = np.zeros((size, size, 3), np.uint8)
  for stride, row, column in cells:
    image[row * stride :, column * stride :][:stride, :stride] = 255
  return image


def test_scrfd(tmp_path):
  # The input is (pixel - 127.5) / 128, so the logit of white is 9.9 and of black -10.
  heads = [
      lambda s: (f'score_{s}', 10.0, [0.0], True, [-1, 1]),
      lambda s: (f'bbox_{s}', 0.0, EDGES, False, [-1, 4]),
      lambda s: (f'kps_{s}', 0.0, POINTS.ravel(), False, [-1, 10]),
  ]
  path = onnx_files.write(tmp_path / 'det.onnx', heads, size=SIZE)
  detector = faces.make_detector(f'scrfd:{path}', long_side=SIZE)
  small = detector(frame(dots((8, 1, 6))))
  assert small[0].confidence > 0.99
  np.testing.assert_allclose(small[0].box, [48 - 8, 8 - 16, 48 + 12, 8 + 10])
  np.testing.assert_allclose(
      small[0].landmarks, POINTS * 8 + (48, 8), atol=1e-4
  )
  # An image of twice the size is reduced, and the box is in its pixels.
  large = np.kron(dots((8, 1, 6)), np.ones((2, 2, 1), np.uint8))
  (found,) = detector(frame(large))
  np.testing.assert_allclose(found.box, 2 * small[0].box)
  np.testing.assert_allclose(
      found.landmarks + 0.5, 2 * (small[0].landmarks + 0.5), atol=1e-4
  )
  assert detector(frame(dots())) == []


@pytest.mark.parametrize('anchors', [1, 2])
@pytest.mark.parametrize('with_points', [False, True])
def test_scrfd_decoding_is_the_closed_form(anchors, with_points):
  shape = (64, 96)
  outputs = []
  for stride in (8, 16, 32):
    rows = shape[0] * shape[1] // stride**2 * anchors
    score = np.zeros((1, rows, 1), np.float32)
    if stride == 16:  # row 2, column 3 of six columns, the last anchor
      score[0, (2 * 6 + 3) * anchors + anchors - 1] = 0.8
    if stride == 32:  # the same place, weaker
      score[0, (1 * 3 + 1) * anchors] = 0.6
    outputs += [score, np.full((1, rows, 4), 2.0, np.float32)]
    if with_points:
      points = np.tile(np.float32(POINTS.ravel()), (rows, 1))
      outputs.append(points[None])
  (face,) = scrfd.decode(outputs[::-1], shape, 0.7)
  assert face.confidence == pytest.approx(0.8)
  np.testing.assert_allclose(face.box, [48 - 32, 32 - 32, 48 + 32, 32 + 32])
  if with_points:
    np.testing.assert_allclose(
        face.landmarks, POINTS * 16 + (48, 32), atol=1e-5
    )
  else:
    assert face.landmarks is None
  assert len(scrfd.decode(outputs, shape, 0.5)) == 2
  with pytest.raises(ValueError, match='rows for'):
    scrfd.decode(outputs, (64, 64 * 7), 0.5)
  with pytest.raises(ValueError, match='outputs of shapes'):
    scrfd.decode(outputs[1:], shape, 0.5)


def test_yunet(tmp_path):
  # The input is 0 to 255. The box is (x, y) of its middle in the cell and log sizes.
  box = (0.5, 0.25, np.log(3.0), np.log(4.0))
  heads = [
      lambda s: (f'cls_{s}', 20 / 255, [-10.0], True, [1, -1, 1]),
      lambda s: (f'obj_{s}', 20 / 255, [-10.0], True, [1, -1, 1]),
      lambda s: (f'bbox_{s}', 0.0, box, False, [1, -1, 4]),
      lambda s: (f'kps_{s}', 0.0, POINTS.ravel(), False, [1, -1, 10]),
  ]
  path = onnx_files.write(tmp_path / 'yunet.onnx', heads, size=SIZE)
  detector = faces.make_detector(f'yunet:{path}', long_side=SIZE)
  (face,) = detector(frame(dots((8, 1, 6))))
  left, top = (6 + 0.5) * 8 - 12, (1 + 0.25) * 8 - 16
  np.testing.assert_allclose(
      face.box, [left, top, left + 24, top + 32], atol=1e-4
  )
  np.testing.assert_allclose(
      face.landmarks, (POINTS + np.array([6, 1])) * 8, atol=1e-4
  )
  assert face.confidence > 0.99
  assert detector(frame(dots())) == []


@pytest.mark.parametrize('kind', ['scrfd', 'yunet'])
def test_other_networks_give_one_line(tmp_path, kind):
  path = tmp_path / 'other.onnx'
  path.write_bytes(b'no network')
  with pytest.raises(errors.InputError, match='cannot read this network'):
    faces.make_detector(f'{kind}:{path}')
  head = lambda s: (f'out_{s}', 1.0, [0.0, 0.0], False, [-1, 2])  # noqa: E731
  onnx_files.write(path, [head], size=SIZE)
  with pytest.raises(errors.InputError, match=r'other\.onnx'):
    faces.make_detector(f'{kind}:{path}', long_side=SIZE)(frame(dots()))


@pytest.mark.parametrize(
    ('spec', 'options', 'message'),
    [
        ('mtcnn', {}, 'choose one of centerface, yunet:FILE'),
        ('yunet', {}, 'choose one of'),
        ('csv:', {}, 'choose one of'),
        ('csv:missing.csv', {}, 'there is no file missing.csv'),
        ('centerface', {'long_side': 8}, 'long_side=8: give a number from 32'),
        ('none', {'min_confidence': 1.5}, 'min_confidence=1.5'),
    ],
)
def test_wrong_detectors_give_one_line(spec, options, message):
  with pytest.raises(errors.InputError, match=message):
    faces.make_detector(spec, **options)


def test_none_is_the_full_image():
  (face,) = faces.make_detector('none')(frame(dots()))
  np.testing.assert_array_equal(face.box, [0, 0, SIZE, SIZE])
  assert (face.landmarks, face.confidence) == (None, 1.0)


def test_iou_and_suppression():
  a = np.array(
      [[0, 0, 4, 4], [0, 0, 4, 2], [10, 10, 12, 12], [5, 5, 4, 4]], float
  )
  expected = [[1, 0.5, 0, 0], [0.5, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
  np.testing.assert_allclose(boxes.iou(a, a), expected)
  scores = np.array([0.5, 0.9, 0.1, 0.2])
  assert boxes.strongest(a, scores, 0.4).tolist() == [1, 3, 2]
  assert boxes.strongest(a, scores, 0.6).tolist() == [1, 0, 3, 2]
  assert boxes.strongest(a[:0], scores[:0], 0.6).tolist() == []
