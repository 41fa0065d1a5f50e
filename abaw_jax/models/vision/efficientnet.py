"""EfficientNet with TensorFlow's padding and norms: timm's `tf_efficientnet_*`.

Public weights, also those of HSE-NN, expect RGB images of 224 x 224 pixels (B0)
or 260 x 260 (B2), mean (0.485, 0.456, 0.406), std (0.229, 0.224, 0.225). Other
sizes work too. References: Tan and Le, arXiv 1905.11946; Savchenko, arXiv
2207.09508.
"""

import math
from typing import NamedTuple

from flax import linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from abaw_jax.models.layers import batch_norm, convolutions, stochastic_depth


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

SIZES = {
    'efficientnet_b0': {'width': 1.0, 'depth': 1.0},
    'efficientnet_b2': {'width': 1.1, 'depth': 1.2},
}


def scaled(width: int, factor: float) -> int:
  """Returns the multiple of 8 next to width * factor, at least 0.9 times it."""
  target = width * factor
  nearest = max(8, int(target + 4) // 8 * 8)
  return nearest if nearest >= 0.9 * target else nearest + 8


def _norm(name: str, frozen: bool, dtype: DTypeLike) -> batch_norm.BatchNorm:
  return batch_norm.BatchNorm(
      epsilon=1e-3, frozen=frozen, dtype=dtype, name=name
  )


def _conv(
    width: int,
    size: int,
    *,
    stride: int = 1,
    depthwise: bool = False,
    use_bias: bool = False,
    dtype: DTypeLike,
    name: str,
) -> nn.Conv:
  """Returns a convolution with TensorFlow's padding: more after than before."""
  # The fan-out of a depthwise kernel [h, w, 1, c] is h * w.
  axes = {'in_axis': -1, 'out_axis': -2} if depthwise else {}
  return nn.Conv(
      width,
      (size, size),
      stride,
      padding='SAME',  # equals TensorFlow's
      feature_group_count=width if depthwise else 1,
      use_bias=use_bias,
      kernel_init=nn.initializers.variance_scaling(
          2.0, 'fan_out', 'normal', **axes
      ),
      conv_general_dilated=convolutions.convolve,
      dtype=dtype,
      name=name,
  )


class Block(nn.Module):
  """MBConv: expansion, depthwise, squeeze and excitation, projection.

  With expansion 1 it is the depthwise separable block of the first stage.

  Attributes:
    stage: the scaled stage of the block.
    stride: step of the depthwise convolution.
    drop_path: stochastic depth rate of blocks with a shortcut.
    frozen: whether training does not change batch statistics.
    dtype: compute dtype; parameters are float32.
  """

  stage: Stage
  stride: int
  drop_path: float = 0.0
  frozen: bool = False
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
      self, x: Float[Array, 'b h w c'], *, train: bool
  ) -> Float[Array, 'b h_ w_ d']:
    """Returns a feature map; `stride` divides its side."""

    def norm(y, name):
      return _norm(name, self.frozen, self.dtype)(y, train=train)

    width, stage = x.shape[-1], self.stage
    inner = width * stage.expand
    y = x
    if stage.expand > 1:
      y = _conv(inner, 1, dtype=self.dtype, name='expand_conv')(y)
      y = nn.silu(norm(y, 'expand_norm'))
    y = _conv(
        inner,
        stage.size,
        stride=self.stride,
        depthwise=True,
        dtype=self.dtype,
        name='depthwise_conv',
    )(y)
    y = nn.silu(norm(y, 'depthwise_norm'))
    y = y * self._gate(y, width // SQUEEZE)
    y = _conv(stage.width, 1, dtype=self.dtype, name='project_conv')(y)
    y = norm(y, 'project_norm')
    if self.stride > 1 or stage.width != width:
      return y
    return x + stochastic_depth.DropPath()(y, self.drop_path, train=train)

  def _gate(self, y, width):
    """Returns channel weights: squeeze and excitation (Hu et al., 2018)."""
    options = {'use_bias': True, 'dtype': self.dtype}
    mean = jnp.mean(y, axis=(1, 2), keepdims=True, dtype=jnp.float32)
    squeezed = _conv(width, 1, name='squeeze', **options)(mean)
    weights = _conv(y.shape[-1], 1, name='excite', **options)(nn.silu(squeezed))
    return nn.sigmoid(weights)


class EfficientNet(nn.Module):
  """EfficientNet, scaled in width and depth.

  Names of parameters start with their stage: `stem_*`, `stage1_*` and so on,
  `head_*`.

  Attributes:
    width: factor on the channels of every stage.
    depth: factor on the blocks of every stage.
    image_size: side of the input in pixels.
    stages: stages before scaling.
    drop_path: stochastic depth; block i of n has the rate drop_path * i / n.
    frozen_stages: how many of stem, stages and head, counted from the input,
      use running statistics in training, unchanged; 9 means all.
    remat: rematerialisation policy, a key of `rematerialization.POLICIES`.
    dtype: compute dtype; parameters and statistics are float32.
  """

  width: float
  depth: float
  image_size: int = 224
  stages: tuple[Stage, ...] = STAGES
  drop_path: float = 0.0
  frozen_stages: int = 0
  remat: str = 'none'
  dtype: DTypeLike = jnp.float32

  @property
  def dim(self) -> int:
    """Width of the embedding."""
    return scaled(HEAD_WIDTH, self.width)

  def __call__(
      self, images: Float[Array, 'b h w 3'], *, train: bool
  ) -> Float[Array, 'b d']:
    """Returns one float32 embedding per image: the mean of the last map."""
    return self.features(images, train=train)['embedding']

  @nn.compact
  def features(
      self, images: Float[Array, 'b h w 3'], *, train: bool
  ) -> dict[str, Float[Array, 'b *d']]:
    """Returns the map after each stage, the final `map` and the `embedding`.

    The keys are 'stem', 'stage1' to 'stage7', 'map' (after the head) and
    'embedding'.

    Args:
      images: normalised images.
      train: whether stochastic depth is active and statistics are those of the
        batch.
    """
    width = scaled(STEM_WIDTH, self.width)
    x = _conv(width, 3, stride=2, dtype=self.dtype, name='stem_conv')(images)
    norm = _norm('stem_norm', self.frozen_stages > 0, self.dtype)
    maps = {'stem': nn.silu(norm(x, train=train))}
    x = maps['stem']
    for number, stage, i, rate in self._plan():
      block = Block(
          stage,
          stride=1 if i else stage.stride,
          drop_path=rate,
          frozen=self.frozen_stages > number,
          dtype=self.dtype,
          name=f'stage{number}_{i}',
      )
      x = convolutions.apply_block(block, x, remat=self.remat, train=train)
      maps[f'stage{number}'] = x
    x = _conv(self.dim, 1, dtype=self.dtype, name='head_conv')(x)
    frozen = self.frozen_stages > len(self.stages) + 1
    x = _norm('head_norm', frozen, self.dtype)(x, train=train)
    maps['map'] = nn.silu(x)
    embedding = jnp.mean(maps['map'], axis=(1, 2), dtype=jnp.float32)
    return maps | {'embedding': embedding}

  def _plan(self) -> list[tuple[int, Stage, int, float]]:
    """Returns (stage number, stage, index in it, drop path) per block."""
    stages = [
        stage._replace(
            width=scaled(stage.width, self.width),
            blocks=math.ceil(stage.blocks * self.depth),
        )
        for stage in self.stages
    ]
    total = sum(stage.blocks for stage in stages)
    blocks = [
        (number, stage, i)
        for number, stage in enumerate(stages, start=1)
        for i in range(stage.blocks)
    ]
    return [
        (*block, self.drop_path * done / total)
        for done, block in enumerate(blocks)
    ]

  @property
  def flops(self) -> int:
    """FLOPs of the forward pass per image: convolutions."""
    width = scaled(STEM_WIDTH, self.width)
    side, total = convolutions.flops(self.image_size, 3, width, 3, 2)
    for _, stage, i, _ in self._plan():
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
