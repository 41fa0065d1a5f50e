"""Drawing with sub-pixel coordinates on a canvas with a margin around the crop.

A canvas is uint8 RGBA with premultiplied alpha, so that shapes keep clean edges
when they overlap, are warped or are drawn on a background.
"""

from collections.abc import Sequence

import cv2
import numpy as np

CROP = 112  # pixels of the final picture
MARGIN = 8  # crop pixels on each side, so that the head can turn
GRID = CROP + 2 * MARGIN  # crop pixels a canvas covers
SCALE = 1.5  # canvas pixels per crop pixel
SIZE = int(GRID * SCALE)

_SHIFT = 5  # fractional bits of a coordinate
_OFFSET = MARGIN * SCALE * 2**_SHIFT + 0.5

Colour = tuple[float, ...] | np.ndarray


def curve(
    x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray
) -> np.ndarray:
  """Returns points [n, 2] from their x and y coordinates."""
  return np.array([x, y], float).T


def blank() -> np.ndarray:
  """Returns a transparent canvas [SIZE, SIZE, 4]."""
  return np.zeros((SIZE, SIZE, 4), np.uint8)


def _fixed(points: np.ndarray) -> np.ndarray:
  return (points * (SCALE * 2**_SHIFT) + _OFFSET).astype(np.int32, order='C')


def _opaque(colour: Colour) -> tuple[float, ...]:
  r, g, b = colour.tolist() if isinstance(colour, np.ndarray) else colour
  return min(r, 255.0), min(g, 255.0), min(b, 255.0), 255.0


def fill(image: np.ndarray, colour: Colour, *curves: np.ndarray) -> None:
  """Fills closed curves [n, 2] (even-odd) on an RGBA canvas."""
  cv2.fillPoly(
      image, [_fixed(c) for c in curves], _opaque(colour), cv2.LINE_AA, _SHIFT
  )


def line(
    image: np.ndarray, colour: Colour, curve: np.ndarray, width: int = 1
) -> None:
  """Draws an open curve [n, 2]; `width` is in canvas pixels."""
  cv2.polylines(
      image,
      [_fixed(curve)],
      False,
      _opaque(colour),
      width,
      cv2.LINE_AA,
      _SHIFT,
  )


def disc(
    image: np.ndarray, colour: Colour, centre: np.ndarray, radius: float
) -> None:
  """Draws a filled circle; `radius` is in crop pixels."""
  x, y = _fixed(np.asarray(centre)).tolist()
  cv2.circle(
      image,
      (x, y),
      round(radius * SCALE * 2**_SHIFT),
      _opaque(colour),
      -1,
      cv2.LINE_AA,
      _SHIFT,
  )


def mask(*curves: np.ndarray, blur: float = 0.0) -> np.ndarray:
  """Returns coverage uint8 [SIZE, SIZE]; `blur` is a sigma in canvas pixels."""
  image = np.zeros((SIZE, SIZE), np.uint8)
  cv2.fillPoly(image, [_fixed(c) for c in curves], 255, cv2.LINE_AA, _SHIFT)
  return cv2.GaussianBlur(image, (0, 0), blur) if blur else image


def blend(
    below: np.ndarray, above: np.ndarray, cover: np.ndarray
) -> np.ndarray:
  """Returns `above` where `cover` (uint8 [h, w]) is 255, `below` where it is 0."""
  shown = cv2.merge([cover] * 4)
  return cv2.add(
      cv2.multiply(above, shown, scale=1 / 255),
      cv2.multiply(below, cv2.bitwise_not(shown), scale=1 / 255),
  )


def over(below: np.ndarray, above: np.ndarray) -> np.ndarray:
  """Returns the premultiplied canvas `above` drawn on `below`."""
  clear = cv2.bitwise_not(above[..., 3])
  clear = cv2.merge([clear] * 4)
  return cv2.add(above, cv2.multiply(below, clear, scale=1 / 255))


def window(points: np.ndarray, border: int) -> tuple[slice, slice]:
  """Returns the canvas window around `points`, `border` canvas pixels wider."""
  low = (points.min(0) + MARGIN) * SCALE - border
  high = (points.max(0) + MARGIN) * SCALE + border
  x0, y0 = np.clip(np.floor(low), 0, SIZE).astype(int)
  x1, y1 = np.clip(np.ceil(high), 0, SIZE).astype(int)
  return slice(y0, y1), slice(x0, x1)


def box(points: np.ndarray, border: float) -> np.ndarray:
  """Returns the rectangle [4, 2] around `points`, `border` crop pixels wider."""
  (x0, y0), (x1, y1) = points.min(0) - border, points.max(0) + border
  return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
