"""SCRFD, the detector of InsightFace.

Guo et al. (2021), https://arxiv.org/abs/2105.04714; the files `det_*.onnx`.
"""

from collections.abc import Sequence
import pathlib

import cv2
from jaxtyping import Float32
import numpy as np

from abaw_jax.core import errors
from abaw_jax.faces import boxes, networks
from abaw_jax.faces import face as face_lib
from abaw_jax.video import frames

_MAX_IOU = 0.4
_FIRST_STRIDE = 8
_MEAN, _SCALE = 127.5, 1 / 128


class Scrfd:
  """Runs an ONNX file of SCRFD."""

  def __init__(self, path: pathlib.Path, long_side: int, min_confidence: float):
    """Loads the network; see `detectors.make_detector`.

    Raises:
      InputError: OpenCV cannot read it.
    """
    self._path = path
    self._long_side = long_side
    self._min_confidence = min_confidence
    self._network = networks.read(path)
    self._names = self._network.getUnconnectedOutLayersNames()

  def __call__(self, frame: frames.Frame) -> list[face_lib.Face]:
    """Returns all faces, the most confident first."""
    canvas, scale = networks.fit(frame.image, self._long_side)
    blob = cv2.dnn.blobFromImage(canvas, _SCALE, mean=(_MEAN, _MEAN, _MEAN))
    self._network.setInput(blob)
    try:
      outputs = self._network.forward(self._names)
      found = decode(outputs, canvas.shape[:2], self._min_confidence)
    except (cv2.error, ValueError) as e:
      reason = e.err if isinstance(e, cv2.error) else e
      raise errors.InputError(
          f'{self._path}: not a network of SCRFD ({reason})'
      ) from e
    return [
        face_lib.Face(
            x.box / scale,
            None
            if x.landmarks is None
            else networks.to_frame(x.landmarks, scale),
            x.confidence,
        )
        for x in found
    ]


def decode(
    outputs: Sequence[Float32[np.ndarray, '...']],
    shape: tuple[int, int],
    min_confidence: float,
) -> list[face_lib.Face]:
  """Returns the faces in the outputs of the network.

  Args:
    outputs: of each stride, confidences [n, 1], distances to the edges of the box
      [n, 4] and, in some models, to the landmarks [n, 10], in units of the stride; in
      any order, also with a leading dimension 1. A cell has one or more rows.
    shape: height and width of the input, multiples of 32.
    min_confidence: weaker faces are dropped.

  Raises:
    ValueError: the outputs have other shapes.
  """
  flat = [x.reshape(-1, x.shape[-1]) for x in outputs]
  kinds = [
      sorted((x for x in flat if x.shape[1] == size), key=len, reverse=True)
      for size in (1, 4, 10)
  ]
  scores, edges, points = kinds
  if (
      not scores
      or sum(map(len, kinds)) != len(flat)
      or len(edges) != len(scores)
      or len(points) not in (0, len(scores))
  ):
    raise ValueError(f'outputs of shapes {[list(x.shape) for x in flat]}')
  levels = [
      _level(level, _FIRST_STRIDE << i, shape, min_confidence)
      for i, level in enumerate(zip(*filter(None, kinds), strict=True))
  ]
  score, box, *landmarks = (
      np.concatenate(x) for x in zip(*levels, strict=True)
  )
  return [
      face_lib.Face(
          box[i], landmarks[0][i] if landmarks else None, float(score[i])
      )
      for i in boxes.strongest(box, score, _MAX_IOU)
  ]


def _level(
    level: Sequence[Float32[np.ndarray, 'n _']],
    stride: int,
    shape: tuple[int, int],
    min_confidence: float,
) -> list[Float32[np.ndarray, '...']]:
  """Returns confidences, boxes and landmarks of one stride."""
  rows, columns = (-(-side // stride) for side in shape)
  per_cell, rest = divmod(len(level[0]), rows * columns)
  if rest or not per_cell or len({len(x) for x in level}) > 1:
    raise ValueError(
        f'{len(level[0])} rows for {rows} x {columns} cells of {stride} pixels'
    )
  score = level[0][:, 0]
  keep = np.flatnonzero(score >= min_confidence)
  cell = keep // per_cell
  centre = np.stack([cell % columns, cell // columns], 1) * stride
  centre = centre.astype(np.float32)
  edges = level[1][keep] * stride
  found = [
      score[keep],
      np.concatenate([centre - edges[:, :2], centre + edges[:, 2:]], 1),
  ]
  if len(level) > 2:
    found.append(centre[:, None] + level[2][keep].reshape(-1, 5, 2) * stride)
  return found
