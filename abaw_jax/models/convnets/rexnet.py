"""ReXNet, with the sizes of timm's `rexnet_*`.

Public weights expect RGB images of 224 x 224 pixels, mean (0.485, 0.456, 0.406),
std (0.229, 0.224, 0.225). Other sizes work too. Reference: Han et al., arXiv
2007.00992.
"""

from typing import Any

from flax import linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from abaw_jax.models.convnets import convnet
from abaw_jax.models.layers import convolutions

SIZES = {
    f'rexnet_{round(100 * factor)}': {'factor': factor}
    for factor in (1.0, 1.3, 1.5, 2.0)
}
LAYERS = (1, 2, 2, 3, 3, 5)
STRIDES = (1, 2, 2, 2, 1, 2)
STEM_WIDTH = 32
HEAD_WIDTH = 1280
FIRST_WIDTH = 16  # of the first block
GROWTH = 180  # channels that all blocks add
EXPANSION = 6  # width inside a block / its input width, from stage 2 on
SQUEEZE = 12  # width inside a block / channels of its squeezed mean
FIRST_GATE = 3  # the first stage with squeeze and excitation


class Block(convnet.Block):
  """Expansion, depthwise convolution, projection, and a partial shortcut.

  The shortcut adds the input to the first channels of an output of at least its
  width.

  Attributes:
    width: channels of the output.
    stride: step of the depthwise convolution; 1 adds the shortcut.
    expand: width inside the block / input width.
    has_gate: whether there is squeeze and excitation.
  """

  width: int
  stride: int
  expand: int
  has_gate: bool

  @nn.compact
  def __call__(
      self, x: Float[Array, 'b h w c'], *, train: bool
  ) -> Float[Array, 'b h_ w_ d']:
    """Returns a feature map; `stride` divides its side."""
    inner, y = self.expand * x.shape[-1], x
    if self.expand > 1:
      y = nn.silu(self.conv_norm(y, inner, 1, 'expand', train))
    options = {'stride': self.stride, 'groups': inner}
    y = self.conv_norm(y, inner, 3, 'depthwise', train, **options)
    if self.has_gate:
      y = y * self.gate(
          y,
          inner // SQUEEZE,
          lambda mean: nn.relu(self.norm(mean, 'squeeze_norm', train)),
      )
    y = self.conv_norm(nn.relu6(y), self.width, 1, 'project', train)
    if self.stride > 1 or x.shape[-1] > self.width:
      return y
    return y + jnp.pad(x, ((0, 0),) * 3 + ((0, y.shape[-1] - x.shape[-1]),))


class ReXNet(convnet.ConvNet):
  """ReXNet, scaled in width.

  Attributes:
    factor: factor on the channels of every block.
    layers: blocks per stage.
  """

  factor: float
  layers: tuple[int, ...] = LAYERS

  @property
  def dim(self) -> int:
    """Width of the embedding."""
    return int(self.factor * HEAD_WIDTH + 0.5)

  @property
  def _widths(self) -> list[list[int]]:
    """Channels of the blocks of each stage; they grow by the same step."""
    steps = iter(range(sum(self.layers)))
    step = GROWTH / sum(self.layers)
    return [
        [
            round((FIRST_WIDTH + next(steps) * step) * self.factor)
            for _ in range(n)
        ]
        for n in self.layers
    ]

  def stem(self, x: Array, train: bool) -> Float[Array, 'b h w c']:
    """Returns the map before the first stage."""
    width = round(STEM_WIDTH * self.factor)
    return nn.silu(self.conv_norm(x, width, 3, 'stem', 0, train, stride=2))

  def block(self, stage: int, i: int, options: dict[str, Any]) -> Block:
    """Returns block `i` of a stage."""
    return Block(
        self._widths[stage - 1][i],
        1 if i else STRIDES[stage - 1],
        EXPANSION if stage > 1 else 1,
        stage >= FIRST_GATE,
        **options,
    )

  def head(self, x: Array, train: bool) -> Float[Array, 'b h w c']:
    """Returns the final map: a wider map of the last stage."""
    stage = len(self.layers) + 1
    return nn.silu(self.conv_norm(x, self.dim, 1, 'head', stage, train))

  @property
  def flops(self) -> int:
    """FLOPs of the forward pass per image: convolutions."""
    width = round(STEM_WIDTH * self.factor)
    side, total = convolutions.flops(self.image_size, 3, width, 3, 2)
    for stage, widths in enumerate(self._widths, start=1):
      for i, out in enumerate(widths):
        inner = width * (EXPANSION if stage > 1 else 1)
        if stage > 1:
          total += convolutions.flops(side, width, inner, 1)[1]
        stride = 1 if i else STRIDES[stage - 1]
        side, depthwise = convolutions.flops(side, 1, inner, 3, stride)
        if stage >= FIRST_GATE:
          total += 2 * convolutions.flops(1, inner, inner // SQUEEZE, 1)[1]
        total += depthwise + convolutions.flops(side, inner, out, 1)[1]
        width = out
    return total + convolutions.flops(side, width, self.dim, 1)[1]
