"""Several looks at an image, whose outputs are averaged."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Real

from abaw_jax.augmentation import augment

# The whole image; and its mirror image; five crops; and their mirror images.
COUNTS = (1, 2, 5, 10)
CROP = 0.875  # side of a crop over that of the image

# Where the corners of the crops are, as shares of what they leave over.
_PLACES = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.5))


def views(
    images: Real[Array, 'b h w 3'], *, count: int, size: int
) -> list[Float[Array, 'b s s 3']]:
  """Returns `count` looks at each image, float32 in 0..255.

  Args:
    images: of any size, in 0..255.
    count: one of `COUNTS`.
    size: side in pixels of what is returned.
  """
  if count in (1, 2):
    looks = [augment.resize(images, size=size)]
  else:
    looks = [_crop(images, *place, size=size) for place in _PLACES]
  if count in (2, 10):
    looks += [look[:, :, ::-1] for look in looks]
  return looks


def _crop(images, down: float, right: float, *, size: int):
  b, h, w, _ = images.shape
  height, width = CROP * h, CROP * w
  box = [down * (h - height), right * (w - width), height, width]
  boxes = jnp.tile(jnp.array([box], jnp.float32), (b, 1))
  return augment.crop_resize(images, boxes, size=size)
