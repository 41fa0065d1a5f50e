"""The temporal convolutional network (Bai et al., arXiv 1803.01271)."""

from flax import linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, PyTree

from abaw_jax.models.layers import batch_sharding, dense, initializers
from abaw_jax.models.temporal import encoder, window_context


class TCNEncoder(encoder.Encoder):
  """Linear projection and residual blocks of two dilated convolutions.

  y = drop(relu(conv(drop(relu(conv(x)))))), x = relu(x + y)

  Block i has the dilation 2^i, so a hidden state depends on
  1 + 2 (kernel_size - 1) (2^depth - 1) frames. There is no weight norm. Padding is
  never read, and its hidden states are zero.

  A causal network has a carry: the last inputs of each convolution. So a video that
  is read in parts gives the same hidden states as the full video.

  Attributes:
    dim: width of the hidden states.
    depth: number of blocks.
    kernel_size: frames that a convolution reads; odd without `causal`.
    dropout: rate after each convolution.
    causal: whether convolutions read only earlier frames, or as many later ones.
    initializer: initializer of the kernels, a key of `initializers.KERNELS`.
    dtype: compute dtype; parameters and carry are float32.
  """

  dim: int
  depth: int
  kernel_size: int = 3
  dropout: float = 0.0
  causal: bool = False
  initializer: str = 'default'
  dtype: DTypeLike = jnp.float32

  def initial_carry(self, batch_size: int) -> PyTree[Array]:
    """Returns zeros for each convolution if the network is causal."""
    if not self.causal:
      return {}
    return {
        f'conv{layer}_{i}': self._zeros(batch_size, self._reach(i))
        for i in range(self.depth)
        for layer in (1, 2)
    }

  @nn.compact
  def __call__(
      self,
      features: Float[Array, 'b t f'],
      context: window_context.WindowContext,
      carry: PyTree[Float[Array, 'b ...']],
      *,
      train: bool,
  ) -> tuple[Float[Array, 'b t d'], PyTree[Float[Array, 'b ...']]]:
    """Returns (hidden states, carry), see `Encoder`."""
    real = context.mask
    x = self._dense('affine')(features.astype(self.dtype))
    x = jnp.where(real[..., None], x, 0.0)
    new = {}
    for i in range(self.depth):
      y = batch_sharding.shard_batch(x)
      for name in (f'conv1_{i}', f'conv2_{i}'):
        y, new[name] = self._conv(name, y, i, carry.get(name), real)
        y = nn.Dropout(self.dropout)(nn.relu(y), deterministic=not train)
        y = jnp.where(real[..., None], y, 0.0)
      x = nn.relu(x + y)
    return x, {name: new[name] for name in carry}

  def _conv(
      self,
      name: str,
      x: Float[Array, 'b t d'],
      block: int,
      before: Float[Array, 'b p d'] | None,
      real: Bool[Array, 'b t'],
  ) -> tuple[Float[Array, 'b t d'], Float[Array, 'b p d'] | None]:
    """Returns a convolution as one matrix product, and its next carry.

    Args:
      name: of the parameters.
      x: input, zero on padding.
      block: number of the block.
      before: inputs before the window; None means zeros.
      real: True on real frames, which come first.
    """
    size, length = x.shape[:2]
    reach = self._reach(block)
    if before is None:
      before = self._zeros(size, reach if self.causal else reach // 2)
    parts = [before.astype(self.dtype), x]
    if not self.causal:
      parts.append(self._zeros(size, reach // 2).astype(self.dtype))
    inputs = jnp.concatenate(parts, axis=1)
    taps = [
        inputs[:, first : first + length]
        for first in range(0, reach + 1, 2**block)
    ]
    y = self._dense(name)(jnp.concatenate(taps, axis=-1))
    if not self.causal:
      return y, None
    last = jnp.sum(real, axis=1)[:, None] + jnp.arange(reach)[None]
    after = jnp.take_along_axis(inputs, last[..., None], axis=1)
    return y, after.astype(jnp.float32)

  def _reach(self, block: int) -> int:
    """Returns the distance in frames of the ends of a kernel."""
    return (self.kernel_size - 1) * 2**block

  def _dense(self, name: str) -> nn.Dense:
    kernel_init = initializers.KERNELS[self.initializer]
    return dense.dense(self.dim, name, self.dtype, kernel_init)

  # The batch size is no integer while a program with a dynamic one is exported.
  def _zeros(self, batch_size, length: int) -> Float[Array, 'b p d']:
    return jnp.zeros((batch_size, length, self.dim), jnp.float32)
