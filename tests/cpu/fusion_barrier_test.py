"""What is behind a fence is computed once, and is what it was."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from abaw_jax.cpu import fusion_barrier


def used_often(x, fence):
  """Returns a sum of shifted maps, each of which XLA would compute anew."""
  y = jnp.exp(x) * 2.0 + 1.0
  if fence:
    y = fusion_barrier.fence(y)
  padded = jnp.pad(y, ((1, 1), (1, 1)))
  rows, columns = y.shape
  return sum(
      padded[i : i + rows, j : j + columns] for i in range(3) for j in range(3)
  )


@pytest.mark.parametrize('fence', [True, False])
def test_loops_do_not_reach_over_it(fence):
  compiled = jax.jit(used_often, static_argnums=1).lower(
      jnp.ones((64, 64)), fence
  )
  text = compiled.compile().as_text()
  assert ('call(' in text) is fence


def test_values_and_gradients_are_the_same():
  x = jax.random.normal(jax.random.key(0), (16, 16))
  fenced, plain = (
      jax.jit(
          jax.value_and_grad(lambda x, fence=fence: used_often(x, fence).sum())
      )(x)
      for fence in (True, False)
  )
  for a, b in zip(fenced, plain, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-5)


def test_trees_keep_their_form():
  tree = {'a': jnp.arange(3), 'b': (jnp.ones(2),)}
  found = fusion_barrier.fence(tree)
  assert jax.tree.structure(found) == jax.tree.structure(tree)
  jax.tree.map(np.testing.assert_array_equal, found, tree)
