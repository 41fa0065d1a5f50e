"""Image augmentation on the device, inside the jitted step.

Images arrive as uint8 and leave as float32 in 0..255, then normalised. All
draws are indexed by the position in the global batch, so they do not depend on
how many devices the batch is spread over.
"""

from collections.abc import Sequence
import dataclasses
import math

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray, Real, UInt8

_BOX_TRIES = 10


@dataclasses.dataclass(frozen=True)
class Augmentation:
  """What happens to uint8 images on the device.

  Attributes:
    size: side in pixels of the images that the model takes.
    mean: RGB mean that is subtracted, on the scale [0, 1].
    std: RGB deviation that is divided by, on the scale [0, 1].
    crop_scale: least share of the area that a random crop keeps; 1 = no crop.
    flip: whether half of the training images are mirrored.
  """

  size: int
  mean: tuple[float, float, float]
  std: tuple[float, float, float]
  crop_scale: float
  flip: bool

  def train(
      self, key: PRNGKeyArray, images: Real[Array, 'b h w 3']
  ) -> Float[Array, 'b {self.size} {self.size} 3']:
    """Returns randomly cropped, or resized, then flipped, normalised images."""
    crop_key, flip_key = jax.random.split(key)
    if self.crop_scale < 1.0:
      images = random_resized_crop(
          crop_key, images, size=self.size, scale=(self.crop_scale, 1.0)
      )
    else:
      images = resize(images, size=self.size)
    if self.flip:
      images = random_flip(flip_key, images)
    return normalize(images, self.mean, self.std)

  def evaluate(
      self, images: Real[Array, 'b h w 3']
  ) -> Float[Array, 'b {self.size} {self.size} 3']:
    """Returns the whole images, resized and normalised."""
    return normalize(resize(images, size=self.size), self.mean, self.std)

  def pixels(self, images: Float[Array, 'b h w 3']) -> UInt8[Array, 'b h w 3']:
    """Returns normalised images as pixels, clipped to what can be shown."""
    images = images * jnp.reshape(jnp.float32(self.std), (1, 1, 1, 3))
    images += jnp.reshape(jnp.float32(self.mean), (1, 1, 1, 3))
    return jnp.round(jnp.clip(images, 0.0, 1.0) * 255.0).astype(jnp.uint8)


def normalize(
    images: Real[Array, 'b h w 3'],
    mean: Sequence[float],
    std: Sequence[float],
    *,
    dtype: DTypeLike = jnp.float32,
) -> Float[Array, 'b h w 3']:
  """Returns (images / 255 - mean) / std in `dtype`, computed in float32.

  `images` are 0..255, of any real type; `mean` and `std` are per channel, R, G,
  B, on the scale 0..1.
  """
  mean, std = (jnp.reshape(jnp.float32(x), (1, 1, 1, 3)) for x in (mean, std))
  return ((images.astype(jnp.float32) / 255.0 - mean) / std).astype(dtype)


def resize(
    images: Real[Array, 'b h w c'], *, size: int
) -> Float[Array, 'b s s c']:
  """Returns the whole images at `size` x `size`, float32 in 0..255.

  Bicubic, antialiased; the aspect ratio is not kept. Untouched where the images
  have that size.
  """
  b, h, w, _ = images.shape
  if h == w == size:
    return images.astype(jnp.float32)
  whole = jnp.tile(jnp.array([[0, 0, h, w]], jnp.float32), (b, 1))
  return crop_resize(images, whole, size=size)


def crop_resize(
    images: Real[Array, 'b h w c'], boxes: Float[Array, 'b 4'], *, size: int
) -> Float[Array, 'b s s c']:
  """Returns one box of each image at `size` x `size`, float32 in 0..255.

  `boxes` are top, left, height and width in pixels, inside the image. Keys'
  cubic kernel with a = -0.5, widened when it shrinks, as Pillow does, and like
  Pillow's `resize(box=...)` it reads across the border of the box. The result
  is clipped, because a cubic kernel overshoots at edges.
  """

  def one(image, box):
    corner, extent = box[:2], box[2:]
    scale = size / extent
    return jax.image.scale_and_translate(
        image.astype(jnp.float32),
        (size, size, image.shape[-1]),
        spatial_dims=(0, 1),
        scale=scale,
        translation=-corner * scale,
        method='cubic',
        antialias=True,
    )

  return jnp.clip(jax.vmap(one)(images, boxes), 0.0, 255.0)


def random_boxes(
    key: PRNGKeyArray,
    *,
    count: int,
    height: int,
    width: int,
    scale: tuple[float, float] = (0.2, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Float[Array, '{count} 4']:
  """Returns boxes as top, left, height and width, whole numbers of pixels.

  The law of torchvision's RandomResizedCrop: the share of the area is uniform
  in `scale`, the logarithm of width / height is uniform within `ratio`. The
  first of ten draws that fits into the image counts; if none does, it is the
  largest central box whose aspect ratio is allowed.
  """
  shape_key, place_key = jax.random.split(key)
  draws = jax.random.uniform(shape_key, (count, _BOX_TRIES, 2))
  area = scale[0] + (scale[1] - scale[0]) * draws[..., 0]
  low, high = math.log(ratio[0]), math.log(ratio[1])
  aspect = jnp.exp(low + (high - low) * draws[..., 1])
  area *= height * width
  extents = jnp.stack([jnp.sqrt(area / aspect), jnp.sqrt(area * aspect)], -1)
  extents = jnp.round(extents)  # [count, tries, 2]: height, width
  limits = jnp.array([height, width], jnp.float32)
  fits = jnp.all((extents >= 1) & (extents <= limits[None, None]), axis=-1)
  first = jnp.argmax(fits, axis=-1)
  chosen = jnp.take_along_axis(extents, first[:, None, None], axis=1)[:, 0]
  fallback = jnp.array(_largest_box(height, width, ratio), jnp.float32)
  fitted = jnp.any(fits, axis=-1)[:, None]
  extent = jnp.where(fitted, chosen, fallback[None])
  room = limits[None] - extent
  places = jax.random.uniform(place_key, (count, 2))
  corner = jnp.where(
      fitted, jnp.floor(places * (room + 1)), jnp.floor(room / 2)
  )
  # A uniform draw may round up to 1 when it is scaled.
  return jnp.concatenate([jnp.minimum(corner, room), extent], axis=-1)


def random_resized_crop(
    key: PRNGKeyArray,
    images: Real[Array, 'b h w c'],
    *,
    size: int,
    scale: tuple[float, float] = (0.2, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Float[Array, 'b s s c']:
  """Returns a random box of each image at `size` x `size`, float32 in 0..255.

  Boxes are those of `random_boxes`, resampling that of `crop_resize`.
  """
  count, height, width, _ = images.shape
  boxes = random_boxes(
      key, count=count, height=height, width=width, scale=scale, ratio=ratio
  )
  return crop_resize(images, boxes, size=size)


def random_flip(
    key: PRNGKeyArray, images: Real[Array, 'b h w c']
) -> Real[Array, 'b h w c']:
  """Returns the images, each mirrored left to right with probability 1/2."""
  flip = jax.random.bernoulli(key, 0.5, (images.shape[0], 1, 1, 1))
  return jnp.where(flip, images[:, :, ::-1], images)


def _largest_box(
    height: int, width: int, ratio: tuple[float, float]
) -> tuple[int, int]:
  """Returns height and width of the largest box whose ratio is allowed."""
  if width / height < ratio[0]:
    return round(width / ratio[0]), width
  if width / height > ratio[1]:
    return height, round(height * ratio[1])
  return height, width
