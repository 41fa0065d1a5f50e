"""IResNet, the residual network of ArcFace, with InsightFace's names and sizes.

Public weights expect aligned RGB faces of 112 x 112 pixels, mean 0.5, std 0.5.
Reference: Deng et al., arXiv 1801.07698, section 3.1 (improved residual unit,
output setting E).
"""

import functools
from typing import Any

from flax import linen as nn
from jaxtyping import Array, Float

from abaw_jax.models.convnets import convnet
from abaw_jax.models.layers import batch_norm, convolutions, prelu

# Blocks per stage.
SIZES = {
    'iresnet_nano': {'layers': (1, 1, 1, 1)},
    'iresnet_18': {'layers': (2, 2, 2, 2)},
    'iresnet_34': {'layers': (3, 4, 6, 3)},
    'iresnet_50': {'layers': (3, 4, 14, 3)},
    'iresnet_100': {'layers': (3, 13, 30, 3)},
    'iresnet_200': {'layers': (6, 26, 60, 6)},
}
WIDTHS = (64, 128, 256, 512)  # channels of the stages

_conv = functools.partial(
    convolutions.conv, initializer=nn.initializers.normal(0.1)
)


class Block(convnet.Block):
  """Improved residual unit: BN, conv, BN, PReLU, conv, BN.

  Attributes:
    width: output channels.
    stride: step of the second convolution; 2 adds a projection to the shortcut.
  """

  width: int
  stride: int = 1

  @nn.compact
  def __call__(
      self, x: Float[Array, 'b h w c'], *, train: bool
  ) -> Float[Array, 'b h_ w_ d']:
    """Returns a feature map; `stride` divides its side."""
    conv = functools.partial(_conv, self.width, dtype=self.dtype)
    y = conv(3, name='conv1')(self.norm(x, 'norm1', train))
    y = prelu.PReLU(name='prelu')(self.norm(y, 'norm2', train))
    y = conv(3, stride=self.stride, name='conv2')(y)
    y = self.norm(y, 'norm3', train)
    if self.stride > 1:
      x = conv(1, stride=self.stride, name='shortcut_conv')(x)
      x = self.norm(x, 'shortcut_norm', train)
    return x + y


class IResNet(convnet.ConvNet):
  """IResNet for faces of one size: the last layer reads the full map.

  Embeddings are not normalised to length 1. The head is float32.

  Attributes:
    layers: blocks per stage.
    dim: width of the embedding.
    dropout: rate before the last layer.
  """

  layers: tuple[int, ...]
  image_size: int = 112
  dim: int = 512
  dropout: float = 0.0

  def stem(self, x: Array, train: bool) -> Float[Array, 'b h w c']:
    """Returns the map before the first stage.

    Raises:
      InputError: if images have another size than `image_size`.
    """
    self.check_size(x, 'an IResNet')
    conv = _conv(WIDTHS[0], 3, dtype=self.dtype, name='stem_conv')
    x = self.norm(conv(x.astype(self.dtype)), 'stem_norm', 0, train)
    return prelu.PReLU(name='stem_prelu')(x)

  def block(self, stage: int, i: int, options: dict[str, Any]) -> Block:
    """Returns block `i` of a stage."""
    return Block(WIDTHS[stage - 1], stride=1 if i else 2, **options)

  def head(self, x: Array, train: bool) -> Float[Array, 'b h w c']:
    """Returns the final map: a batch normalisation of the last stage."""
    return self._head_norm('head_norm')(x, train=train)

  def embed(self, x: Array, train: bool) -> Float[Array, 'b d']:
    """Returns the embedding: dropout, a linear layer and normalisation."""
    x = nn.Dropout(self.dropout)(x, deterministic=not train)
    x = x.reshape(x.shape[0], -1)  # row, column, channel
    # The initializer of torch.nn.Linear.
    initializer = nn.initializers.variance_scaling(1 / 3, 'fan_in', 'uniform')
    x = nn.Dense(self.dim, kernel_init=initializer, name='head_fc')(x)
    # Without a scale, because ArcFace's loss reads directions, not lengths.
    return self._head_norm('head_features', use_scale=False)(x, train=train)

  def _head_norm(self, name, **options):
    frozen = self.frozen_stages > len(self.layers) + 1
    return batch_norm.BatchNorm(frozen=frozen, name=name, **options)

  @property
  def flops(self) -> int:
    """FLOPs of the forward pass per image: convolutions and the last layer."""
    side, total = convolutions.flops(self.image_size, 3, WIDTHS[0], 3)
    width = WIDTHS[0]
    for count, out_width in zip(self.layers, WIDTHS, strict=True):
      for i in range(count):
        _, first = convolutions.flops(side, width, out_width, 3)
        stride = 1 if i else 2
        if stride > 1:
          total += convolutions.flops(side, width, out_width, 1, stride)[1]
        side, second = convolutions.flops(side, out_width, out_width, 3, stride)
        total += first + second
        width = out_width
    return total + 2 * side * side * width * self.dim
