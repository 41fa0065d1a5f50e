"""IResNet, the residual network of ArcFace, as InsightFace names and sizes it.

Its public weights take aligned faces of 112 x 112 pixels, RGB, with mean 0.5 and
deviation 0.5 on the scale [0, 1]. Reference: Deng et al., arXiv 1801.07698,
section 3.1 (improved residual unit, output setting E).
"""

from flax import linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from abaw_jax.core import errors
from abaw_jax.models.layers import batch_norm, convolutions

# Blocks per stage.
SIZES = {
    'iresnet_nano': {'layers': (1, 1, 1, 1)},
    'iresnet_18': {'layers': (2, 2, 2, 2)},
    'iresnet_34': {'layers': (3, 4, 6, 3)},
    'iresnet_50': {'layers': (3, 4, 14, 3)},
    'iresnet_100': {'layers': (3, 13, 30, 3)},
}
WIDTHS = (64, 128, 256, 512)  # channels of the stages
STRIDE = 16  # of the last map, in pixels

_INIT = nn.initializers.normal(0.1)


class PReLU(nn.Module):
  """Rectifier with a slope of its own per channel (He et al., arXiv 1502.01852)."""

  @nn.compact
  def __call__(self, x: Float[Array, '*b d']) -> Float[Array, '*b d']:
    """Returns `x` where positive, and elsewhere `x` times the slope."""
    slope = self.param('slope', nn.initializers.constant(0.25), x.shape[-1:])
    slope = slope.reshape((1,) * (x.ndim - 1) + slope.shape)
    return jnp.where(x > 0, x, slope.astype(x.dtype) * x)


class Block(nn.Module):
  """Improved residual unit: BN, conv, BN, PReLU, conv, BN.

  Attributes:
    width: channels that it gives.
    stride: step of the second convolution; with 2 the shortcut is projected.
    frozen: whether statistics stay in training.
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
    """Returns a map of features, smaller by the stride."""

    def norm(y, name):
      return batch_norm.BatchNorm(
          frozen=self.frozen, dtype=self.dtype, name=name
      )(y, train=train)

    def conv(y, size, stride, name):
      return convolutions.conv(
          self.width,
          size,
          stride=stride,
          init=_INIT,
          dtype=self.dtype,
          name=name,
      )(y)

    y = conv(norm(x, 'norm1'), 3, 1, 'conv1')
    y = PReLU(name='prelu')(norm(y, 'norm2'))
    y = norm(conv(y, 3, self.stride, 'conv2'), 'norm3')
    if self.stride > 1:
      x = norm(conv(x, 1, self.stride, 'shortcut_conv'), 'shortcut_norm')
    return x + y


class IResNet(nn.Module):
  """IResNet for faces of one size.

  Parameters of a stage bear its name: `stem_*`, `stage1_*` to `stage4_*` and
  `head_*`.

  Attributes:
    layers: blocks per stage.
    image_size: side of the square input in pixels; the last layer takes the
      whole map, so it holds for one size.
    dim: width of the embedding.
    dropout: rate before the last layer.
    frozen_stages: how many of stem, stages and head, counted from the input,
      use running statistics in training, and leave them; 6 is all.
    remat: what is computed twice to save memory, see `convolutions.run`.
    dtype: compute dtype; parameters, statistics and the head are float32.
  """

  layers: tuple[int, ...]
  image_size: int = 112
  dim: int = 512
  dropout: float = 0.0
  frozen_stages: int = 0
  remat: str = 'none'
  dtype: DTypeLike = jnp.float32

  def __call__(
      self, images: Float[Array, 'b h w 3'], *, train: bool
  ) -> Float[Array, 'b d']:
    """Returns one float32 embedding per image, of no particular length."""
    return self.features(images, train=train)['embedding']

  @nn.compact
  def features(
      self, images: Float[Array, 'b h w 3'], *, train: bool
  ) -> dict[str, Float[Array, 'b ...']]:
    """Returns the map behind each stage, the last `map` and the `embedding`.

    The keys are 'stem', 'stage1' to 'stage4', 'map' (normalised) and
    'embedding'.

    Args:
      images: normalised, of side `image_size`.
      train: whether dropout is drawn and statistics are those of the batch.

    Raises:
      InputError: if images have another size.
    """
    if images.shape[1:3] != (self.image_size, self.image_size):
      raise errors.InputError(
          f'config.model.image_size={self.image_size}: the last layer of an '
          f'IResNet is for one size, but images are {images.shape[1]} x '
          f'{images.shape[2]}; resize them to {self.image_size}'
      )
    maps = {'stem': self._stem(images.astype(self.dtype), train)}
    x = maps['stem']
    for stage, (count, width) in enumerate(
        zip(self.layers, WIDTHS, strict=True), start=1
    ):
      for i in range(count):
        block = Block(
            width,
            stride=1 if i else 2,
            frozen=self.frozen_stages > stage,
            dtype=self.dtype,
            name=f'stage{stage}_{i}',
        )
        x = convolutions.run(block, x, remat=self.remat, train=train)
      maps[f'stage{stage}'] = x
    norm = batch_norm.BatchNorm(frozen=self._head_frozen, name='head_norm')
    maps['map'] = norm(x, train=train)
    return maps | {'embedding': self._head(maps['map'], train)}

  @property
  def _head_frozen(self) -> bool:
    return self.frozen_stages > len(self.layers) + 1

  def _stem(self, x, train):
    x = convolutions.conv(
        WIDTHS[0], 3, init=_INIT, dtype=self.dtype, name='stem_conv'
    )(x)
    x = batch_norm.BatchNorm(
        frozen=self.frozen_stages > 0, dtype=self.dtype, name='stem_norm'
    )(x, train=train)
    return PReLU(name='stem_prelu')(x)

  def _head(self, x, train):
    x = nn.Dropout(self.dropout)(x, deterministic=not train)
    x = x.reshape(x.shape[0], -1)  # row, column, channel
    # As torch.nn.Linear starts.
    init = nn.initializers.variance_scaling(1 / 3, 'fan_in', 'uniform')
    x = nn.Dense(self.dim, kernel_init=init, name='head_fc')(x)
    # The scale is 1 for good: ArcFace's loss sees directions, not lengths.
    norm = batch_norm.BatchNorm(
        use_scale=False, frozen=self._head_frozen, name='head_features'
    )
    return norm(x, train=train)

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
