"""IResNet, the residual network of ArcFace, with InsightFace's names and sizes.

Public weights expect aligned RGB faces of 112 x 112 pixels, mean 0.5, std 0.5.
Reference: Deng et al., arXiv 1801.07698, section 3.1 (improved residual unit,
output setting E).
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

_INITIALIZER = nn.initializers.normal(0.1)


class PReLU(nn.Module):
  """Parametric ReLU, one slope per channel (He et al., arXiv 1502.01852)."""

  @nn.compact
  def __call__(self, x: Float[Array, '*b d']) -> Float[Array, '*b d']:
    """Returns `x` where it is positive, and `x` times the slope elsewhere."""
    slope = self.param('slope', nn.initializers.constant(0.25), x.shape[-1:])
    slope = slope.reshape((1,) * (x.ndim - 1) + slope.shape)
    return jnp.where(x > 0, x, slope.astype(x.dtype) * x)


class Block(nn.Module):
  """Improved residual unit: BN, conv, BN, PReLU, conv, BN.

  Attributes:
    width: output channels.
    stride: step of the second convolution; 2 adds a projection to the shortcut.
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

    def norm(y, name):
      return batch_norm.BatchNorm(
          frozen=self.frozen, dtype=self.dtype, name=name
      )(y, train=train)

    def conv(y, size, stride, name):
      return convolutions.conv(
          self.width,
          size,
          stride=stride,
          initializer=_INITIALIZER,
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

  Names of parameters start with their stage: `stem_*`, `stage1_*` to
  `stage4_*`, `head_*`.

  Attributes:
    layers: blocks per stage.
    image_size: side of the square input in pixels; the last layer reads the
      full map, so weights fit one size.
    dim: width of the embedding.
    dropout: rate before the last layer.
    frozen_stages: how many of stem, stages and head, counted from the input,
      use running statistics in training, unchanged; 6 means all.
    remat: rematerialisation policy, a key of `rematerialization.POLICIES`.
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
    """Returns one float32 embedding per image, not normalised to length 1."""
    return self.features(images, train=train)['embedding']

  @nn.compact
  def features(
      self, images: Float[Array, 'b h w 3'], *, train: bool
  ) -> dict[str, Float[Array, 'b ...']]:
    """Returns the map after each stage, the final `map` and the `embedding`.

    The keys are 'stem', 'stage1' to 'stage4', 'map' (after the last BN) and
    'embedding'.

    Args:
      images: normalised images of side `image_size`.
      train: whether dropout is active and statistics are those of the batch.

    Raises:
      InputError: if images have another size.
    """
    if images.shape[1:3] != (self.image_size, self.image_size):
      raise errors.InputError(
          f'config.model.image_size={self.image_size}: an IResNet reads images '
          f'of one size, but these are {images.shape[1]} x {images.shape[2]}; '
          f'resize them to {self.image_size} x {self.image_size}'
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
        x = convolutions.apply_block(block, x, remat=self.remat, train=train)
      maps[f'stage{stage}'] = x
    norm = batch_norm.BatchNorm(frozen=self._head_frozen, name='head_norm')
    maps['map'] = norm(x, train=train)
    return maps | {'embedding': self._head(maps['map'], train)}

  @property
  def _head_frozen(self) -> bool:
    return self.frozen_stages > len(self.layers) + 1

  def _stem(self, x, train):
    x = convolutions.conv(
        WIDTHS[0],
        3,
        initializer=_INITIALIZER,
        dtype=self.dtype,
        name='stem_conv',
    )(x)
    x = batch_norm.BatchNorm(
        frozen=self.frozen_stages > 0, dtype=self.dtype, name='stem_norm'
    )(x, train=train)
    return PReLU(name='stem_prelu')(x)

  def _head(self, x, train):
    x = nn.Dropout(self.dropout)(x, deterministic=not train)
    x = x.reshape(x.shape[0], -1)  # row, column, channel
    # The initializer of torch.nn.Linear.
    initializer = nn.initializers.variance_scaling(1 / 3, 'fan_in', 'uniform')
    x = nn.Dense(self.dim, kernel_init=initializer, name='head_fc')(x)
    # Without a scale, because ArcFace's loss reads directions, not lengths.
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
