"""DenseNet with torchvision's names, and a small DenseNet for grey faces.

Public weights of `densenet_121` and `densenet_169` (torchvision, timm) expect
RGB images of 224 x 224 pixels, mean (0.485, 0.456, 0.406), std (0.229, 0.224,
0.225). `densenet_100_grey` is DenseNet-BC of depth 100 for expressions. It
gives AIM3's 342 features and expects grey images of 64 x 64 pixels, mean
0.51402, std 0.18768.
Reference: Huang et al., arXiv 1608.06993.
"""

import functools

from flax import linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from abaw_jax.cpu import pooling
from abaw_jax.models.layers import batch_norm, convolutions

SIZES = {
    'densenet_121': {
        'layers': (6, 12, 24, 16), 'growth': 32, 'stem_width': 64, 'grey': False
    },
    'densenet_169': {
        'layers': (6, 12, 32, 32), 'growth': 32, 'stem_width': 64, 'grey': False
    },
    'densenet_100_grey': {
        'layers': (16, 16, 16), 'growth': 12, 'stem_width': 24, 'grey': True
    },
}  # fmt: skip
BOTTLENECK = 4  # width of the first convolution of a layer / growth
GREY = (0.299, 0.587, 0.114)  # luminance of ITU-R BT.601, as in image libraries

_INITIALIZER = nn.initializers.variance_scaling(2.0, 'fan_in', 'normal')


class Layer(nn.Module):
  """BN, ReLU, conv 1x1, BN, ReLU, conv 3x3, concatenated to the input.

  Attributes:
    growth: number of added channels.
    frozen: whether training does not change batch statistics.
    dtype: compute dtype; parameters are float32.
  """

  growth: int
  frozen: bool = False
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
      self,
      x: Float[Array, 'b h w c'],
      moments: batch_norm.Moments | None,
      *,
      train: bool,
  ) -> tuple[Float[Array, 'b h w d'], batch_norm.Moments | None]:
    """Returns `x` with `growth` more channels, and the moments of all channels.

    Args:
      x: feature map.
      moments: moments of the batch per channel; None if unused.
      train: whether to use the statistics of the batch.
    """
    y, batch_moments = x, moments
    for i, (width, size) in enumerate(
        ((BOTTLENECK * self.growth, 1), (self.growth, 3)), start=1
    ):
      y = batch_norm.BatchNorm(
          frozen=self.frozen, dtype=self.dtype, name=f'norm{i}'
      )(y, train=train, batch_moments=batch_moments)
      y = convolutions.conv(
          width,
          size,
          initializer=_INITIALIZER,
          dtype=self.dtype,
          name=f'conv{i}',
      )(nn.relu(y))
      batch_moments = None
    if moments is not None:
      moments = jax.tree.map(
          lambda *parts: jnp.concatenate(parts), moments, batch_norm.moments(y)
      )
    return jnp.concatenate([x, y], axis=-1), moments


class Transition(nn.Module):
  """BN, ReLU, conv 1x1 to half the channels, average pooling over 2 x 2 pixels.

  Attributes:
    frozen: whether training does not change batch statistics.
    dtype: compute dtype; parameters are float32.
  """

  frozen: bool = False
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
      self,
      x: Float[Array, 'b h w c'],
      moments: batch_norm.Moments | None,
      *,
      train: bool,
  ) -> Float[Array, 'b h_ w_ d']:
    """Returns a map with half the side and half the channels; see `Layer`."""
    y = batch_norm.BatchNorm(frozen=self.frozen, dtype=self.dtype, name='norm')(
        x, train=train, batch_moments=moments
    )
    y = convolutions.conv(
        x.shape[-1] // 2,
        1,
        initializer=_INITIALIZER,
        dtype=self.dtype,
        name='conv',
    )(nn.relu(y))
    return nn.avg_pool(y, (2, 2), (2, 2))


class DenseNet(nn.Module):
  """DenseNet with bottlenecks and compression (DenseNet-BC).

  Names of parameters start with their stage: `stem_*`, `stage1_*` and so on. A
  transition belongs to the stage before it.

  Attributes:
    layers: layers per stage.
    growth: channels that each layer adds.
    stem_width: channels of the stem.
    image_size: side of the input in pixels.
    grey: whether the stem reads luminance with one convolution of stride 2 and
      no pooling. Otherwise it is ImageNet's stem on RGB.
    frozen_stages: how many of stem and stages, counted from the input, use
      running statistics in training, unchanged; `len(layers) + 1` means all.
    remat: rematerialisation policy, a key of `rematerialization.POLICIES`.
    dtype: compute dtype; parameters and statistics are float32.
  """

  layers: tuple[int, ...]
  growth: int
  stem_width: int
  image_size: int = 224
  grey: bool = False
  frozen_stages: int = 0
  remat: str = 'none'
  dtype: DTypeLike = jnp.float32

  @property
  def dim(self) -> int:
    """Width of the embedding."""
    width = self.stem_width
    for i, count in enumerate(self.layers):
      width = (width // 2 if i else width) + count * self.growth
    return width

  def __call__(
      self, images: Float[Array, 'b h w 3'], *, train: bool
  ) -> Float[Array, 'b d']:
    """Returns one float32 embedding per image: the mean of the last map."""
    return self.features(images, train=train)['embedding']

  @nn.compact
  def features(
      self, images: Float[Array, 'b h w 3'], *, train: bool
  ) -> dict[str, Float[Array, 'b ...']]:
    """Returns the map after each stage, the final `map` and the `embedding`.

    The keys are 'stem', 'stage1' and so on (before the transition), 'map'
    (after the last BN and ReLU) and 'embedding'.

    Args:
      images: normalised images; with `grey` all channels have one mean and std.
      train: whether to use the statistics of the batch.
    """
    maps = {'stem': self._stem(images, train)}
    x = maps['stem']
    apply = functools.partial(
        convolutions.apply_block, remat=self.remat, train=train
    )
    for stage, count in enumerate(self.layers, start=1):
      frozen = self.frozen_stages > stage
      options = {'frozen': frozen, 'dtype': self.dtype}
      # Every later layer normalises a channel; its moments are computed once.
      moments = batch_norm.moments(x) if train and not frozen else None
      for i in range(count):
        layer = Layer(self.growth, **options, name=f'stage{stage}_{i}')
        x, moments = apply(layer, x, moments)
      maps[f'stage{stage}'] = x
      if stage < len(self.layers):
        transition = Transition(**options, name=f'stage{stage}_transition')
        x = apply(transition, x, moments)
    norm = batch_norm.BatchNorm(**options, name=f'stage{stage}_norm')
    maps['map'] = nn.relu(norm(x, train=train, batch_moments=moments))
    embedding = jnp.mean(maps['map'], axis=(1, 2), dtype=jnp.float32)
    return maps | {'embedding': embedding}

  def _stem(self, x, train):
    if self.grey:
      x = jnp.einsum(
          'bhwc,c->bhw', x, jnp.asarray(GREY, x.dtype), precision='highest'
      )[..., None]
    x = convolutions.conv(
        self.stem_width,
        3 if self.grey else 7,
        stride=2,
        initializer=_INITIALIZER,
        dtype=self.dtype,
        name='stem_conv',
    )(x)
    if self.grey:
      return x
    x = batch_norm.BatchNorm(
        frozen=self.frozen_stages > 0, dtype=self.dtype, name='stem_norm'
    )(x, train=train)
    return pooling.max_pool(nn.relu(x))

  @property
  def flops(self) -> int:
    """FLOPs of the forward pass per image: convolutions."""
    channels, size = (1, 3) if self.grey else (3, 7)
    width = self.stem_width
    side, total = convolutions.flops(self.image_size, channels, width, size, 2)
    if not self.grey:
      side = -(-side // 2)
    neck = BOTTLENECK * self.growth
    for stage, count in enumerate(self.layers):
      if stage:
        total += convolutions.flops(side, width, width // 2, 1)[1]
        side, width = side // 2, width // 2
      for _ in range(count):
        total += convolutions.flops(side, width, neck, 1)[1]
        total += convolutions.flops(side, neck, self.growth, 3)[1]
        width += self.growth
    return total
