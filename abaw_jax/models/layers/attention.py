"""Multi-head self-attention."""

from flax import linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from abaw_jax.cpu import dispatch
from abaw_jax.models.layers import batch_sharding, dense, positions


def attend(
    query: Float[Array, 'b q h d'],
    key: Float[Array, 'b k h d'],
    value: Float[Array, 'b k h d'],
    mask: Bool[Array, 'b #q k'] | None,
    *,
    cudnn: bool = False,
) -> Float[Array, 'b q h d']:
  """Returns softmax(query key^T / sqrt(d)) value per head, softmax in float32.

  Args:
    query: queries of each head.
    key: keys.
    value: values.
    mask: True where a query may attend to a key; None means everywhere.
    cudnn: whether an NVIDIA GPU uses cuDNN's fused attention. It needs bfloat16 or
      float16, and a width that is a multiple of 8, and here no mask. Other
      platforms ignore it.
  """
  if cudnn and mask is None and dispatch.platform() in _NVIDIA:
    return batch_sharding.map_rows(_attend_with_cudnn)(query, key, value)
  return _attend_on_platform(query, key, value, mask)


_NVIDIA = ('gpu', 'cuda')  # names of the platform in JAX


def _attend_with_cudnn(query, key, value):
  """Returns `attend` without a q x k matrix in memory, also for gradients."""
  return jax.nn.dot_product_attention(query, key, value, implementation='cudnn')


# Bytes of float32 logits that a TPU keeps in its vector memory, with room for the
# other arrays of a block, and the largest number of parts of a batch.
_TPU_LOGITS = 20 * 2**20
_MAX_PARTS = 16
# Parts whose logits fit into the vector memory at the same time.
_PARTS_AT_ONCE = 4


def _attend_on_tpu(query, key, value, mask):
  """Returns `attend` without a q x k matrix in HBM."""
  inputs = (query, key, value) + (() if mask is None else (mask,))
  return batch_sharding.map_rows(_attend_in_parts)(*inputs)


@jax.custom_vjp
def _attend_in_parts(*inputs):
  """Returns `attend` for a few rows at a time, which fit into vector memory.

  The backward pass computes the logits again, which costs 1 to 2% of the FLOPs of
  a ViT. The gradient of each part is joined to the others; autodiff would pad it
  to all rows and add.
  """
  return _one_by_one(_softmax_attention, _parts(*inputs))


def _attend_in_parts_forward(*inputs):
  return _attend_in_parts(*inputs), inputs


def _attend_in_parts_backward(inputs, g):
  # Without a barrier, XLA would keep the logits of the forward pass, or compute
  # them again before `g` is there.
  inputs, g = jax.lax.optimization_barrier((inputs, g))

  def gradients(query, key, value, g, *mask):
    def attend(*heads):
      return _softmax_attention(*heads, *mask)

    return jax.vjp(attend, query, key, value)[1](g)

  parts = _parts(*inputs[:3], g, *inputs[3:])
  return (*_one_by_one(gradients, parts), *(None for _ in inputs[3:]))


_attend_in_parts.defvjp(_attend_in_parts_forward, _attend_in_parts_backward)


def _parts(query, key, *others):
  """Returns parts of the rows of all arrays, for a small matrix of logits."""
  rows, queries, heads, _ = query.shape
  logits = 4 * rows * heads * queries * key.shape[1]
  count = min(rows, _MAX_PARTS, -(-logits // _TPU_LOGITS))
  split = (jnp.array_split(x, count) for x in (query, key, *others))
  return list(zip(*split, strict=True))


def _one_by_one(function, parts):
  """Returns the joined results; one of many parts waits for the one before."""
  results = []
  for part in parts:
    if results and len(parts) > _PARTS_AT_ONCE:
      results[-1], part = jax.lax.optimization_barrier((results[-1], part))
    results.append(function(*part))
  return jax.tree.map(lambda *x: jnp.concatenate(x), *results)


def _softmax_attention(query, key, value, mask=None):
  query = query * jnp.asarray(query.shape[-1] ** -0.5, query.dtype)
  logits = jnp.einsum(
      'bqhd,bkhd->bhqk', query, key, preferred_element_type=jnp.float32
  )
  if mask is not None:
    logits = jnp.where(mask[:, None], logits, jnp.finfo(logits.dtype).min)
  probs = jax.nn.softmax(logits, axis=-1).astype(query.dtype)
  return jnp.einsum('bhqk,bkhd->bqhd', probs, value)


def _attend_with_few_passes(query, key, value, mask):
  """Returns `attend` with half as many passes over q x k as autodiff.

  The product with `value` comes before the division by the row sums, and the
  custom VJP computes row sums from the output (Dao et al., arXiv 2205.14135,
  B.2).
  """
  heads = (x.transpose(0, 2, 1, 3) for x in (query, key, value))
  return _attend_by_head(*heads, mask).transpose(0, 2, 1, 3)


@jax.custom_vjp
def _attend_by_head(query, key, value, mask):
  """Returns `attend` for arrays b h n d."""
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


_attend_by_head.defvjp(_attend_forward, _attend_backward)
_attend_on_platform = dispatch.by_platform(
    default=_attend_with_few_passes, tpu=_attend_on_tpu
)


def _attend_dropped(query, key, value, mask, *, rate, rng):
  """Returns `attend` with element-wise dropout on the probabilities."""
  logits = jnp.einsum(
      'bqhd,bkhd->bhqk', query, key, preferred_element_type=jnp.float32
  )
  logits = logits * query.shape[-1] ** -0.5
  if mask is not None:
    least = jnp.finfo(logits.dtype).min
    logits = jnp.where(mask[:, None], logits, least)
  probs = jax.nn.softmax(logits, axis=-1)
  keep = jax.random.bernoulli(rng, 1.0 - rate, probs.shape)
  probs = jnp.where(keep, probs / (1.0 - rate), 0.0).astype(query.dtype)
  return jnp.einsum('bhqk,bkhd->bqhd', probs, value)


class Attention(nn.Module):
  """Multi-head self-attention with one stacked query-key-value projection.

  Attributes:
    num_heads: number of heads; divides the feature width.
    dropout: dropout rate on the attention probabilities.
    qkv_initializer: initializer of the stacked query-key-value kernel.
    proj_initializer: initializer of the output projection.
    dtype: compute dtype; parameters are float32.
    cudnn: see `attend`; has no effect with dropout.
  """

  num_heads: int
  dropout: float = 0.0
  qkv_initializer: nn.initializers.Initializer = dense.XAVIER
  proj_initializer: nn.initializers.Initializer = dense.XAVIER
  dtype: DTypeLike = jnp.float32
  cudnn: bool = False

  @nn.compact
  def __call__(
      self,
      x: Float[Array, 'b n d'],
      mask: Bool[Array, 'b #n n'] | None = None,
      *,
      train: bool,
      times: Float[Array, '#b n'] | None = None,
      angles: Float[Array, '#b n a'] | None = None,
  ) -> Float[Array, 'b n d']:
    """Returns attended tokens.

    Args:
      x: tokens.
      mask: True where a token (row) may attend to another token (column). A
        single row applies to all tokens; None means everywhere.
      train: whether dropout is active.
      times: times of the tokens for rotary positions; None disables these.
      angles: angles of the tokens for rotary positions of a head, in place of
        times.
    """
    dim = x.shape[-1]
    qkv = dense.dense(3 * dim, 'qkv', self.dtype, self.qkv_initializer)(x)
    query, key, value = (
        part.reshape(*x.shape[:2], self.num_heads, dim // self.num_heads)
        for part in jnp.split(qkv, 3, axis=-1)
    )
    if times is not None:
      query = positions.rotate(query, times)
      key = positions.rotate(key, times)
    if angles is not None:
      query = positions.rotate_by(query, angles)
      key = positions.rotate_by(key, angles)
    heads = query, key, value
    if train and self.dropout > 0.0:
      rng = self.make_rng('dropout')
      out = _attend_dropped(*heads, mask, rate=self.dropout, rng=rng)
    else:
      out = attend(*heads, mask, cudnn=self.cudnn)
    out = out.reshape(x.shape)
    return dense.dense(dim, 'proj', self.dtype, self.proj_initializer)(out)
