"""MobileFaceNet, a small network for faces.

`mbf` has the widths of InsightFace (arcface_torch) and of HSE-NN's `mbf_va_mtl`.
`mobilefacenet` has those of the paper, with the embedding of InsightFace_Pytorch
and face.evoLVe. Public weights expect aligned RGB faces of 112 x 112 pixels, mean
0.5, std 0.5. Reference: Chen et al., arXiv 1804.07573.
"""

from typing import Any, NamedTuple

from flax import linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from abaw_jax.models.convnets import convnet
from abaw_jax.models.layers import batch_norm, convolutions, prelu

SIZES = {
    'mobilefacenet': {'layers': (5, 7, 3), 'scale': 1},
    'mbf': {'layers': (5, 7, 3), 'scale': 2},
}
STEM_WIDTH = 64
HEAD_WIDTH = 512


class Stage(NamedTuple):
  """Channels of a stage. The first block has stride 2 and no shortcut."""

  width: int  # of its map
  first: int  # inside the first block
  inner: int  # inside the other blocks


class Block(convnet.Block):
  """Expansion, depthwise convolution, projection (MobileNetV2) with PReLU.

  Attributes:
    width: channels of the map.
    inner: channels inside the block.
    stride: step of the depthwise convolution; 1 adds a shortcut.
  """

  width: int
  inner: int
  stride: int

  @nn.compact
  def __call__(
      self, x: Float[Array, 'b h w c'], *, train: bool
  ) -> Float[Array, 'b h_ w_ d']:
    """Returns a feature map; `stride` divides its side."""
    y = self.conv_norm(x, self.inner, 1, 'expand', train)
    y = self.mix(prelu.PReLU(name='expand_prelu')(y), train)
    y = self.conv_norm(y, self.width, 1, 'project', train)
    return y if self.stride > 1 else x + y

  def mix(self, y: Array, train: bool) -> Float[Array, 'b h_ w_ e']:
    """Returns the map after the depthwise convolution."""
    options = {'stride': self.stride, 'groups': self.inner}
    y = self.conv_norm(y, self.inner, 3, 'depthwise', train, **options)
    return prelu.PReLU(name='depthwise_prelu')(y)


class MobileFaceNet(convnet.ConvNet):
  """MobileFaceNet for faces of one size: the last layer reads the full map.

  Embeddings are not normalised to length 1. The embedding's layers are float32.

  Attributes:
    layers: blocks per stage.
    scale: factor on the channels of the maps.
    dim: width of the embedding.
  """

  layers: tuple[int, ...]
  scale: int = 1
  image_size: int = 112
  dim: int = 512

  stages = (Stage(64, 128, 128), Stage(128, 256, 256), Stage(128, 512, 256))

  def stem(self, x: Array, train: bool) -> Float[Array, 'b h w c']:
    """Returns the map before the first stage.

    Raises:
      InputError: if images have another size than `image_size`.
    """
    self.check_size(x, 'a MobileFaceNet')
    width = self.scale * STEM_WIDTH
    x = self.conv_norm(x, width, 3, 'stem', 0, train, stride=2)
    x = prelu.PReLU(name='stem_prelu')(x)
    # With a scale, InsightFace has as many groups as without.
    options = {'groups': STEM_WIDTH}
    x = self.conv_norm(x, width, 3, 'stem_depthwise', 0, train, **options)
    return prelu.PReLU(name='stem_depthwise_prelu')(x)

  def block(self, stage: int, i: int, options: dict[str, Any]) -> Block:
    """Returns block `i` of a stage."""
    sizes = self.stages[stage - 1]
    inner, stride = (sizes.inner, 1) if i else (sizes.first, 2)
    return Block(self.scale * sizes.width, inner, stride, **options)

  def head(self, x: Array, train: bool) -> Float[Array, 'b h w c']:
    """Returns the final map: a wider map of the last stage."""
    stage = len(self.layers) + 1
    x = self.conv_norm(x, HEAD_WIDTH, 1, 'head', stage, train)
    return prelu.PReLU(name='head_prelu')(x)

  def embed(self, x: Array, train: bool) -> Float[Array, 'b d']:
    """Returns the embedding: a weighted sum, a linear layer and normalisation."""
    x = self.weigh(x.astype(jnp.float32), train)
    x = nn.Dense(
        self.dim, use_bias=False, kernel_init=convnet.HE_OUT, name='head_fc'
    )(x)
    frozen = self.frozen_stages > len(self.layers) + 1
    norm = batch_norm.BatchNorm(frozen=frozen, name='head_features')
    return norm(x, train=train)

  def weigh(
      self, x: Float[Array, 'b h w c'], train: bool
  ) -> Float[Array, 'b c']:
    """Returns a weighted sum over the map, normalised, one weight per value."""
    options = self.options(len(self.layers) + 1) | {
        'dtype': jnp.float32,
        'groups': x.shape[-1],
        'padding': 'VALID',
    }
    x = convnet.conv_norm(
        x, x.shape[-1], x.shape[1], 'head_depthwise', train=train, **options
    )
    return x[:, 0, 0]

  @property
  def flops(self) -> int:
    """FLOPs of the forward pass per image: convolutions and the last layer."""
    width = self.scale * STEM_WIDTH
    side, total = convolutions.flops(self.image_size, 3, width, 3, 2)
    total += convolutions.flops(side, width // STEM_WIDTH, width, 3)[1]
    for count, sizes in zip(self.layers, self.stages, strict=True):
      out = self.scale * sizes.width
      for i in range(count):
        inner, stride = (sizes.inner, 1) if i else (sizes.first, 2)
        total += convolutions.flops(side, width, inner, 1)[1]
        side, middle = self.mix_flops(side, inner, stride)
        total += middle + convolutions.flops(side, inner, out, 1)[1]
        width = out
    total += convolutions.flops(side, width, HEAD_WIDTH, 1)[1]
    return total + self.embed_flops(side)

  def mix_flops(self, side: int, inner: int, stride: int) -> tuple[int, int]:
    """Returns (side of the output map, FLOPs of `Block.mix`)."""
    return convolutions.flops(side, 1, inner, 3, stride)

  def embed_flops(self, side: int) -> int:
    """Returns the FLOPs of `embed`."""
    return 2 * HEAD_WIDTH * (side * side + self.dim)
