"""ResNet with bottlenecks, with torchvision's names and strides (v1.5).

Public weights of `resnet_50` expect RGB images of 224 x 224 pixels, mean
(0.485, 0.456, 0.406), std (0.229, 0.224, 0.225). Other sizes work too. In
version 1.5 the 3 x 3 convolution of a block has the stride. Reference: He et
al., arXiv 1512.03385.
"""

from flax import linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from abaw_jax.cpu import pooling
from abaw_jax.models.layers import batch_norm, convolutions

SIZES = {'resnet_50': {'layers': (3, 4, 6, 3), 'stem_width': 64}}
EXPANSION = 4  # width of the last convolution of a block / width of the others

_INITIALIZER = nn.initializers.variance_scaling(2.0, 'fan_out', 'normal')


class Block(nn.Module):
  """Bottleneck: conv 1x1, 3x3, 1x1, each with BN, and a shortcut.

  Attributes:
    width: channels of the first two convolutions.
    stride: step of the second one.
    frozen: whether training does not change batch statistics.
    dtype: compute dtype; parameters are float32.
  """

  width: int
  stride: int = 1
  frozen: bool = False
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
      self, x: Float[Array, 'b h w c'], *, train: bool
  ) -> Float[Array, 'b h_ w_ d']:
    """Returns a feature map; `stride` divides its side."""

    def conv_norm(y, width, size, stride, names):
      y = convolutions.conv(
          width,
          size,
          stride=stride,
          initializer=_INITIALIZER,
          dtype=self.dtype,
          name=names[0],
      )(y)
      norm = batch_norm.BatchNorm(
          frozen=self.frozen, dtype=self.dtype, name=names[1]
      )
      return norm(y, train=train)

    out = EXPANSION * self.width
    y = nn.relu(conv_norm(x, self.width, 1, 1, ('conv1', 'norm1')))
    y = nn.relu(conv_norm(y, self.width, 3, self.stride, ('conv2', 'norm2')))
    y = conv_norm(y, out, 1, 1, ('conv3', 'norm3'))
    if self.stride > 1 or x.shape[-1] != out:
      names = ('shortcut_conv', 'shortcut_norm')
      x = conv_norm(x, out, 1, self.stride, names)
    return nn.relu(x + y)


class ResNet(nn.Module):
  """ResNet with bottlenecks.

  Names of parameters start with their stage: `stem_*`, `stage1_*` and so on.

  Attributes:
    layers: blocks per stage.
    stem_width: channels of the stem and inside the blocks of the first stage.
    image_size: side of the input in pixels.
    frozen_stages: how many of stem and stages, counted from the input, use
      running statistics in training, unchanged; `len(layers) + 1` means all.
    remat: rematerialisation policy, a key of `rematerialization.POLICIES`.
    dtype: compute dtype; parameters and statistics are float32.
  """

  layers: tuple[int, ...]
  stem_width: int
  image_size: int = 224
  frozen_stages: int = 0
  remat: str = 'none'
  dtype: DTypeLike = jnp.float32

  @property
  def dim(self) -> int:
    """Width of the embedding."""
    return EXPANSION * self._width(len(self.layers))

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

    The keys are 'stem', 'stage1' and so on, 'map' (of the last stage) and
    'embedding'.

    Args:
      images: normalised images.
      train: whether to use the statistics of the batch.
    """
    x = convolutions.conv(
        self.stem_width,
        7,
        stride=2,
        initializer=_INITIALIZER,
        dtype=self.dtype,
        name='stem_conv',
    )(images)
    x = batch_norm.BatchNorm(
        frozen=self.frozen_stages > 0, dtype=self.dtype, name='stem_norm'
    )(x, train=train)
    x = pooling.max_pool(nn.relu(x))
    maps = {'stem': x}
    for stage, count in enumerate(self.layers, start=1):
      for i in range(count):
        block = Block(
            self._width(stage),
            stride=self._stride(stage, i),
            frozen=self.frozen_stages > stage,
            dtype=self.dtype,
            name=f'stage{stage}_{i}',
        )
        x = convolutions.apply_block(block, x, remat=self.remat, train=train)
      maps[f'stage{stage}'] = x
    maps['map'] = x
    embedding = jnp.mean(x, axis=(1, 2), dtype=jnp.float32)
    return maps | {'embedding': embedding}

  def _width(self, stage: int) -> int:
    return self.stem_width * 2 ** (stage - 1)

  def _stride(self, stage: int, i: int) -> int:
    return 2 if stage > 1 and i == 0 else 1

  @property
  def flops(self) -> int:
    """FLOPs of the forward pass per image: convolutions."""
    width = self.stem_width
    side, total = convolutions.flops(self.image_size, 3, width, 7, 2)
    side = -(-side // 2)
    for stage, count in enumerate(self.layers, start=1):
      inner, out = self._width(stage), EXPANSION * self._width(stage)
      for i in range(count):
        stride = self._stride(stage, i)
        if i == 0:
          total += convolutions.flops(side, width, out, 1, stride)[1]
        total += convolutions.flops(side, width, inner, 1)[1]
        side, middle = convolutions.flops(side, inner, inner, 3, stride)
        total += middle + convolutions.flops(side, inner, out, 1)[1]
        width = out
    return total
