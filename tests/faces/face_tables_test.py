"""Tables of OpenFace, py-feat and InsightFace."""

import numpy as np
import pytest

from abaw_jax import faces
from abaw_jax.core import errors
from abaw_jax.video import frames

POINTS = np.random.default_rng(0).uniform(20, 80, (68, 2)).round(1)
FIVE = np.stack([
    POINTS[36:42].mean(0), POINTS[42:48].mean(0), POINTS[30], POINTS[48], POINTS[54],
])  # fmt: skip
AXES = [f'x_{i}' for i in range(68)] + [f'y_{i}' for i in range(68)]
COORDINATES = [str(x) for x in POINTS.T.ravel()]


def write(path, *rows, separator=','):
  path.write_text('\n'.join(separator.join(row) for row in rows) + '\n')
  return faces.make_detector(f'csv:{path}', min_confidence=0.5)


def find(detector, index):
  image = np.zeros((9, 9, 3), np.uint8)
  return detector(frames.Frame(index, index / 25, image, False))


def test_openface(tmp_path):
  detector = write(
      tmp_path / 'a.csv',
      ['frame', 'face_id', 'timestamp', 'confidence', 'success', *AXES],
      ['1', '0', '0.000', '0.98', '1', *COORDINATES],
      ['2', '0', '0.040', '0.03', '0', *['0'] * 136],
      ['3', '0', '0.080', '0.6', '1', *COORDINATES],
      ['3', '1', '0.080', '0.9', '1', *COORDINATES],
      ['4', '0', '0.120', '0.4', '1', *COORDINATES],
      separator=', ',  # as OpenFace writes
  )
  (face,) = find(detector, 0)
  np.testing.assert_allclose(face.landmarks, FIVE, atol=1e-4)
  expected = [*POINTS.min(0), *POINTS.max(0)]
  np.testing.assert_allclose(face.box, expected, atol=1e-4)
  assert face.confidence == 0.98
  found = [[x.confidence for x in find(detector, i)] for i in range(6)]
  assert found == [[0.98], [], [0.9, 0.6], [], [], []]


def test_py_feat(tmp_path):
  names = [
      'FaceRectX',
      'FaceRectY',
      'FaceRectWidth',
      'FaceRectHeight',
      'FaceScore',
  ]
  detector = write(
      tmp_path / 'a.csv',
      [*names, *AXES, 'frame'],
      ['10.5', '20', '30', '40', '0.99', *COORDINATES, '0'],
      [*['nan'] * 5, *[''] * 136, '5'],
  )
  (face,) = find(detector, 0)
  np.testing.assert_allclose(face.box, [10.5, 20, 40.5, 60])
  np.testing.assert_allclose(face.landmarks, FIVE, atol=1e-4)
  assert find(detector, 5) == []
  detector = write(
      tmp_path / 'b.csv', [*names, 'frame'], ['1', '2', '3', '4', '0.9', '7']
  )
  assert find(detector, 7)[0].landmarks is None


def test_insightface(tmp_path):
  names = ['frame', 'x1', 'y1', 'x2', 'y2', 'score']
  row = ['3', '10', '20', '40', '60', '0.8']
  five = np.arange(10.0)
  text = '"[[0. 1.] [2. 3.] [4. 5.] [6. 7.] [8. 9.]]"'
  for i, (more, values) in enumerate(
      [
          ([], []),
          (['kps'], [text]),
          ([f'kps_{i}' for i in range(10)], [str(x) for x in five]),
      ]
  ):
    (face,) = find(write(tmp_path / f'{i}.csv', names + more, row + values), 3)
    np.testing.assert_allclose(face.box, [10, 20, 40, 60])
    assert face.confidence == 0.8
    if more:
      np.testing.assert_allclose(face.landmarks, five.reshape(5, 2))
    else:
      assert face.landmarks is None


@pytest.mark.parametrize(
    ('rows', 'message'),
    [
        ([['frame', 'x'], ['1', '2']], 'no columns of OpenFace'),
        ([['frame', 'x1', 'y1', 'x2', 'y2'], ['1', '2', 'left', '4', '5']],
         "a.csv:2: y1: 'left' is not a number"),
        ([['frame', 'x1', 'y1', 'x2', 'y2', 'kps'], ['1', '2', '3', '4', '5', '1 2']],
         'a.csv:2: kps: 2 numbers'),
        ([['frame', 'x1', 'y1', 'x2', 'y2'], ['', '2', '3', '4', '5']],
         'a.csv:2: frame: not a whole number'),
    ],
)  # fmt: skip
def test_wrong_tables_give_one_line(tmp_path, rows, message):
  with pytest.raises(errors.InputError, match=message):
    write(tmp_path / 'a.csv', *rows)
