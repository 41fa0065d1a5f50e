"""Image augmentation on the device, inside the jitted step.

Images arrive as uint8 and leave as float32 in 0..255, then normalised. All
draws are indexed by the position in the global batch, so they do not depend on
how many devices the batch is spread over.
"""

from collections.abc import Sequence
import dataclasses

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, PRNGKeyArray, Real, UInt8

from abaw_jax.augmentation import boxes, colors, rand_augment
from abaw_jax.core import errors


@dataclasses.dataclass(frozen=True)
class Augmentation:
  """What happens to uint8 images on the device.

  Attributes:
    size: side in pixels of the images that the model takes.
    mean: RGB mean that is subtracted, on the scale [0, 1].
    std: RGB deviation that is divided by, on the scale [0, 1].
    crop_scale: least share of the area that a random crop keeps; 1 = no crop.
    flip: whether half of the training images are mirrored.
    jitter: how much brightness, contrast, saturation and hue are changed, see
      `colors.jitter`; 0 leaves one alone.
    rand_ops: operations of RandAugment on each image; 0 = none.
    rand_magnitude: how strong they are, from 0 to `rand_augment.STRONGEST`.
    erase: probability that an image loses a box, see `random_erase`.

  Raises:
    InputError: a number is out of its range.
  """

  size: int
  mean: tuple[float, float, float]
  std: tuple[float, float, float]
  crop_scale: float
  flip: bool
  jitter: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
  rand_ops: int = 0
  rand_magnitude: int = 9
  erase: float = 0.0

  def __post_init__(self):
    for name, right, wanted in (
        (
            'jitter',
            len(self.jitter) == 4
            and min(self.jitter) >= 0
            and self.jitter[3] <= 0.5,
            'four numbers from 0, the last, of the hue, up to 0.5',
        ),
        ('rand_ops', self.rand_ops >= 0, 'a number from 0'),
        (
            'rand_magnitude',
            0 <= self.rand_magnitude <= rand_augment.STRONGEST,
            f'a number from 0 to {rand_augment.STRONGEST}',
        ),
        ('erase', 0 <= self.erase <= 1, 'a probability'),
    ):
      if not right:
        raise errors.InputError(
            f'config.augment.{name}={getattr(self, name)}: give {wanted}'
        )

  def train(
      self, key: PRNGKeyArray, images: Real[Array, 'b h w 3']
  ) -> Float[Array, 'b {self.size} {self.size} 3']:
    """Returns what training sees of the images, normalised.

    They are cropped or resized, flipped, jittered, put through RandAugment,
    normalised and erased in part, each as far as it is asked for.
    """
    crop_key, flip_key = jax.random.split(key)
    # `split` uses up the numbers 0 and 1.
    jitter_key, rand_key, erase_key = jax.random.split(
        jax.random.fold_in(key, 2), 3
    )
    if self.crop_scale < 1.0:
      images = random_resized_crop(
          crop_key, images, size=self.size, scale=(self.crop_scale, 1.0)
      )
    else:
      images = resize(images, size=self.size)
    if self.flip:
      images = random_flip(flip_key, images)
    if any(self.jitter):
      images = colors.jitter(jitter_key, images, self.jitter)
    if self.rand_ops:
      images = rand_augment.rand_augment(
          rand_key, images, count=self.rand_ops, magnitude=self.rand_magnitude
      )
    images = normalize(images, self.mean, self.std)
    if self.erase:
      images = random_erase(erase_key, images, probability=self.erase)
    return images

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


def random_resized_crop(
    key: PRNGKeyArray,
    images: Real[Array, 'b h w c'],
    *,
    size: int,
    scale: tuple[float, float] = (0.2, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Float[Array, 'b s s c']:
  """Returns a random box of each image at `size` x `size`, float32 in 0..255.

  Boxes are those of `boxes.random_boxes`, resampling that of `crop_resize`.
  """
  count, height, width, _ = images.shape
  places = boxes.random_boxes(
      key, count=count, height=height, width=width, scale=scale, ratio=ratio
  )
  return crop_resize(images, places, size=size)


def random_flip(
    key: PRNGKeyArray, images: Real[Array, 'b h w c']
) -> Real[Array, 'b h w c']:
  """Returns the images, each mirrored left to right with probability 1/2."""
  flip = jax.random.bernoulli(key, 0.5, (images.shape[0], 1, 1, 1))
  return jnp.where(flip, images[:, :, ::-1], images)


def random_erase(
    key: PRNGKeyArray,
    images: Float[Array, 'b h w c'],
    *,
    probability: float,
    scale: tuple[float, float] = (0.02, 0.33),
    ratio: tuple[float, float] = (0.3, 1 / 0.3),
) -> Float[Array, 'b h w c']:
  """Returns the images, each with a box of zeros with this probability.

  After normalisation 0 is the mean colour. The area of a box is uniform in
  `scale`, as a share of the image, and the logarithm of its width / height is
  uniform within `ratio` (Zhong et al., arXiv 1708.04896).
  """
  choice_key, box_key = jax.random.split(key)
  count, height, width, _ = images.shape
  places = boxes.random_boxes(
      box_key,
      count=count,
      height=height,
      width=width,
      scale=scale,
      ratio=ratio,
  )
  chosen = jax.random.bernoulli(choice_key, probability, (count, 1, 1))
  rows = _within(height, places[:, 0], places[:, 2])  # [b, h]
  columns = _within(width, places[:, 1], places[:, 3])  # [b, w]
  erased = chosen & rows[:, :, None] & columns[:, None, :]
  return jnp.where(erased[..., None], 0.0, images)


def _within(
    length: int, start: Float[Array, 'b'], extent: Float[Array, 'b']
) -> Bool[Array, 'b {length}']:
  """Returns which places from 0 on lie within an interval."""
  places = jnp.arange(length, dtype=jnp.float32)[None]
  start, extent = start[:, None], extent[:, None]
  return (places >= start) & (places < start + extent)
