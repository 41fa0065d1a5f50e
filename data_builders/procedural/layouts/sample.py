"""One rendered face with what is true of it, and its class in other datasets."""

from typing import NamedTuple

import cv2
import numpy as np

from abaw_jax.core import labels
from abaw_jax.data_builders.procedural.rendering import camera


class Face(NamedTuple):
  """A face and its labels, all of them, as its annotators saw it.

  Attributes:
    picture: uint8 RGB [112, 112, 3].
    quality: of the camera's JPEG files, 0 to 100.
    number: among all faces of the corpus, from 0.
    person: who it is, from 0.
    place: among the faces of this person, from 0.
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
    """Returns its class code in a dataset; None if that has no such class.

    What is Other here is Contempt there, as `labels.expression_id` reads it.
    """
    for code in labels.NATIVE_EXPRESSIONS[dataset]:
      if labels.expression_id(dataset, code) == self.expression:
        return code
    return None

  def rng(self, seed: int) -> np.random.Generator:
    """Returns a generator of its own."""
    return np.random.default_rng([seed, self.number])

  def jpeg(self, size: int) -> bytes:
    """Returns the picture with sides of `size` pixels, as JPEG."""
    return camera.encode(resize(self.picture, size), self.quality)


def resize(picture: np.ndarray, size: int) -> np.ndarray:
  """Returns a square picture with sides of `size` pixels."""
  if len(picture) == size:
    return picture
  how = cv2.INTER_AREA if len(picture) > size else cv2.INTER_CUBIC
  return cv2.resize(picture, (size, size), interpolation=how)
