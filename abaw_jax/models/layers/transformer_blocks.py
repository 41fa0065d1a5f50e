"""The ViT's transformer block, and a function that applies a stack of them."""

from collections.abc import Sequence
import functools

from flax import linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float
import numpy as np

from abaw_jax.models.layers import (
    attention,
    batch_sharding,
    dense,
    rematerialization,
    stochastic_depth,
)


class Block(nn.Module):
  """Pre-norm transformer block of the ViT (Dosovitskiy et al., 2021).

  Attributes:
    num_heads: attention heads.
    mlp_dim: hidden width of the MLP.
    dtype: compute dtype; parameters are float32.
    cudnn: see `attention.attend`.
    activation: of the MLP, a key of `dense.ACTIVATIONS`.
    layer_scale: whether each channel of both branches has a factor (Touvron et
      al., arXiv 2103.17239), at first 1.
    norm_eps: epsilon of the norms.
    lora: see `dense.dense`.
  """

  num_heads: int
  mlp_dim: int
  dtype: DTypeLike = jnp.float32
  cudnn: bool = False
  activation: str = 'gelu'
  layer_scale: bool = False
  norm_eps: float = 1e-6
  lora: dense.Lora | None = None

  @nn.compact
  def __call__(
      self,
      x: Float[Array, 'b n d'],
      drop_path: float | Float[Array, ''] = 0.0,
      *,
      train: bool,
      angles: Float[Array, '#b n a'] | None = None,
  ) -> Float[Array, 'b n d']:
    """Returns tokens; `drop_path` is the rate of both residual branches.

    `angles` are those of `attention.Attention`.
    """
    x = batch_sharding.shard_batch(x)
    drop = stochastic_depth.DropPath
    norm = functools.partial(
        nn.LayerNorm, epsilon=self.norm_eps, dtype=self.dtype
    )
    y = norm(name='norm1')(x)
    y = attention.Attention(
        self.num_heads,
        dtype=self.dtype,
        cudnn=self.cudnn,
        lora=self.lora,
        name='attn',
    )(y, train=train, angles=angles)
    x = x + drop()(self._scaled(y, 'ls1'), drop_path, train=train)
    y = norm(name='norm2')(x)
    y = dense.Mlp(
        self.mlp_dim, self.dtype, self.activation, self.lora, name='mlp'
    )(y)
    return x + drop()(self._scaled(y, 'ls2'), drop_path, train=train)

  def _scaled(self, x, name):
    """Returns `x` times the factor of each channel, if there are factors."""
    if not self.layer_scale:
      return x
    scale = self.param(name, nn.initializers.ones, x.shape[-1:])
    return x * scale.astype(x.dtype)[None, None]


def apply_blocks(
    blocks: Sequence[Block],
    x: Float[Array, 'b n d'],
    *,
    drop_path: float = 0.0,
    remat: str = 'none',
    scan: bool = False,
    train: bool,
    angles: Float[Array, '#b n a'] | None = None,
) -> Float[Array, 'b n d']:
  """Returns the tokens after the last block.

  The names of parameters do not depend on `remat` and `scan`, so checkpoints
  fit all of their values.

  Args:
    blocks: bound submodules of the caller; only their parameters differ.
    x: tokens before the first block.
    drop_path: stochastic depth rate of the last block; it grows linearly from
      0.
    remat: a key of `rematerialization.POLICIES`.
    scan: whether XLA compiles one block and loops over it. This compiles faster
      and runs slower than unrolled blocks.
    train: whether stochastic depth is active.
    angles: see `Block`.
  """
  if blocks[0].is_initializing():
    for block in blocks:
      x = block(x, train=train, angles=angles)
    return x
  params = [block.variables['params'] for block in blocks]
  draws = train and drop_path > 0.0
  rates = keys = [None] * len(blocks)
  if draws:
    rates = np.linspace(0.0, drop_path, len(blocks)).tolist()
    keys = jax.random.split(blocks[0].make_rng('dropout'), len(blocks))
  block = blocks[0].clone(parent=None, name=None)

  def apply_one(x, params, rate, key):
    rngs, rate = ({'dropout': key}, rate) if draws else ({}, 0.0)
    return block.apply(
        {'params': params}, x, rate, train=train, angles=angles, rngs=rngs
    )

  if remat != 'none':
    # In a scan XLA cannot merge the two computations, so CSE is harmless.
    policy = rematerialization.POLICIES[remat]
    apply_one = jax.checkpoint(apply_one, policy=policy, prevent_cse=not scan)
  if not scan:
    for layer in zip(params, rates, keys, strict=True):
      x = apply_one(x, *layer)
    return x
  # In the compute dtype, because the stack is a second copy of the parameters.
  stacked = jax.tree.map(
      lambda *leaves: jnp.stack(
          [_to_compute_dtype(leaf, block.dtype) for leaf in leaves]
      ),
      *params,
  )
  rates, keys = (jnp.asarray(rates), keys) if draws else (None, None)
  x, _ = jax.lax.scan(
      lambda x, layer: (apply_one(x, *layer), None), x, (stacked, rates, keys)
  )
  return x


def _to_compute_dtype(leaf, dtype):
  """Returns a kernel in the compute dtype; norms and biases stay float32."""
  return leaf.astype(dtype) if leaf.ndim > 1 and dense.casts() else leaf
