"""The ViT's block, and how a stack of them is run."""

from collections.abc import Sequence

from flax import linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float
import numpy as np

from abaw_jax.cpu import dense_vjp
from abaw_jax.models.layers import attention, basic

# What the backward pass finds saved; the rest is computed twice. `dots` saves
# what the dense layers give and recomputes attention, norms and GELU.
REMATS = {
    'none': jax.checkpoint_policies.everything_saveable,
    'dots': jax.checkpoint_policies.save_only_these_names(dense_vjp.NAME),
    'all': jax.checkpoint_policies.nothing_saveable,
}


class Block(nn.Module):
  """Pre-norm transformer block of the ViT (Dosovitskiy et al., 2021).

  Attributes:
    num_heads: attention heads.
    mlp_dim: width of the MLP.
    dtype: compute dtype; parameters are float32.
  """

  num_heads: int
  mlp_dim: int
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
      self,
      x: Float[Array, 'b n d'],
      drop_path: float | Float[Array, ''] = 0.0,
      *,
      train: bool,
  ) -> Float[Array, 'b n d']:
    """Returns tokens of the same shape.

    Args:
      x: tokens.
      drop_path: stochastic depth rate of both residual branches.
      train: whether stochastic depth is drawn.
    """
    x = basic.split_batch(x)
    y = nn.LayerNorm(epsilon=1e-6, dtype=self.dtype, name='norm1')(x)
    y = attention.Attention(self.num_heads, dtype=self.dtype, name='attn')(
        y, train=train
    )
    x = x + basic.DropPath()(y, drop_path, train=train)
    y = nn.LayerNorm(epsilon=1e-6, dtype=self.dtype, name='norm2')(x)
    y = basic.Mlp(self.mlp_dim, dtype=self.dtype, name='mlp')(y)
    return x + basic.DropPath()(y, drop_path, train=train)


def run(
    blocks: Sequence[Block],
    x: Float[Array, 'b n d'],
    *,
    drop_path: float = 0.0,
    remat: str = 'none',
    scan: bool = False,
    train: bool,
) -> Float[Array, 'b n d']:
  """Returns the tokens behind the last of equal blocks.

  Parameters bear the same names however the blocks are run, so a checkpoint
  does not know of `remat` and `scan`.

  Args:
    blocks: bound submodules of the caller, equal but for their parameters.
    x: tokens.
    drop_path: stochastic depth of the last block; grows linearly from 0.
    remat: a key of REMATS.
    scan: whether XLA compiles one block and loops over it, which compiles
      faster and runs slower than blocks one after the other.
    train: whether stochastic depth is drawn.
  """
  if blocks[0].is_initializing():
    for block in blocks:
      x = block(x, train=train)
    return x
  params = [block.variables['params'] for block in blocks]
  draws = train and drop_path > 0.0
  rates = keys = [None] * len(blocks)
  if draws:
    rates = np.linspace(0.0, drop_path, len(blocks)).tolist()
    keys = jax.random.split(blocks[0].make_rng('dropout'), len(blocks))
  block = blocks[0].clone(parent=None, name=None)

  def one(x, params, rate, key):
    rngs, rate = ({'dropout': key}, rate) if draws else ({}, 0.0)
    return block.apply({'params': params}, x, rate, train=train, rngs=rngs)

  if remat != 'none':
    # Inside a scan nothing could merge the two computations anyway.
    one = jax.checkpoint(one, policy=REMATS[remat], prevent_cse=not scan)
  if not scan:
    for layer in zip(params, rates, keys, strict=True):
      x = one(x, *layer)
    return x
  # In the compute dtype: the stack is a second copy of the parameters.
  stacked = jax.tree.map(
      lambda *leaves: jnp.stack(
          [_as_used(leaf, block.dtype) for leaf in leaves]
      ),
      *params,
  )
  rates, keys = (jnp.asarray(rates), keys) if draws else (None, None)
  x, _ = jax.lax.scan(
      lambda x, layer: (one(x, *layer), None), x, (stacked, rates, keys)
  )
  return x


def _as_used(leaf: Float[Array, '*d'], dtype: DTypeLike) -> Float[Array, '*d']:
  """Returns a kernel in the compute dtype; norms and biases stay float32."""
  return leaf.astype(dtype) if leaf.ndim > 1 else leaf
