"""Reversal of gradients, for parts of a network that work against each other."""

import functools

import jax
from jaxtyping import Array, Float


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def reverse(x: Float[Array, '*b'], factor: float) -> Float[Array, '*b']:
  """Returns x; its gradient is multiplied by -`factor`.

  Reference: Ganin and Lempitsky, arXiv 1505.07818.
  """
  del factor
  return x


def _forward(x, factor):
  del factor
  return x, None


def _backward(factor, residuals, gradient):
  del residuals
  return (-factor * gradient,)


reverse.defvjp(_forward, _backward)
