"""Dense layers, exact GELU and the MLP of transformers."""

from collections.abc import Iterator
import contextlib
import contextvars
import functools
import math
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from abaw_jax.cpu import dense_vjp, dispatch
from abaw_jax.models.layers import rematerialization

XAVIER = nn.initializers.xavier_uniform()


def dense(
    features: int,
    name: str | None,
    dtype: DTypeLike,
    initializer: nn.initializers.Initializer = XAVIER,
) -> nn.Dense:
  """Returns a dense layer with float32 parameters; `dtype` is for computing."""
  return nn.Dense(
      features,
      kernel_init=initializer,
      promote_dtype=_promote,
      dot_general=dot_general,
      dtype=dtype,
      name=name,
  )


@contextlib.contextmanager
def float32_gradients(enabled: bool) -> Iterator[None]:
  """Chooses the dtype of kernel gradients of functions that are traced inside.

  Args:
    enabled: whether gradients of kernels are float32. They are then summed in
      float32 over a batch and over devices. Otherwise they have the compute dtype.
  """
  token = _FLOAT32_GRADIENTS.set(enabled)
  try:
    yield
  finally:
    _FLOAT32_GRADIENTS.reset(token)


def casts() -> bool:
  """Returns whether kernels may be cast before their layer."""
  return not _FLOAT32_GRADIENTS.get()


_FLOAT32_GRADIENTS = contextvars.ContextVar('float32_gradients', default=False)


def _promote(inputs, kernel, bias, *, dtype):
  """Returns inputs and bias in the compute dtype, and the kernel if it may be."""
  inputs, cast, bias = nn.dtypes.promote_dtype(
      inputs, kernel, bias, dtype=dtype
  )
  return inputs, cast if casts() else kernel, bias


def dot_general(
    x: Float[Array, '*b n'],
    kernel: Float[Array, 'n m'],
    *_: Any,
    **__: Any,
) -> Float[Array, '*b m']:
  """Returns `x @ kernel`; for `nn.Dense(dot_general=...)`.

  `nn.Dense` gives more arguments, which always mean this product.
  """
  if kernel.dtype != x.dtype:
    out = _product_with_float32_gradient(x, kernel)
  else:
    out = _product(x, kernel)
  return rematerialization.product(out)


# Without a reshape, which would copy the tiles of a TPU.
_product = dispatch.by_platform(cpu=dense_vjp.dense, default=jnp.matmul)


@jax.custom_vjp
def _product_with_float32_gradient(x, kernel):
  return _product(x, kernel.astype(x.dtype))


def _product_forward(x, kernel):
  return _product_with_float32_gradient(x, kernel), (x, kernel)


def _product_backward(residuals, g):
  x, kernel = residuals
  rows = tuple(range(x.ndim - 1))
  d_kernel = jax.lax.dot_general(
      x, g, ((rows, rows), ((), ())), preferred_element_type=kernel.dtype
  )
  return _product(g, kernel.astype(x.dtype).T), d_kernel


_product_with_float32_gradient.defvjp(_product_forward, _product_backward)


@jax.custom_vjp
def gelu(x: Float[Array, '*d']) -> Float[Array, '*d']:
  """Returns exact GELU, x times the normal distribution function at x.

  The custom VJP computes the gradient from `x` alone, so that only `x` is
  saved.
  """
  return x * _normal_cdf(x)


def _normal_cdf(x):
  return 0.5 + 0.5 * jax.lax.erf(x * math.sqrt(0.5))


def _gelu_forward(x):
  return gelu(x), x


def _gelu_backward(x, g):
  density = jnp.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))
  return (g * (_normal_cdf(x) + x * density),)


gelu.defvjp(_gelu_forward, _gelu_backward)


def quick_gelu(x: Float[Array, '*d']) -> Float[Array, '*d']:
  """Returns x times the logistic function at 1.702 x, the GELU of CLIP."""
  return x * jax.nn.sigmoid(1.702 * x)


def swiglu(x: Float[Array, '*b e']) -> Float[Array, '*b d']:
  """Returns SiLU of the first half times the second half (2002.05202)."""
  gate, value = jnp.split(x, 2, axis=-1)
  return jax.nn.silu(gate) * value


ACTIVATIONS = {
    'gelu': gelu,
    'gelu_tanh': functools.partial(nn.gelu, approximate=True),
    'quick_gelu': quick_gelu,
    'swiglu': swiglu,
}


class Mlp(nn.Module):
  """Two dense layers with an activation between them.

  Attributes:
    hidden_dim: width between the two layers.
    dtype: compute dtype; parameters are float32.
    activation: a key of `ACTIVATIONS`; for 'swiglu' the first layer is twice as
      wide.
  """

  hidden_dim: int
  dtype: DTypeLike = jnp.float32
  activation: str = 'gelu'

  @nn.compact
  def __call__(self, x: Float[Array, '*b d']) -> Float[Array, '*b d']:
    """Returns an array of the same shape as `x`."""
    width = self.hidden_dim * (2 if self.activation == 'swiglu' else 1)
    hidden = dense(width, 'fc1', self.dtype)(x)
    hidden = ACTIVATIONS[self.activation](hidden)
    return dense(x.shape[-1], 'fc2', self.dtype)(hidden)
