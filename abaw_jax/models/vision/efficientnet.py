"""EfficientNet as TensorFlow pads and normalises it: timm's `tf_efficientnet_*`.

Public weights take RGB of 224 x 224 pixels (B0) or 260 x 260 (B2), mean (0.485,
0.456, 0.406), deviation (0.229, 0.224, 0.225); HSE-NN's do too. Any other size
will do. References: Tan and Le, arXiv 1905.11946; Savchenko, arXiv 2207.09508.
"""

import math
from typing import NamedTuple

from flax import linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from abaw_jax.models.layers import basic, batch_norm, convolutions


class Stage(NamedTuple):
  """A row of the paper's table 1, before it is scaled."""

  size: int  # side of the depthwise kernels
  stride: int  # of the first block
  expand: int  # width inside a block over that before it
  width: int  # channels
  blocks: int


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
SQUEEZE = 4  # channels before a block over those of its squeezed mean

SIZES = {
    'efficientnet_b0': {'width': 1.0, 'depth': 1.0},
    'efficientnet_b2': {'width': 1.1, 'depth': 1.2},
}


def scaled(width: int, factor: float) -> int:
  """Returns the multiple of 8 next to width * factor, at least 0.9 times that."""
  wanted = width * factor
  nearest = max(8, int(wanted + 4) // 8 * 8)
  return nearest if nearest >= 0.9 * wanted else nearest + 8


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
  """Returns a convolution with TensorFlow's padding, more behind than before."""
  # A kernel [h, w, 1, c] of depthwise has a fan-out of h * w.
  axes = {'in_axis': -1, 'out_axis': -2} if depthwise else {}
  return nn.Conv(
      width,
      (size, size),
      stride,
      padding='SAME',  # in JAX this is TensorFlow's
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
  """Expand, convolve each channel, weigh the channels, project (MBConv).

  Without expansion (1) it is the depthwise separable block of the first stage.

  Attributes:
    stage: what it is a block of, scaled.
    stride: step of the depthwise convolution.
    drop_path: rate of stochastic depth, where there is a shortcut.
    frozen: whether statistics stay in training.
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
    """Returns a map of features, smaller by the stride."""

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
    return x + basic.DropPath()(y, self.drop_path, train=train)

  def _gate(self, y, width):
    """Returns a weight per channel: squeeze and excitation (Hu et al., 2018)."""
    options = {'use_bias': True, 'dtype': self.dtype}
    mean = jnp.mean(y, axis=(1, 2), keepdims=True, dtype=jnp.float32)
    squeezed = _conv(width, 1, name='squeeze', **options)(mean)
    weights = _conv(y.shape[-1], 1, name='excite', **options)(nn.silu(squeezed))
    return nn.sigmoid(weights)


class EfficientNet(nn.Module):
  """EfficientNet, scaled in width and depth.

  Parameters of a stage bear its name: `stem_*`, `stage1_*` and so on, `head_*`.

  Attributes:
    width: factor on the channels of every stage.
    depth: factor on the blocks of every stage.
    image_size: side of the input in pixels.
    stages: what is scaled.
    drop_path: stochastic depth; block i of n loses its branch at the rate
      drop_path * i / n.
    frozen_stages: how many of stem, stages and head, counted from the input,
      use running statistics in training, and leave them; 9 is all.
    remat: what is computed twice to save memory, see `convolutions.run`.
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
    """Returns the map behind each stage, the last `map` and the `embedding`.

    The keys are 'stem', 'stage1' to 'stage7', 'map' (behind the head) and
    'embedding'.

    Args:
      images: normalised.
      train: whether stochastic depth is drawn and statistics are those of the
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
      x = convolutions.run(block, x, remat=self.remat, train=train)
      maps[f'stage{number}'] = x
    x = _conv(self.dim, 1, dtype=self.dtype, name='head_conv')(x)
    frozen = self.frozen_stages > len(self.stages) + 1
    x = _norm('head_norm', frozen, self.dtype)(x, train=train)
    maps['map'] = nn.silu(x)
    embedding = jnp.mean(maps['map'], axis=(1, 2), dtype=jnp.float32)
    return maps | {'embedding': embedding}

  def _plan(self) -> list[tuple[int, Stage, int, float]]:
    """Returns (number of the stage, stage, number in it, drop path) per block."""
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
