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
from jaxtyping import Array, Float

from abaw_jax.cpu import pooling
from abaw_jax.models.convnets import convnet
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

_conv = functools.partial(convolutions.conv, initializer=convnet.HE)


class Layer(convnet.Block):
  """BN, ReLU, conv 1x1, BN, ReLU, conv 3x3, concatenated to the input.

  Attributes:
    growth: number of added channels.
  """

  growth: int

  @nn.compact
  def __call__(
      self,
      x: Float[Array, 'b h w c'],
      moments: batch_norm.Moments | None,
      *,
      train: bool,
  ) -> tuple[Float[Array, 'b h w d'], batch_norm.Moments | None]:
    """Returns `x` with `growth` more channels, and the moments of all channels.

    `moments` are those of the channels of `x`; None if unused.
    """
    y = self.norm(x, 'norm1', train, batch_moments=moments)
    width = BOTTLENECK * self.growth
    y = _conv(width, 1, dtype=self.dtype, name='conv1')(nn.relu(y))
    y = self.norm(y, 'norm2', train)
    y = _conv(self.growth, 3, dtype=self.dtype, name='conv2')(nn.relu(y))
    if moments is not None:
      moments = jax.tree.map(
          lambda *parts: jnp.concatenate(parts), moments, batch_norm.moments(y)
      )
    return jnp.concatenate([x, y], axis=-1), moments


class Transition(convnet.Block):
  """BN, ReLU, conv 1x1 to half the channels, average pooling over 2 x 2 pixels."""

  @nn.compact
  def __call__(
      self,
      x: Float[Array, 'b h w c'],
      moments: batch_norm.Moments | None,
      *,
      train: bool,
  ) -> Float[Array, 'b h_ w_ d']:
    """Returns a map with half the side and half the channels; see `Layer`."""
    y = self.norm(x, 'norm', train, batch_moments=moments)
    conv = _conv(x.shape[-1] // 2, 1, dtype=self.dtype, name='conv')
    return pooling.average_pool(conv(nn.relu(y)))


class DenseNet(convnet.ConvNet):
  """DenseNet with bottlenecks and compression (DenseNet-BC).

  A transition belongs to the stage before it, but not to the map of the stage.

  Attributes:
    layers: layers per stage.
    growth: channels that each layer adds.
    stem_width: channels of the stem.
    grey: whether the stem reads luminance with one convolution of stride 2 and
      no pooling. Otherwise it is ImageNet's stem on RGB. With `grey` all
      channels of the input have one mean and std.
  """

  layers: tuple[int, ...]
  growth: int
  stem_width: int
  grey: bool = False

  @property
  def dim(self) -> int:
    """Width of the embedding."""
    width = self.stem_width
    for i, count in enumerate(self.layers):
      width = (width // 2 if i else width) + count * self.growth
    return width

  @nn.compact
  def features(
      self, images: Float[Array, 'b h w 3'], *, train: bool
  ) -> dict[str, Float[Array, 'b ...']]:
    """Returns all maps and the embedding, see `ConvNet.features`."""
    maps = {'stem': self.stem(images, train)}
    x = maps['stem']
    for stage, count in enumerate(self.layers, start=1):
      options = self.options(stage)
      # Every later layer normalises a channel; its moments are computed once.
      frozen = options['frozen']
      moments = batch_norm.moments(x) if train and not frozen else None
      for i in range(count):
        layer = Layer(self.growth, **options, name=f'stage{stage}_{i}')
        x, moments = self.apply_block(layer, x, moments, train=train)
      maps[f'stage{stage}'] = x
      if stage < len(self.layers):
        transition = Transition(**options, name=f'stage{stage}_transition')
        x = self.apply_block(transition, x, moments, train=train)
    norm = batch_norm.BatchNorm(**options, name=f'stage{stage}_norm')
    maps['map'] = nn.relu(norm(x, train=train, batch_moments=moments))
    return maps | {'embedding': self.embed(maps['map'], train)}

  def stem(self, x: Array, train: bool) -> Float[Array, 'b h w c']:
    """Returns the map before the first stage."""
    if self.grey:
      x = jnp.einsum(
          'bhwc,c->bhw', x, jnp.asarray(GREY, x.dtype), precision='highest'
      )[..., None]
    size = 3 if self.grey else 7
    x = _conv(
        self.stem_width, size, stride=2, dtype=self.dtype, name='stem_conv'
    )(x)
    if self.grey:
      return x
    return pooling.max_pool(nn.relu(self.norm(x, 'stem_norm', 0, train)))

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
