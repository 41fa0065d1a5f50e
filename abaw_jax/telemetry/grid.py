"""A grid of pictures under column titles, and the PNG it is kept as."""

from collections.abc import Mapping

import cv2
from jaxtyping import UInt8
import numpy as np

_GAP = 4  # pixels between two pictures
_TITLE = 22  # pixels above the columns
_LEAST = 112  # side in pixels that a picture is scaled up to


def draw(
    columns: Mapping[str, UInt8[np.ndarray, 'b s s 3']],
) -> UInt8[np.ndarray, 'h w 3']:
  """Returns one RGB image: b rows of pictures, a column for each title.

  Pictures below 112 pixels are scaled up by a whole number, pixel by pixel, so
  that one sees what the model saw.
  """
  side = next(iter(columns.values())).shape[-2]
  scale = -(-_LEAST // side)
  parts = [_column(title, images, scale) for title, images in columns.items()]
  grid = np.concatenate(parts, axis=1)
  return np.pad(
      grid, ((0, 0), (_GAP, 0), (0, 0)), constant_values=255
  )  # the gap on the left


def encode_png(image: UInt8[np.ndarray, 'h w 3']) -> bytes:
  """Returns an RGB image as the bytes of a PNG file."""
  _, encoded = cv2.imencode('.png', cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
  return encoded.tobytes()


def _column(
    title: str, images: UInt8[np.ndarray, 'b s s 3'], scale: int
) -> UInt8[np.ndarray, 'h w 3']:
  """Returns pictures below each other and their title, gaps below and right."""
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
