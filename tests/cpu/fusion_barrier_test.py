"""The fusion barrier stops fusion and does not change values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from abaw_jax.cpu import fusion_barrier


def sum_of_shifts(x, with_barrier):
  """Returns a sum of shifted maps; XLA would recompute the map for each."""
  y = jnp.exp(x) * 2.0 + 1.0
  if with_barrier:
    y = fusion_barrier.barrier(y)
  padded = jnp.pad(y, ((1, 1), (1, 1)))
  rows, columns = y.shape
  return sum(
      padded[i : i + rows, j : j + columns] for i in range(3) for j in range(3)
  )


@pytest.mark.parametrize('with_barrier', [True, False])
def test_xla_does_not_fuse_across_it(with_barrier):
  compiled = jax.jit(sum_of_shifts, static_argnums=1).lower(
      jnp.ones((64, 64)), with_barrier
  )
  text = compiled.compile().as_text()
  assert ('call(' in text) is with_barrier


def test_values_and_gradients_are_the_same():
  x = jax.random.normal(jax.random.key(0), (16, 16))
  separate, fused = (
      jax.jit(jax.value_and_grad(lambda x, on=on: sum_of_shifts(x, on).sum()))(
          x
      )
      for on in (True, False)
  )
  for a, b in zip(separate, fused, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-5)


def test_pytrees_keep_their_structure():
  tree = {'a': jnp.arange(3), 'b': (jnp.ones(2),)}
  found = fusion_barrier.barrier(tree)
  assert jax.tree.structure(found) == jax.tree.structure(tree)
  jax.tree.map(np.testing.assert_array_equal, found, tree)
