"""ResNet with torchvision's names and strides (v1.5).

Public weights of `resnet_*` expect RGB images of 224 x 224 pixels, mean
(0.485, 0.456, 0.406), std (0.229, 0.224, 0.225). Other sizes work too. In
version 1.5 the 3 x 3 convolution of a bottleneck has the stride. Reference: He et
al., arXiv 1512.03385.
"""

import functools
from typing import Any

from flax import linen as nn
from jaxtyping import Array, Float

from abaw_jax.cpu import pooling
from abaw_jax.models.convnets import convnet
from abaw_jax.models.layers import convolutions

SIZES = {
    'resnet_18': {
        'layers': (2, 2, 2, 2), 'stem_width': 64, 'bottleneck': False
    },
    'resnet_34': {
        'layers': (3, 4, 6, 3), 'stem_width': 64, 'bottleneck': False
    },
    'resnet_50': {
        'layers': (3, 4, 6, 3), 'stem_width': 64, 'bottleneck': True
    },
    'resnet_101': {
        'layers': (3, 4, 23, 3), 'stem_width': 64, 'bottleneck': True
    },
}  # fmt: skip
# Width of the last convolution of a bottleneck / width of the others.
EXPANSION = 4

_conv = functools.partial(convolutions.conv, initializer=convnet.HE_OUT)


class Block(convnet.Block):
  """Convolutions with BN, and a shortcut.

  A bottleneck has three: 1x1, 3x3, 1x1. Other blocks have two: 3x3, 3x3.

  Attributes:
    width: channels of the first convolution.
    stride: step of the first 3x3 convolution.
    bottleneck: whether it is a bottleneck.
  """

  width: int
  stride: int = 1
  bottleneck: bool = True

  @nn.compact
  def __call__(
      self, x: Float[Array, 'b h w c'], *, train: bool
  ) -> Float[Array, 'b h_ w_ d']:
    """Returns a feature map; `stride` divides its side."""

    def conv_norm(y, width, size, stride, names):
      conv = _conv(width, size, stride=stride, dtype=self.dtype, name=names[0])
      return self.norm(conv(y), names[1], train)

    width, y = self.width, x
    if self.bottleneck:
      y = nn.relu(conv_norm(y, width, 1, 1, ('conv1', 'norm1')))
      y = nn.relu(conv_norm(y, width, 3, self.stride, ('conv2', 'norm2')))
      width = EXPANSION * width
      y = conv_norm(y, width, 1, 1, ('conv3', 'norm3'))
    else:
      y = nn.relu(conv_norm(y, width, 3, self.stride, ('conv1', 'norm1')))
      y = conv_norm(y, width, 3, 1, ('conv2', 'norm2'))
    if self.stride > 1 or x.shape[-1] != width:
      names = ('shortcut_conv', 'shortcut_norm')
      x = conv_norm(x, width, 1, self.stride, names)
    return nn.relu(x + y)


class ResNet(convnet.ConvNet):
  """ResNet with bottlenecks (50 layers and more) or without.

  Attributes:
    layers: blocks per stage.
    stem_width: channels of the stem and inside the blocks of the first stage.
    bottleneck: whether its blocks are bottlenecks.
  """

  layers: tuple[int, ...]
  stem_width: int
  bottleneck: bool = True

  @property
  def dim(self) -> int:
    """Width of the embedding."""
    return self._out_width(len(self.layers))

  def stem(self, x: Array, train: bool) -> Float[Array, 'b h w c']:
    """Returns the map before the first stage."""
    width = self.stem_width
    x = _conv(width, 7, stride=2, dtype=self.dtype, name='stem_conv')(x)
    return pooling.max_pool(nn.relu(self.norm(x, 'stem_norm', 0, train)))

  def block(self, stage: int, i: int, options: dict[str, Any]) -> Block:
    """Returns block `i` of a stage."""
    stride = self._stride(stage, i)
    return Block(self._width(stage), stride, self.bottleneck, **options)

  def _width(self, stage: int) -> int:
    return self.stem_width * 2 ** (stage - 1)

  def _out_width(self, stage: int) -> int:
    return (EXPANSION if self.bottleneck else 1) * self._width(stage)

  def _stride(self, stage: int, i: int) -> int:
    return 2 if stage > 1 and i == 0 else 1

  @property
  def flops(self) -> int:
    """FLOPs of the forward pass per image: convolutions."""
    width = self.stem_width
    side, total = convolutions.flops(self.image_size, 3, width, 7, 2)
    side = -(-side // 2)
    for stage, count in enumerate(self.layers, start=1):
      inner, out = self._width(stage), self._out_width(stage)
      for i in range(count):
        stride = self._stride(stage, i)
        if stride > 1 or width != out:
          total += convolutions.flops(side, width, out, 1, stride)[1]
        if self.bottleneck:
          total += convolutions.flops(side, width, inner, 1)[1]
          width = inner
        side, middle = convolutions.flops(side, width, inner, 3, stride)
        last = convolutions.flops(side, inner, out, 1 if self.bottleneck else 3)
        total += middle + last[1]
        width = out
    return total
