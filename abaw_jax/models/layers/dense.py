"""Dense layers with or without LoRA, exact GELU and the MLP of transformers."""

from collections.abc import Iterator
import contextlib
import contextvars
import dataclasses
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
# Names of the parameters of LoRA, next to the kernel.
LORA_FACTORS = ('lora_a', 'lora_b')
# As in the code of the paper: uniform between -1 / sqrt(n) and 1 / sqrt(n).
_LORA_A = nn.initializers.variance_scaling(1 / 3, 'fan_in', 'uniform')


@dataclasses.dataclass(frozen=True)
class Lora:
  """Low-rank adaptation of dense layers (LoRA; Hu et al., arXiv 2106.09685).

  Attributes:
    rank: columns of the factor A, and rows of the factor B.
    alpha: the product of the factors is multiplied by alpha / rank.
    targets: names of the layers with factors.
  """

  rank: int
  alpha: float
  targets: tuple[str, ...]

  @property
  def scale(self) -> float:
    """Factor of the product of A and B."""
    return self.alpha / self.rank


def dense(
    features: int,
    name: str | None,
    dtype: DTypeLike,
    initializer: nn.initializers.Initializer = XAVIER,
    lora: Lora | None = None,
) -> nn.Module:
  """Returns a dense layer with float32 parameters; `dtype` is for computing.

  With `lora`, the layer has factors if its name is a target, or None.
  """
  if lora and (name is None or name in lora.targets):
    return LoraDense(features, lora, initializer, dtype, name=name)
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
  return rematerialization.product(_matmul(x, kernel))


def _matmul(x, kernel):
  if kernel.dtype != x.dtype:
    return _product_with_float32_gradient(x, kernel)
  return _product(x, kernel)


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


class LoraDense(nn.Module):
  """A dense layer that returns x W + bias + (alpha / rank) x A B.

  A is random at first and B is 0, so the first output is that of the layer without
  factors. `rematerialization` recomputes x A B, which costs little.

  Attributes:
    features: width of the output.
    lora: rank and scale.
    initializer: of the kernel W.
    dtype: compute dtype; parameters are float32.
  """

  features: int
  lora: Lora
  initializer: nn.initializers.Initializer = XAVIER
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, '*b n']) -> Float[Array, '*b m']:
    """Returns the output of the layer."""
    rows, rank = x.shape[-1], self.lora.rank
    # The names and the order of `nn.Dense`, for the same initial weights.
    kernel = self.param('kernel', self.initializer, (rows, self.features))
    bias = self.param('bias', nn.initializers.zeros, (self.features,))
    a = self.param('lora_a', _LORA_A, (rows, rank))
    b = self.param('lora_b', nn.initializers.zeros, (rank, self.features))
    x, kernel, bias = _promote(x, kernel, bias, dtype=self.dtype)
    _, a, b = _promote(x, a, b, dtype=self.dtype)
    out = dot_general(x, kernel) + bias.reshape(*(1,) * (x.ndim - 1), -1)
    return out + self.lora.scale * _matmul(_matmul(x, a), b)


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
    'silu': nn.silu,
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
    lora: see `dense`.
  """

  hidden_dim: int
  dtype: DTypeLike = jnp.float32
  activation: str = 'gelu'
  lora: Lora | None = None

  @nn.compact
  def __call__(self, x: Float[Array, '*b d']) -> Float[Array, '*b d']:
    """Returns an array of the same shape as `x`."""
    width = self.hidden_dim * (2 if self.activation == 'swiglu' else 1)
    hidden = dense(width, 'fc1', self.dtype, lora=self.lora)(x)
    hidden = ACTIVATIONS[self.activation](hidden)
    return dense(x.shape[-1], 'fc2', self.dtype, lora=self.lora)(hidden)
