"""Several views of an image, whose outputs are averaged."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Real

from abaw_jax.augmentation import augment

# 1: full image; 2: and its mirror image; 5: crops; 10: and their mirror images.
COUNTS = (1, 2, 5, 10)
CROP = 0.875  # side of a crop / side of the image

# Corners of the crops / margin around a crop: (down, right).
_CORNERS = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.5))


def views(
    images: Real[Array, 'b h w 3'],
    *,
    count: int,
    size: int,
    method: str = 'cubic',
) -> list[Float[Array, 'b s s 3']]:
  """Returns `count` views of each image, float32 in 0..255.

  Args:
    images: images of any size, in 0..255.
    count: one of `COUNTS`.
    size: side of the views in pixels.
    method: as in `augment.crop_resize`.
  """
  options = {'size': size, 'method': method}
  if count in (1, 2):
    result = [augment.resize(images, **options)]
  else:
    result = [_crop(images, *corner, **options) for corner in _CORNERS]
  if count in (2, 10):
    result += [view[:, :, ::-1] for view in result]
  return result


def _crop(images, down: float, right: float, **options):
  b, h, w, _ = images.shape
  height, width = CROP * h, CROP * w
  box = [down * (h - height), right * (w - width), height, width]
  boxes = jnp.tile(jnp.array([box], jnp.float32), (b, 1))
  return augment.crop_resize(images, boxes, **options)
