"""Cuts faces out of frames as a model was trained on them."""

from collections.abc import Mapping
import dataclasses
from typing import Any

import cv2
from jaxtyping import Float, UInt8
import numpy as np

from abaw_jax.core import errors
from abaw_jax.data import images
from abaw_jax.faces import face as face_lib

METHODS = ('five_points', 'box')
Points = tuple[tuple[float, float], ...]
# InsightFace's `arcface_src`: where ArcFace expects the five points, for 112 px.
ARCFACE = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)
_ARCFACE_SIZE = 112


@dataclasses.dataclass(frozen=True)
class Alignment:
  """How a face becomes a square.

  Attributes:
    method: 'five_points' moves the landmarks to the template by a similarity
      transform; 'box' squashes the box to a square.
    size: of the square in pixels.
    template: x and y of the five points in pixels of the square; None for that of
      ArcFace, scaled to `size`.
    margin: of the box on each side, as a part of its width and height.
  """

  method: str = 'five_points'
  size: int = 112
  template: Points | None = None
  margin: float = 0.0

  def crop(
      self, image: UInt8[np.ndarray, 'h w 3'], face: face_lib.Face
  ) -> UInt8[np.ndarray, 's s 3']:
    """Returns the aligned face; pixels out of the image are black.

    A face without landmarks whose box is the full image is aligned already, and
    only resized.

    Raises:
      InputError: the method needs landmarks, and the face has none.
    """
    height, width = image.shape[:2]
    if face.landmarks is None and np.array_equal(
        face.box, [0, 0, width, height]
    ):
      fit = images.Resizing('squash')
      return images.square(image, size=self.size, resizing=fit)
    if self.method == 'box':
      return self._crop_box(image, face.box)
    if face.landmarks is None:
      raise errors.InputError(
          'detector: it finds no landmarks, and the model needs faces aligned by '
          'five points; choose another detector'
      )
    transform = similarity(face.landmarks, self.points)
    return _warp(image, transform, self.size)

  @property
  def points(self) -> Float[np.ndarray, '5 2']:
    """The template as an array."""
    if self.template is not None:
      return np.array(self.template)
    return np.array(ARCFACE) * (self.size / _ARCFACE_SIZE)

  def to_json(self) -> dict[str, Any]:
    """Returns values for a JSON file, with the template written out."""
    values = {'method': self.method, 'size': self.size}
    if self.method == 'box':
      return values | {'margin': self.margin}
    return values | {'template': self.points.tolist()}

  @classmethod
  def from_json(
      cls, values: Mapping[str, Any], source: object = 'alignment'
  ) -> 'Alignment':
    """Returns the alignment of `to_json`.

    Args:
      values: content of the JSON file; only `method` and `size` are required.
      source: file of the values, for the message.

    Raises:
      InputError: a value is wrong, missing or unknown.
    """
    try:
      return cls(**_checked(values))
    except ValueError as e:
      raise errors.InputError(f'{source}: {e}') from e

  def _crop_box(
      self, image: UInt8[np.ndarray, 'h w 3'], box: face_lib.Box
  ) -> UInt8[np.ndarray, 's s 3']:
    """Returns the box with its margin, cut at the edges of the image."""
    box = box.astype(np.float64)
    margin = self.margin * np.tile(box[2:] - box[:2], 2) * (-1, -1, 1, 1)
    limits = np.tile(image.shape[1::-1], 2)
    left, top, right, bottom = np.clip(
        np.round(box + margin).astype(int), 0, limits
    )
    if right <= left or bottom <= top:  # the face has left the image
      return np.zeros([self.size, self.size, 3], np.uint8)
    fit = images.Resizing('squash')
    cut = image[top:bottom, left:right]
    return images.square(cut, size=self.size, resizing=fit)


def similarity(
    source: Float[np.ndarray, 'n 2'], target: Float[np.ndarray, 'n 2']
) -> Float[np.ndarray, '2 3']:
  """Returns the rotation, scale and shift with the least squared error.

  Umeyama (1991) in two dimensions, without reflection. If all source points are
  equal, it only shifts.
  """
  source, target = np.float64(source), np.float64(target)
  from_mean, to_mean = source.mean(0), target.mean(0)
  # A point as a complex number: the factor is scale and rotation.
  a, b = (
      (x - m) @ (1, 1j) for x, m in ((source, from_mean), (target, to_mean))
  )
  power = np.vdot(a, a).real
  factor = np.vdot(a, b) / power if power > 0 else 1.0
  linear = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
  return np.column_stack([linear, to_mean - linear @ from_mean])


def _warp(
    image: UInt8[np.ndarray, 'h w 3'],
    transform: Float[np.ndarray, '2 3'],
    size: int,
) -> UInt8[np.ndarray, 's s 3']:
  """Returns the transformed image; large faces are reduced without aliasing."""
  scale = np.hypot(*transform[:, 0])
  steps = int(max(np.log2(1 / max(scale, 1e-6)), 0))
  if not steps:
    return cv2.warpAffine(
        image, transform, (size, size), flags=cv2.INTER_LINEAR
    )
  # A square with whole multiples of the size, averaged.
  factor = 2**steps
  large = cv2.warpAffine(
      image, _scaled(transform, factor), (size * factor, size * factor)
  )
  return cv2.resize(large, (size, size), interpolation=cv2.INTER_AREA)


def _scaled(
    transform: Float[np.ndarray, '2 3'], factor: int
) -> Float[np.ndarray, '2 3']:
  """Returns a transform to an image that is larger; pixel centres are at .0."""
  shift = [[0, 0, (factor - 1) / 2]] * 2
  return transform * factor + shift


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
  """Returns arguments; raises a ValueError that names the wrong field."""
  names = [field.name for field in dataclasses.fields(Alignment)]
  if unknown := sorted(set(values) - set(names)):
    raise ValueError(
        f'{unknown[0]}: unknown field; known are {", ".join(names)}'
    )
  values = dict(values)
  if values.get('method') not in METHODS:
    raise ValueError(
        f'method: {values.get("method")!r}; choose one of {", ".join(METHODS)}'
    )
  size = values.get('size')
  if type(size) is not int or not 8 <= size <= 4096:
    raise ValueError(f'size: {size!r}; give a whole number from 8 to 4096')
  margin = values.get('margin', 0.0)
  if type(margin) not in (int, float) or not 0 <= margin <= 2:
    raise ValueError(f'margin: {margin!r}; give a number from 0 to 2')
  if values.get('template') is not None:
    values['template'] = _checked_template(values['template'])
  return values


def _checked_template(template: Any) -> Points:
  try:
    points = np.array(template, np.float64)
  except (TypeError, ValueError):
    points = np.zeros(0)
  if points.shape != (5, 2) or not np.isfinite(points).all():
    raise ValueError('template: give five pairs of numbers, x and y in pixels')
  return tuple((float(x), float(y)) for x, y in points)
