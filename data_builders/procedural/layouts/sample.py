"""One rendered face with its labels, and its class in other datasets."""

from typing import NamedTuple

import cv2
import numpy as np

from abaw_jax.core import labels
from abaw_jax.data_builders.procedural.rendering import camera


class Face(NamedTuple):
  """A face with all labels.

  Attributes:
    picture: uint8 RGB [112, 112, 3].
    quality: JPEG quality of the camera, 0 to 100.
    number: number of the face in the corpus, from 0.
    person: number of the person, from 0.
    place: number of the face among the faces of this person, from 0.
    expression: index into labels.EXPRESSIONS.
    valence: in [-1, 1].
    arousal: in [-1, 1].
    au: int [12], 0 or 1.
  """

  picture: np.ndarray
  quality: int
  number: int
  person: int
  place: int
  expression: int
  valence: float
  arousal: float
  au: np.ndarray

  def code(self, dataset: str) -> int | None:
    """Returns the class code in a dataset; None if it has no such class.

    Other becomes Contempt, the inverse of `labels.expression_id`.
    """
    for code in labels.NATIVE_EXPRESSIONS[dataset]:
      if labels.expression_id(dataset, code) == self.expression:
        return code
    return None

  def rng(self, seed: int) -> np.random.Generator:
    """Returns a random generator for this face."""
    return np.random.default_rng([seed, self.number])

  def jpeg(self, size: int) -> bytes:
    """Returns the picture with sides of `size` pixels, as JPEG."""
    return camera.encode(resize(self.picture, size), self.quality)


def resize(picture: np.ndarray, size: int) -> np.ndarray:
  """Returns a square picture with sides of `size` pixels."""
  if len(picture) == size:
    return picture
  filter_ = cv2.INTER_AREA if len(picture) > size else cv2.INTER_CUBIC
  return cv2.resize(picture, (size, size), interpolation=filter_)
