"""Multi-head self-attention."""

from flax import linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from abaw_jax.models.layers import dense, positions


@jax.custom_vjp
def attend(
    query: Float[Array, 'b h q d'],
    key: Float[Array, 'b h k d'],
    value: Float[Array, 'b h k d'],
    mask: Bool[Array, 'b #q k'] | None,
) -> Float[Array, 'b h q d']:
  """Returns softmax(query key^T / sqrt(d)) value per head, softmax in float32.

  The product with `value` comes before the division by the row sums, and the
  custom VJP computes row sums from the output (Dao et al., arXiv 2205.14135,
  B.2). This needs half as many passes over the q x k matrices as autodiff. The
  mask is True where a query may attend to a key; None means everywhere.
  """
  return _attend(query, key, value, mask)[0]


def _attend(query, key, value, mask):
  """Returns (output, (scaled query, probabilities before division, sums))."""
  query = query * jnp.asarray(query.shape[-1] ** -0.5, query.dtype)
  logits = jnp.einsum(
      'bhqd,bhkd->bhqk', query, key, preferred_element_type=jnp.float32
  )
  if mask is not None:
    least = jnp.finfo(logits.dtype).min
    logits = jnp.where(mask[:, None], logits, least)
  probs = jnp.exp(logits - logits.max(axis=-1, keepdims=True))
  sums = probs.sum(axis=-1, keepdims=True)
  probs = probs.astype(query.dtype)
  out = jnp.einsum(
      'bhqk,bhkd->bhqd', probs, value, preferred_element_type=jnp.float32
  )
  return (out / sums).astype(query.dtype), (query, probs, sums)


def _attend_forward(query, key, value, mask):
  out, residuals = _attend(query, key, value, mask)
  return out, (key, value, out, residuals)


def _attend_backward(saved, g):
  key, value, out, (query, probs, sums) = saved
  scale = jnp.asarray(query.shape[-1] ** -0.5, query.dtype)
  g = g / sums
  inner = jnp.sum(g * out, axis=-1, keepdims=True)
  g = g.astype(query.dtype)
  d_value = jnp.einsum('bhqk,bhqd->bhkd', probs, g)
  d_probs = jnp.einsum(
      'bhqd,bhkd->bhqk', g, value, preferred_element_type=jnp.float32
  )
  d_logits = (probs * (d_probs - inner)).astype(query.dtype)
  d_query = jnp.einsum('bhqk,bhkd->bhqd', d_logits, key) * scale
  d_key = jnp.einsum('bhqk,bhqd->bhkd', d_logits, query)
  return d_query, d_key, d_value, None


attend.defvjp(_attend_forward, _attend_backward)


def _attend_dropped(query, key, value, mask, *, rate, rng):
  """Returns `attend` with element-wise dropout on the probabilities."""
  logits = jnp.einsum(
      'bhqd,bhkd->bhqk', query, key, preferred_element_type=jnp.float32
  )
  logits = logits * query.shape[-1] ** -0.5
  if mask is not None:
    least = jnp.finfo(logits.dtype).min
    logits = jnp.where(mask[:, None], logits, least)
  probs = jax.nn.softmax(logits, axis=-1)
  keep = jax.random.bernoulli(rng, 1.0 - rate, probs.shape)
  probs = jnp.where(keep, probs / (1.0 - rate), 0.0).astype(query.dtype)
  return jnp.einsum('bhqk,bhkd->bhqd', probs, value)


class Attention(nn.Module):
  """Multi-head self-attention with one stacked query-key-value projection.

  Attributes:
    num_heads: number of heads; divides the feature width.
    dropout: dropout rate on the attention probabilities.
    qkv_initializer: initializer of the stacked query-key-value kernel.
    proj_initializer: initializer of the output projection.
    dtype: compute dtype; parameters are float32.
  """

  num_heads: int
  dropout: float = 0.0
  qkv_initializer: nn.initializers.Initializer = dense.XAVIER
  proj_initializer: nn.initializers.Initializer = dense.XAVIER
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
      self,
      x: Float[Array, 'b n d'],
      mask: Bool[Array, 'b #n n'] | None = None,
      *,
      train: bool,
      times: Float[Array, '#b n'] | None = None,
  ) -> Float[Array, 'b n d']:
    """Returns attended tokens.

    Args:
      x: tokens.
      mask: True where a token (row) may attend to another token (column). A
        single row applies to all tokens; None means everywhere.
      train: whether dropout is active.
      times: times of the tokens for rotary positions; None disables these.
    """
    dim = x.shape[-1]
    qkv = dense.dense(3 * dim, 'qkv', self.dtype, self.qkv_initializer)(x)
    qkv = qkv.reshape(*x.shape[:2], 3 * self.num_heads, dim // self.num_heads)
    query, key, value = jax.lax.split(
        qkv.transpose(0, 2, 1, 3), [self.num_heads] * 3, axis=1
    )
    if times is not None:
      query = positions.rotate(query, times)
      key = positions.rotate(key, times)
    heads = query, key, value
    if train and self.dropout > 0.0:
      rng = self.make_rng('dropout')
      out = _attend_dropped(*heads, mask, rate=self.dropout, rng=rng)
    else:
      out = attend(*heads, mask)
    out = out.transpose(0, 2, 1, 3).reshape(x.shape)
    return dense.dense(dim, 'proj', self.dtype, self.proj_initializer)(out)
