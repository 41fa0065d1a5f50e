"""ConvNeXt-V2 with the sizes of facebookresearch/ConvNeXt-V2 and timm.

Public weights expect RGB images of 224 x 224 pixels, mean (0.485, 0.456, 0.406),
std (0.229, 0.224, 0.225). Other sizes work too. Reference: Woo et al., arXiv
2301.00808.
"""

from typing import Any

from flax import linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from abaw_jax.models.convnets import convnet
from abaw_jax.models.layers import convolutions, dense, stochastic_depth

SIZES = {
    'convnextv2_atto': {'layers': (2, 2, 6, 2), 'stem_width': 40},
    'convnextv2_femto': {'layers': (2, 2, 6, 2), 'stem_width': 48},
    'convnextv2_pico': {'layers': (2, 2, 6, 2), 'stem_width': 64},
    'convnextv2_nano': {'layers': (2, 2, 8, 2), 'stem_width': 80},
    'convnextv2_tiny': {'layers': (3, 3, 9, 3), 'stem_width': 96},
    'convnextv2_base': {'layers': (3, 3, 27, 3), 'stem_width': 128},
    'convnextv2_large': {'layers': (3, 3, 27, 3), 'stem_width': 192},
}
STEM = 4  # side and stride of the stem's convolution
KERNEL = 7  # side of the depthwise kernels
EXPANSION = 4  # width inside a block / width of the block
_EPSILON = 1e-6  # of layer normalisation and GRN
_INITIALIZER = nn.initializers.truncated_normal(0.02)
_LEAST_SQUARE = 1e-30  # keeps the gradient of a norm finite at 0


def _layer_norm(dtype: DTypeLike, name: str) -> nn.LayerNorm:
  return nn.LayerNorm(epsilon=_EPSILON, dtype=dtype, name=name)


class GlobalResponseNorm(nn.Module):
  """Scales each channel by its norm over the map / the mean norm (section 4)."""

  @nn.compact
  def __call__(self, x: Float[Array, 'b h w c']) -> Float[Array, 'b h w c']:
    """Returns a map of the same shape and dtype; equal to `x` at the start."""
    zeros = nn.initializers.zeros
    scale = self.param('scale', zeros, x.shape[-1:], jnp.float32)
    bias = self.param('bias', zeros, x.shape[-1:], jnp.float32)
    y = x.astype(jnp.float32)
    squares = jnp.sum(jnp.square(y), axis=(1, 2), keepdims=True)
    norms = jnp.sqrt(jnp.maximum(squares, _LEAST_SQUARE))
    response = norms / (norms.mean(axis=-1, keepdims=True) + _EPSILON)
    scale, bias = scale[None, None, None], bias[None, None, None]
    return (y + scale * (y * response) + bias).astype(x.dtype)


class Block(convnet.Block):
  """Depthwise convolution, layer norm, and an MLP with GRN on each position.

  Attributes:
    width: channels of the map.
    downsample: whether a norm and a convolution first halve the side.
    drop_path: stochastic depth rate.
  """

  width: int
  downsample: bool = False
  drop_path: float = 0.0

  @nn.compact
  def __call__(
      self, x: Float[Array, 'b h w c'], *, train: bool
  ) -> Float[Array, 'b h_ w_ d']:
    """Returns a feature map."""
    if self.downsample:
      x = _layer_norm(self.dtype, 'downsample_norm')(x)
      options = {'stride': 2, 'padding': 'VALID'}
      x = _conv(self.width, 2, self.dtype, 'downsample_conv', **options)(x)
    options = {'groups': self.width}
    y = _conv(self.width, KERNEL, self.dtype, 'depthwise_conv', **options)(x)
    y = _layer_norm(self.dtype, 'norm')(y)
    hidden = EXPANSION * self.width
    y = dense.gelu(dense.dense(hidden, 'fc1', self.dtype, _INITIALIZER)(y))
    y = GlobalResponseNorm(name='grn')(y)
    y = dense.dense(self.width, 'fc2', self.dtype, _INITIALIZER)(y)
    return x + stochastic_depth.DropPath()(y, self.drop_path, train=train)


class ConvNeXt(convnet.ConvNet):
  """ConvNeXt-V2. It has no batch statistics.

  Attributes:
    layers: blocks per stage.
    stem_width: channels of the first stage; each later stage doubles them.
    drop_path: stochastic depth; block i of n has the rate drop_path * i / (n - 1).
  """

  layers: tuple[int, ...]
  stem_width: int
  drop_path: float = 0.0

  @property
  def dim(self) -> int:
    """Width of the embedding."""
    return self._width(len(self.layers))

  def stem(self, x: Array, train: bool) -> Float[Array, 'b h w c']:
    """Returns the map before the first stage."""
    del train
    options = {'stride': STEM, 'padding': 'VALID'}
    x = _conv(self.stem_width, STEM, self.dtype, 'stem_conv', **options)(x)
    return _layer_norm(self.dtype, 'stem_norm')(x)

  def block(self, stage: int, i: int, options: dict[str, Any]) -> Block:
    """Returns block `i` of a stage."""
    done = sum(self.layers[: stage - 1]) + i
    rate = self.drop_path * done / max(1, sum(self.layers) - 1)
    downsample = stage > 1 and i == 0
    return Block(self._width(stage), downsample, rate, **options)

  def embed(self, x: Array, train: bool) -> Float[Array, 'b d']:
    """Returns the embedding: the layer norm of the mean."""
    x = super().embed(x, train)
    return _layer_norm(jnp.float32, 'head_norm')(x)

  def _width(self, stage: int) -> int:
    return self.stem_width * 2 ** (stage - 1)

  @property
  def flops(self) -> int:
    """FLOPs of the forward pass per image: convolutions and dense layers."""
    side, width = self.image_size // STEM, self.stem_width
    total = 2 * side * side * 3 * width * STEM**2
    for stage, count in enumerate(self.layers, start=1):
      if stage > 1:
        side //= 2
        total += convolutions.flops(side, width, 2 * width, 2)[1]
        width *= 2
      depthwise = convolutions.flops(side, 1, width, KERNEL)[1]
      mlp = 2 * convolutions.flops(side, width, EXPANSION * width, 1)[1]
      total += count * (depthwise + mlp)
    return total


def _conv(
    width: int, size: int, dtype: DTypeLike, name: str, **options: Any
) -> nn.Conv:
  """Returns a convolution with a bias."""
  return convolutions.conv(
      width,
      size,
      use_bias=True,
      initializer=_INITIALIZER,
      dtype=dtype,
      name=name,
      **options,
  )
