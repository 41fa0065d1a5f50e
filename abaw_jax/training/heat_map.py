"""A table of numbers as a picture: blue above zero, red below."""

from collections.abc import Sequence

import cv2
from jaxtyping import Float, UInt8
import numpy as np

_CELL = (56, 112)  # pixels, height and width
_HEAD = (60, 130)  # above the columns, in front of the rows
_BLUE = np.array([33, 102, 172], np.float64)
_RED = np.array([178, 24, 43], np.float64)
_EMPTY = np.array([235, 235, 235], np.uint8)


def draw(
    mean: Float[np.ndarray, 'r k'],
    std: Float[np.ndarray, 'r k'],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
) -> UInt8[np.ndarray, 'h w 3']:
  """Returns an RGB image with a coloured cell for every number.

  The largest magnitude has the full colour. A cell shows its mean, and below its
  standard deviation where there is one; NaN is grey and empty.

  Args:
    mean: what is coloured.
    std: standard deviations, NaN where there is none.
    rows: what stands in front of the rows.
    columns: what stands above the columns.
    title: of the whole, in the first line.
  """
  largest = np.nanmax(np.abs(mean), initial=0.0) or 1.0
  (height, width), (above, left) = _CELL, _HEAD
  image = np.full(
      (above + height * len(rows), left + width * len(columns), 3),
      255,
      np.uint8,
  )
  _write(image, title, (8, 20))
  for j, name in enumerate(columns):
    _write(image, name, (left + width * j + 8, above - 10))
  for i, name in enumerate(rows):
    top = above + height * i
    _write(image, name, (8, top + height // 2 + 5))
    for j in range(len(columns)):
      start = left + width * j
      # A white line stays between two cells.
      cell = image[top : top + height - 2, start : start + width - 2]
      _fill(cell, mean[i, j] / largest)
      if np.isnan(mean[i, j]):
        continue
      dark = bool(abs(mean[i, j]) > 0.6 * largest)
      _write(image, f'{mean[i, j]:+.1f}', (start + 8, top + 24), light=dark)
      if not np.isnan(std[i, j]):
        _write(image, f'+- {std[i, j]:.1f}', (start + 8, top + 44), light=dark)
  return image


def _fill(cell: UInt8[np.ndarray, 'h w 3'], share: float) -> None:
  """Colours a cell by a share from -1 to 1, or grey for NaN."""
  if np.isnan(share):
    cell[:] = _EMPTY
    return
  full = _BLUE if share > 0 else _RED
  cell[:] = np.rint(255 + abs(share) * (full - 255)).astype(np.uint8)


def _write(
    image: UInt8[np.ndarray, 'h w 3'],
    text: str,
    place: tuple[int, int],
    *,
    light: bool = False,
) -> None:
  cv2.putText(
      image,
      text,
      place,
      cv2.FONT_HERSHEY_SIMPLEX,
      fontScale=0.45,
      color=(255, 255, 255) if light else (0, 0, 0),
      lineType=cv2.LINE_AA,
  )
