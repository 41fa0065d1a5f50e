"""Sharding of activations over the batch axes of a mesh."""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import PartitionSpec
from jaxtyping import Array, Shaped

# Mesh axes that split a batch; distributed/sharding.py builds the mesh.
BATCH_AXES = ('data', 'zero', 'fsdp')


def shard_batch(x: Shaped[Array, 'b *d']) -> Shaped[Array, 'b *d']:
  """Returns `x`, constrained to a split over its first axis if a mesh is set.

  Without this hint between blocks XLA may replicate activations. The ViT-B MAE
  step then needs 80 times the memory on a 256-chip slice.
  """
  if jax.sharding.get_abstract_mesh().empty:
    return x
  return jax.lax.with_sharding_constraint(x, PartitionSpec(BATCH_AXES))


def map_rows(function: Callable[..., Any]) -> Callable[..., Any]:
  """Returns a function that runs on the rows of each device separately.

  Its arguments and result have a leading axis over the batch. If the devices do
  not divide that axis, or if no mesh is set, it runs once on all rows.
  """

  def mapped(*inputs):
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or mesh.size == 1 or inputs[0].shape[0] % mesh.size:
      return function(*inputs)
    spec = PartitionSpec(BATCH_AXES)
    return jax.shard_map(function, in_specs=spec, out_specs=spec)(*inputs)

  return mapped
