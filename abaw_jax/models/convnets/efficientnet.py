"""EfficientNet: timm's `tf_efficientnet_*` and, with `torch_padding`, `efficientnet_*`.

Public weights, also those of HSE-NN (B0, B2), expect RGB images, mean (0.485,
0.456, 0.406), std (0.229, 0.224, 0.225), with a side of 224, 240, 260, 300 or 380
pixels (B0 to B4). Other sizes work too. References: Tan and Le, arXiv 1905.11946; Savchenko, arXiv
2207.09508.
"""

import functools
import math
from typing import Any, NamedTuple

from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from abaw_jax.models.convnets import convnet
from abaw_jax.models.layers import convolutions, stochastic_depth

# Epsilon of batch normalisation, by `torch_padding`.
EPSILONS = {False: 1e-3, True: 1e-5}


class Stage(NamedTuple):
  """A row of table 1 of the paper, before scaling."""

  size: int  # side of the depthwise kernels
  stride: int  # stride of the first block
  expand: int  # width inside a block / input width
  width: int  # output channels
  blocks: int  # number of blocks


STAGES = (
    Stage(3, 1, 1, 16, 1),
    Stage(3, 2, 6, 24, 2),
    Stage(5, 2, 6, 40, 2),
    Stage(3, 2, 6, 80, 3),
    Stage(5, 1, 6, 112, 3),
    Stage(5, 2, 6, 192, 4),
    Stage(3, 1, 6, 320, 1),
)
STEM_WIDTH = 32
HEAD_WIDTH = 1280
SQUEEZE = 4  # input channels of a block / channels of its squeezed mean

# Factors of width and depth.
_FACTORS = {
    'b0': (1.0, 1.0),
    'b1': (1.0, 1.1),
    'b2': (1.1, 1.2),
    'b3': (1.2, 1.4),
    'b4': (1.4, 1.8),
}
SIZES = {
    f'efficientnet_{name}{end}': {'width': width, 'depth': depth} | padding
    for end, padding in (('', {}), ('_torch', {'torch_padding': True}))
    for name, (width, depth) in _FACTORS.items()
}


def scaled(width: int, factor: float) -> int:
  """Returns the multiple of 8 next to width * factor, at least 0.9 times it."""
  target = width * factor
  nearest = max(8, int(target + 4) // 8 * 8)
  return nearest if nearest >= 0.9 * target else nearest + 8


def _conv(
    width: int,
    size: int,
    *,
    stride: int = 1,
    depthwise: bool = False,
    torch_padding: bool = False,
    dtype: DTypeLike,
    name: str,
) -> nn.Conv:
  """Returns a convolution with TensorFlow's or PyTorch's padding.

  TensorFlow pads more after than before, PyTorch equally on both sides.
  """
  # The fan-out of a depthwise kernel [h, w, 1, c] is h * w.
  axes = {'in_axis': -1, 'out_axis': -2} if depthwise else {}
  return convolutions.conv(
      width,
      size,
      stride=stride,
      groups=width if depthwise else 1,
      padding=None if torch_padding else 'SAME',
      initializer=nn.initializers.variance_scaling(
          2.0, 'fan_out', 'normal', **axes
      ),
      dtype=dtype,
      name=name,
  )


class Block(convnet.Block):
  """MBConv: expansion, depthwise, squeeze and excitation, projection.

  With expansion 1 it is the depthwise separable block of the first stage.

  Attributes:
    stage: the scaled stage of the block.
    stride: step of the depthwise convolution.
    drop_path: stochastic depth rate of blocks with a shortcut.
    torch_padding: as in `EfficientNet`.
  """

  stage: Stage
  stride: int
  drop_path: float = 0.0
  torch_padding: bool = False

  @property
  def epsilon(self) -> float:
    """Epsilon of batch normalisation."""
    return EPSILONS[self.torch_padding]

  @nn.compact
  def __call__(
      self, x: Float[Array, 'b h w c'], *, train: bool
  ) -> Float[Array, 'b h_ w_ d']:
    """Returns a feature map; `stride` divides its side."""
    conv = functools.partial(
        _conv, torch_padding=self.torch_padding, dtype=self.dtype
    )
    width, stage = x.shape[-1], self.stage
    inner = width * stage.expand
    y = x
    if stage.expand > 1:
      y = conv(inner, 1, name='expand_conv')(y)
      y = nn.silu(self.norm(y, 'expand_norm', train))
    options = {'stride': self.stride, 'depthwise': True}
    y = conv(inner, stage.size, **options, name='depthwise_conv')(y)
    y = nn.silu(self.norm(y, 'depthwise_norm', train))
    y = y * self.gate(y, width // SQUEEZE, nn.silu)
    y = conv(stage.width, 1, name='project_conv')(y)
    y = self.norm(y, 'project_norm', train)
    if self.stride > 1 or stage.width != width:
      return y
    return x + stochastic_depth.DropPath()(y, self.drop_path, train=train)


class EfficientNet(convnet.ConvNet):
  """EfficientNet, scaled in width and depth.

  Attributes:
    width: factor on the channels of every stage.
    depth: factor on the blocks of every stage.
    stages: stages before scaling.
    drop_path: stochastic depth; block i of n has the rate drop_path * i / n.
    torch_padding: whether padding and epsilon are those of PyTorch instead of
      TensorFlow; no shape shows it.
  """

  width: float
  depth: float
  stages: tuple[Stage, ...] = STAGES
  drop_path: float = 0.0
  torch_padding: bool = False

  @property
  def epsilon(self) -> float:
    """Epsilon of batch normalisation."""
    return EPSILONS[self.torch_padding]

  @property
  def dim(self) -> int:
    """Width of the embedding."""
    return scaled(HEAD_WIDTH, self.width)

  @property
  def scaled_stages(self) -> list[Stage]:
    """Stages after scaling."""
    return [
        stage._replace(
            width=scaled(stage.width, self.width),
            blocks=math.ceil(stage.blocks * self.depth),
        )
        for stage in self.stages
    ]

  @property
  def layers(self) -> tuple[int, ...]:
    """Blocks per stage."""
    return tuple(stage.blocks for stage in self.scaled_stages)

  def stem(self, x: Array, train: bool) -> Float[Array, 'b h w c']:
    """Returns the map before the first stage."""
    width = scaled(STEM_WIDTH, self.width)
    options = {'torch_padding': self.torch_padding, 'dtype': self.dtype}
    x = _conv(width, 3, stride=2, **options, name='stem_conv')(x)
    return nn.silu(self.norm(x, 'stem_norm', 0, train))

  def block(self, stage: int, i: int, options: dict[str, Any]) -> Block:
    """Returns block `i` of a stage."""
    sizes = self.scaled_stages[stage - 1]
    stride = 1 if i else sizes.stride
    done = sum(self.layers[: stage - 1]) + i
    rate = self.drop_path * done / sum(self.layers)
    return Block(sizes, stride, rate, self.torch_padding, **options)

  def head(self, x: Array, train: bool) -> Float[Array, 'b h w c']:
    """Returns the final map: a wider map of the last stage."""
    x = _conv(self.dim, 1, dtype=self.dtype, name='head_conv')(x)
    stage = len(self.stages) + 1
    return nn.silu(self.norm(x, 'head_norm', stage, train))

  @property
  def flops(self) -> int:
    """FLOPs of the forward pass per image: convolutions."""
    width = scaled(STEM_WIDTH, self.width)
    side, total = convolutions.flops(self.image_size, 3, width, 3, 2)
    for stage in self.scaled_stages:
      for i in range(stage.blocks):
        inner = width * stage.expand
        if stage.expand > 1:
          total += convolutions.flops(side, width, inner, 1)[1]
        stride = 1 if i else stage.stride
        side, depthwise = convolutions.flops(side, 1, inner, stage.size, stride)
        gate = 2 * convolutions.flops(1, inner, width // SQUEEZE, 1)[1]
        project = convolutions.flops(side, inner, stage.width, 1)[1]
        total += depthwise + gate + project
        width = stage.width
    return total + convolutions.flops(side, width, self.dim, 1)[1]
