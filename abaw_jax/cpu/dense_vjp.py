"""Matrix product of a dense layer, with a custom VJP that is fast on CPUs."""

from typing import Any

import jax
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from abaw_jax.cpu import fusion_barrier

# Name of these products in rematerialisation policies.
CHECKPOINT_NAME = 'product'


def dense(
    x: Float[Array, '*b n'],
    kernel: Float[Array, 'n m'],
    dimension_numbers: Any,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Float[Array, '*b m']:
  """Returns `x @ kernel`; for `nn.Dense(dot_general=...)`.

  On a CPU the gradients multiply by a transposed copy. XLA would fold the
  transposition into the product, and its CPU kernels for that are half as fast.
  On other platforms the gradients are the same as those of autodiff.
  """
  del dimension_numbers, precision, preferred_element_type  # set by nn.Dense
  rows = _product(x.reshape(-1, x.shape[-1]), kernel)
  rows = checkpoint_name(rows, CHECKPOINT_NAME)
  return rows.reshape(*x.shape[:-1], kernel.shape[-1])


@jax.custom_vjp
def _product(x, kernel):
  return x @ kernel


def _forward(x, kernel):
  return _product(x, kernel), (x, kernel)


def _backward(residuals, g):
  return jax.lax.platform_dependent(
      *residuals, g, cpu=_cpu_gradients, default=_gradients
  )


def _gradients(x, kernel, g):
  return g @ kernel.T, x.T @ g


def _cpu_gradients(x, kernel, g):
  # Without barriers XLA would recompute `x` and `g` element by element in the
  # transposed order, and fold the transposition into the product.
  x, g = fusion_barrier.barrier((x, g))
  d_x = g @ fusion_barrier.barrier(kernel.T)
  if x.shape[1] <= g.shape[1]:
    return d_x, fusion_barrier.barrier(x.T) @ g
  # Transpose the narrower matrix, because that is cheaper.
  return d_x, fusion_barrier.barrier(fusion_barrier.barrier(g.T) @ x).T


_product.defvjp(_forward, _backward)
