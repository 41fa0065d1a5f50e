"""A grid of pictures with column titles, and its PNG file."""

from collections.abc import Mapping

import cv2
from jaxtyping import UInt8
import numpy as np

_GAP = 4  # pixels between two pictures
_TITLE = 22  # pixels above the columns
_MIN_SIDE = 112  # pixels; smaller pictures are scaled up


def draw(
    columns: Mapping[str, UInt8[np.ndarray, 'b s s 3']],
) -> UInt8[np.ndarray, 'h w 3']:
  """Returns one RGB image: b rows of pictures, with one column per title.

  Pictures with a side below 112 pixels are scaled up by an integer factor
  without interpolation, so that the pixels of the model's input are visible.
  """
  side = next(iter(columns.values())).shape[-2]
  scale = -(-_MIN_SIDE // side)
  parts = [_column(title, images, scale) for title, images in columns.items()]
  grid = np.concatenate(parts, axis=1)
  left_gap = ((0, 0), (_GAP, 0), (0, 0))
  return np.pad(grid, left_gap, constant_values=255)


def encode_png(image: UInt8[np.ndarray, 'h w 3']) -> bytes:
  """Returns the bytes of a PNG file of an RGB image."""
  _, encoded = cv2.imencode('.png', cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
  return encoded.tobytes()


def _column(
    title: str, images: UInt8[np.ndarray, 'b s s 3'], scale: int
) -> UInt8[np.ndarray, 'h w 3']:
  """Returns a title and a column of pictures, with gaps below and right."""
  images = images.repeat(scale, axis=1).repeat(scale, axis=2)
  images = np.pad(
      images, ((0, 0), (0, _GAP), (0, _GAP), (0, 0)), constant_values=255
  )
  pictures = images.reshape(-1, *images.shape[-2:])
  head = np.full((_TITLE, pictures.shape[1], 3), 255, np.uint8)
  cv2.putText(
      head,
      title,
      (0, _TITLE - 8),
      cv2.FONT_HERSHEY_SIMPLEX,
      fontScale=0.45,
      color=(0, 0, 0),
      lineType=cv2.LINE_AA,
  )
  return np.concatenate([head, pictures])
