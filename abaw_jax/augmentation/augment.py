"""Image augmentation on the device, inside the compiled step.

Inputs are uint8 images. Random numbers depend on the position in the global
batch, and not on the number of devices.
"""

from collections.abc import Sequence
import dataclasses

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, PRNGKeyArray, Real, UInt8

from abaw_jax.augmentation import boxes, colors, face_masking, rand_augment
from abaw_jax.core import choices, errors


@dataclasses.dataclass(frozen=True)
class Augmentation:
  """Preprocessing of uint8 images, for training and for evaluation.

  Attributes:
    size: side in pixels of the input of the model.
    mean: RGB mean on the scale [0, 1], each in [0, 1].
    std: RGB standard deviation on the scale [0, 1], each in (0, 1].
    crop_scale: minimum area of a random crop / area of the image, in (0, 1]; 1
      means no crop.
    flip: whether half of the training images are mirrored.
    jitter: strength of random brightness, contrast, saturation and hue, see
      `colors.jitter`; each at least 0, hue at most 0.5; 0 disables one.
    rand_ops: RandAugment operations per image; 0 means none.
    rand_magnitude: their strength, from 0 to `rand_augment.MAX_MAGNITUDE`.
    erase: probability that a box of an image is erased, in [0, 1], see
      `random_erase`.
    mask: probability that a region of an image is masked, in [0, 1].
    mask_regions: the regions, some of `face_masking.NAMES`, separated by commas.
    fit: as in `data/images.py`; the host does it, so it has no effect here.
    filter: the filter of the host; the device uses the same kernel.
  """

  size: int
  mean: tuple[float, ...]
  std: tuple[float, ...]
  crop_scale: float
  flip: bool
  jitter: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
  rand_ops: int = 0
  rand_magnitude: int = 9
  erase: float = 0.0
  mask: float = 0.0
  mask_regions: str = ','.join(face_masking.NAMES)
  fit: str = 'crop'
  filter: str = 'opencv'

  def __post_init__(self):
    if self.mask and not self._regions:
      raise errors.InputError(
          f'config.augment.mask={self.mask}: config.augment.mask_regions is '
          f'empty; name some of {choices.listing(face_masking.NAMES)}'
      )

  @property
  def _regions(self) -> tuple[str, ...]:
    """The names of the regions; raises an InputError for a wrong one."""
    return choices.names(
        face_masking.NAMES, self.mask_regions, 'augment.mask_regions'
    )

  @property
  def method(self) -> str:
    """Kernel of `jax.image`."""
    is_linear = self.filter in ('bilinear', 'opencv_linear')
    return 'linear' if is_linear else 'cubic'

  def train(
      self, key: PRNGKeyArray, images: Real[Array, 'b h w 3']
  ) -> Float[Array, 'b {self.size} {self.size} 3']:
    """Returns augmented, normalised images for training.

    The order is: mask, crop or resize, flip, jitter, RandAugment,
    normalisation, erase.
    """
    crop_key, flip_key = jax.random.split(key)
    # `fold_in(key, 2)`, because `split` above uses the counters 0 and 1.
    jitter_key, rand_key, erase_key = jax.random.split(
        jax.random.fold_in(key, 2), 3
    )
    if self.mask:
      images = face_masking.mask(
          jax.random.fold_in(key, 3),
          images,
          probability=self.mask,
          names=self._regions,
          fill=tuple(round(255 * x) for x in self.mean),
      )
    if self.crop_scale < 1.0:
      images = random_resized_crop(
          crop_key,
          images,
          size=self.size,
          scale=(self.crop_scale, 1.0),
          method=self.method,
      )
    else:
      images = resize(images, size=self.size, method=self.method)
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
    """Returns the full images, resized and normalised."""
    images = resize(images, size=self.size, method=self.method)
    return normalize(images, self.mean, self.std)

  def pixels(self, images: Float[Array, 'b h w 3']) -> UInt8[Array, 'b h w 3']:
    """Returns normalised images as pixels, clipped to 0..255."""
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

  Args:
    images: pixels in 0..255, of any real type.
    mean: mean of R, G and B on the scale 0..1.
    std: standard deviation of R, G and B on the scale 0..1.
    dtype: dtype of the result.
  """
  mean, std = (jnp.reshape(jnp.float32(x), (1, 1, 1, 3)) for x in (mean, std))
  return ((images.astype(jnp.float32) / 255.0 - mean) / std).astype(dtype)


def resize(
    images: Real[Array, 'b h w c'], *, size: int, method: str = 'cubic'
) -> Float[Array, 'b s s c']:
  """Returns the full images at `size` x `size`, float32 in 0..255.

  Antialiased; the aspect ratio is not kept. Images of that size are
  unchanged.
  """
  b, h, w, _ = images.shape
  if h == w == size:
    return images.astype(jnp.float32)
  full = jnp.tile(jnp.array([[0, 0, h, w]], jnp.float32), (b, 1))
  return crop_resize(images, full, size=size, method=method)


def crop_resize(
    images: Real[Array, 'b h w c'],
    boxes: Float[Array, 'b 4'],
    *,
    size: int,
    method: str = 'cubic',
) -> Float[Array, 'b s s c']:
  """Returns one box of each image at `size` x `size`, float32 in 0..255.

  The kernel is that of Pillow, linear or Keys' cubic with a = -0.5: it is wider
  when an image shrinks, and reads pixels outside the box, like `resize(box=...)`.
  The result is clipped, because a cubic kernel overshoots at edges.

  Args:
    images: pixels in 0..255.
    boxes: top, left, height and width in pixels, inside the image.
    size: side of the result in pixels.
    method: 'linear' or 'cubic'.
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
        method=method,
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
    method: str = 'cubic',
) -> Float[Array, 'b s s c']:
  """Returns a random box of each image at `size` x `size`, float32 in 0..255.

  See `boxes.random_boxes` for the boxes and `crop_resize` for the resampling.
  """
  count, height, width, _ = images.shape
  places = boxes.random_boxes(
      key, count=count, height=height, width=width, scale=scale, ratio=ratio
  )
  return crop_resize(images, places, size=size, method=method)


def random_crop(
    key: PRNGKeyArray, images: Real[Array, 'b h w c'], *, size: int
) -> Real[Array, 'b {size} {size} c']:
  """Returns a random square of each image, at its resolution."""
  count, height, width, channels = images.shape
  most = jnp.array([height - size, width - size, 0])
  corners = jax.random.randint(key, (count, 3), 0, most[None] + 1)
  return jax.vmap(
      lambda image, corner: jax.lax.dynamic_slice(
          image, corner, (size, size, channels)
      )
  )(images, corners)


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
  """Returns the images; each has a box of zeros with this probability.

  0 is the mean colour of normalised images. The area of a box / area of the
  image is uniform in `scale`; the logarithm of its width / height is uniform in
  `ratio` (Zhong et al., arXiv 1708.04896).
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
  """Returns True for the pixel indices in [start, start + extent)."""
  places = jnp.arange(length, dtype=jnp.float32)[None]
  start, extent = start[:, None], extent[:, None]
  return (places >= start) & (places < start + extent)
