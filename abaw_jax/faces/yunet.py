"""YuNet, the detector of OpenCV's model zoo."""

import pathlib

import cv2
import numpy as np

from abaw_jax.core import errors
from abaw_jax.faces import face as face_lib
from abaw_jax.faces import networks
from abaw_jax.video import frames

_MAX_IOU = 0.3
_MOST = 5000


class YuNet:
  """Runs an ONNX file of YuNet."""

  def __init__(self, path: pathlib.Path, long_side: int, min_confidence: float):
    """Loads the network; see `detectors.make_detector`.

    Raises:
      InputError: OpenCV cannot read it.
    """
    self._path = path
    self._long_side = long_side
    try:
      self._network = cv2.FaceDetectorYN.create(
          str(path), '', (32, 32), min_confidence, _MAX_IOU, _MOST
      )
    except cv2.error as e:
      raise networks.unreadable(path) from e

  def __call__(self, frame: frames.Frame) -> list[face_lib.Face]:
    """Returns all faces, the most confident first."""
    canvas, scale = networks.fit(frame.image, self._long_side)
    self._network.setInputSize(canvas.shape[1::-1])
    try:
      found = self._network.detect(cv2.cvtColor(canvas, cv2.COLOR_RGB2BGR))[1]
    except cv2.error as e:
      raise errors.InputError(
          f'{self._path}: not a network of YuNet ({e.err})'
      ) from e
    found = np.zeros([0, 15], np.float32) if found is None else found
    # left, top, width, height, the five points from the left, confidence
    return [
        face_lib.Face(
            np.concatenate([x[:2], x[:2] + x[2:4]]) / scale,
            networks.to_frame(x[4:14].reshape(5, 2), scale),
            float(x[14]),
        )
        for x in found[np.argsort(-found[:, 14], kind='stable')]
    ]
