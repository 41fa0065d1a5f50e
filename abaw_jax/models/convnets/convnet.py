"""Base classes of convolutional networks and of their blocks."""

from collections.abc import Callable
import functools
from typing import Any

from flax import linen as nn
from flax.linen import kw_only_dataclasses
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from abaw_jax.core import errors
from abaw_jax.models.layers import (
    batch_norm,
    batch_sharding,
    convolutions,
    rematerialization,
)

HE = nn.initializers.variance_scaling(2.0, 'fan_in', 'normal')
HE_OUT = nn.initializers.variance_scaling(2.0, 'fan_out', 'normal')


def conv_norm(
    x: Float[Array, 'b h w c'],
    width: int,
    size: int | tuple[int, int],
    name: str,
    *,
    train: bool,
    frozen: bool,
    dtype: DTypeLike,
    **options: Any,
) -> Float[Array, 'b h_ w_ d']:
  """Returns `x` after a convolution and batch normalisation.

  Args:
    x: feature map.
    width: output channels.
    size: side of the kernel, or its height and width.
    name: start of the names of both layers, `<name>_conv` and `<name>_norm`.
    train: whether statistics are those of the batch.
    frozen: see `Block`.
    dtype: compute dtype.
    **options: further options of `convolutions.conv`.
  """
  conv = convolutions.conv(
      width, size, initializer=HE, dtype=dtype, name=f'{name}_conv', **options
  )
  norm = batch_norm.BatchNorm(frozen=frozen, dtype=dtype, name=f'{name}_norm')
  return norm(conv(x), train=train)


class Block(nn.Module):
  """A block of a stage.

  Attributes:
    frozen: whether training does not change batch statistics.
    dtype: compute dtype; parameters and statistics are float32.
  """

  _: kw_only_dataclasses.KW_ONLY
  frozen: bool = False
  dtype: DTypeLike = jnp.float32

  epsilon = 1e-5  # of batch normalisation

  def norm(
      self, x: Float[Array, 'b h w d'], name: str, train: bool, **options: Any
  ) -> Float[Array, 'b h w d']:
    """Returns `x` after the batch normalisation `name`."""
    return batch_norm.BatchNorm(
        epsilon=self.epsilon, frozen=self.frozen, dtype=self.dtype, name=name
    )(x, train=train, **options)

  def conv_norm(
      self,
      x: Float[Array, 'b h w c'],
      width: int,
      size: int | tuple[int, int],
      name: str,
      train: bool,
      **options: Any,
  ) -> Float[Array, 'b h_ w_ d']:
    """Returns `x` after a convolution and batch normalisation."""
    options |= {'frozen': self.frozen, 'dtype': self.dtype}
    return conv_norm(x, width, size, name, train=train, **options)

  def gate(
      self,
      x: Float[Array, 'b h w c'],
      width: int,
      activate: Callable[[Array], Array],
  ) -> Float[Array, 'b 1 1 c']:
    """Returns channel weights: squeeze and excitation (Hu et al., 2018).

    Args:
      x: feature map.
      width: channels of the squeezed mean.
      activate: function of the squeezed mean.
    """
    conv = functools.partial(
        convolutions.conv,
        size=1,
        use_bias=True,
        initializer=HE_OUT,
        dtype=self.dtype,
    )
    mean = jnp.mean(x, axis=(1, 2), keepdims=True, dtype=jnp.float32)
    squeezed = activate(conv(width, name='squeeze')(mean))
    return nn.sigmoid(conv(x.shape[-1], name='excite')(squeezed))


class ConvNet(nn.Module):
  """A stem, stages of blocks, and a head.

  A network defines `dim` (width of the embedding), `layers` (blocks per stage),
  `stem`, `block` and, if it has more than a mean, `head` and `embed`. Names of
  parameters start with their part: `stem_*`, `stage1_*` and so on, `head_*`.

  Attributes:
    image_size: side of the square input in pixels.
    frozen_stages: how many of stem, stages and head, counted from the input,
      use running statistics in training, unchanged.
    remat: rematerialisation policy, a key of `rematerialization.POLICIES`.
    dtype: compute dtype; parameters and statistics are float32.
  """

  _: kw_only_dataclasses.KW_ONLY
  image_size: int = 224
  frozen_stages: int = 0
  remat: str = 'none'
  dtype: DTypeLike = jnp.float32

  epsilon = 1e-5  # of batch normalisation

  def __call__(
      self, images: Float[Array, 'b h w 3'], *, train: bool
  ) -> Float[Array, 'b d']:
    """Returns one float32 embedding per image."""
    return self.features(images, train=train)['embedding']

  @nn.compact
  def features(
      self, images: Float[Array, 'b h w 3'], *, train: bool
  ) -> dict[str, Float[Array, 'b ...']]:
    """Returns the map after each stage, the final `map` and the `embedding`.

    The keys are 'stem', 'stage1' and so on, 'map' (after the last norm) and
    'embedding'.

    Args:
      images: normalised images.
      train: whether dropout and stochastic depth are active, and statistics are
        those of the batch.
    """
    maps = {'stem': self.stem(images, train)}
    x = maps['stem']
    for stage, count in enumerate(self.layers, start=1):
      for i in range(count):
        options = self.options(stage) | {'name': f'stage{stage}_{i}'}
        x = self.apply_block(self.block(stage, i, options), x, train=train)
      maps[f'stage{stage}'] = x
    maps['map'] = self.head(x, train)
    return maps | {'embedding': self.embed(maps['map'], train)}

  def options(self, stage: int) -> dict[str, Any]:
    """Returns the options of the blocks of a stage; 0 means the stem."""
    return {'frozen': self.frozen_stages > stage, 'dtype': self.dtype}

  def norm(
      self, x: Float[Array, 'b h w d'], name: str, stage: int, train: bool
  ) -> Float[Array, 'b h w d']:
    """Returns `x` after the batch normalisation `name` of a stage."""
    return batch_norm.BatchNorm(
        epsilon=self.epsilon, **self.options(stage), name=name
    )(x, train=train)

  def conv_norm(
      self,
      x: Float[Array, 'b h w c'],
      width: int,
      size: int,
      name: str,
      stage: int,
      train: bool,
      **options: Any,
  ) -> Float[Array, 'b h_ w_ d']:
    """Returns `x` after a convolution and batch normalisation of a stage."""
    options |= self.options(stage)
    return conv_norm(x, width, size, name, train=train, **options)

  def check_size(self, images: Float[Array, 'b h w c'], network: str) -> None:
    """Raises an InputError if images have another size than `image_size`.

    Args:
      images: normalised images.
      network: the network with its article, for the message.
    """
    if images.shape[1:3] != (self.image_size, self.image_size):
      raise errors.InputError(
          f'config.model.image_size={self.image_size}: {network} reads images '
          f'of one size, but these are {images.shape[1]} x {images.shape[2]}; '
          f'resize them to {self.image_size} x {self.image_size}'
      )

  def apply_block(
      self,
      block: nn.Module,
      x: Float[Array, 'b h w c'],
      *more: Any,
      train: bool,
  ) -> Any:
    """Returns block(x, *more, train=train); `more` has no batch axis.

    `remat` does not change the names of parameters.
    """
    x = batch_sharding.shard_batch(x)
    if self.remat == 'none':
      return block(x, *more, train=train)
    return nn.remat(
        lambda block, *args: block(*args, train=train),
        policy=rematerialization.POLICIES[self.remat],
    )(block, x, *more)

  def head(self, x: Float[Array, 'b h w c'], train: bool) -> Array:
    """Returns the final map from the map of the last stage."""
    del train
    return x

  def embed(self, x: Float[Array, 'b h w c'], train: bool) -> Array:
    """Returns the float32 embedding of the final map: its mean."""
    del train
    return jnp.mean(x, axis=(1, 2), dtype=jnp.float32)
