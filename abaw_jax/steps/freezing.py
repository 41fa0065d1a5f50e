"""Parameters that training does not change."""

from typing import Any

import jax
import jax.numpy as jnp

from abaw_jax.models.layers import dense

Params = dict[str, Any]


def trained(params: Params, freeze: str = '') -> Params:
  """Returns True for the parameters that are trained, as a tree.

  Of a top-level part with LoRA, only the factors are trained.

  Args:
    params: nested dict of parameters.
    freeze: top-level name of parameters that are not trained; '' = none.
  """
  paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(params)]
  adapted = {path[0].key for path in paths if _is_factor(path)}

  def is_trained(path, _):
    part = path[0].key
    return part != freeze and (part not in adapted or _is_factor(path))

  return jax.tree_util.tree_map_with_path(is_trained, params)


def split(params: Params, freeze: str) -> tuple[Params, Params]:
  """Returns (trained, frozen); None replaces the parameters of the other tree."""
  mask = trained(params, freeze)
  return (
      jax.tree.map(lambda x, keep: x if keep else None, params, mask),
      jax.tree.map(lambda x, keep: None if keep else x, params, mask),
  )


def join(trained: Params, frozen: Params) -> Params:
  """Returns the parameters of both trees of `split`."""
  return jax.tree.map(
      lambda x, y: y if x is None else x,
      trained,
      frozen,
      is_leaf=lambda x: x is None,
  )


def without_gradients(grads: Params, frozen: Params) -> Params:
  """Returns the gradients of all parameters; those of frozen ones are 0."""
  return join(grads, jax.tree.map(jnp.zeros_like, frozen))


def size(params: Params, freeze: str) -> str:
  """Returns the number of parameters, and of the trained ones, as text."""
  count, changed = (
      sum(x.size for x in jax.tree.leaves(tree))
      for tree in (params, split(params, freeze)[0])
  )
  note = f' ({changed:,} trained)' if changed < count else ''
  return f'{count:,} parameters{note}'


def _is_factor(path) -> bool:
  return path[-1].key in dense.LORA_FACTORS
