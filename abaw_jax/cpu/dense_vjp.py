"""The matrix product of a dense layer, with gradients that suit the machine."""

from typing import Any

import jax
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from abaw_jax.cpu import fusion_barrier

# What rematerialisation policies call the products.
NAME = 'product'


def dense(
    x: Float[Array, '*b n'],
    kernel: Float[Array, 'n m'],
    dimension_numbers: Any,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Float[Array, '*b m']:
  """Returns `x @ kernel`; for `nn.Dense(dot_general=...)`.

  On a CPU the gradients are products with a transposed copy: XLA would fold the
  transposition into the product, for which its CPU kernels are half as fast.
  On all other platforms they are what autodiff writes.
  """
  del dimension_numbers, precision, preferred_element_type  # nn.Dense's own
  rows = _product(x.reshape(-1, x.shape[-1]), kernel)
  rows = checkpoint_name(rows, NAME)
  return rows.reshape(*x.shape[:-1], kernel.shape[-1])


@jax.custom_vjp
def _product(x, kernel):
  return x @ kernel


def _forward(x, kernel):
  return _product(x, kernel), (x, kernel)


def _backward(residuals, g):
  return jax.lax.platform_dependent(*residuals, g, cpu=_copied, default=_folded)


def _folded(x, kernel, g):
  return g @ kernel.T, x.T @ g


def _copied(x, kernel, g):
  # The fences keep XLA from computing `x` and `g` anew, element by element
  # in the transposed order, and from folding a transposition away.
  x, g = fusion_barrier.fence((x, g))
  d_x = g @ fusion_barrier.fence(kernel.T)
  if x.shape[1] <= g.shape[1]:
    return d_x, fusion_barrier.fence(x.T) @ g
  # The narrower of the two is the cheaper to transpose.
  return d_x, fusion_barrier.fence(fusion_barrier.fence(g.T) @ x).T


_product.defvjp(_forward, _backward)
