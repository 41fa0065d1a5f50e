"""The training step, compiled before the first batch is there."""

from collections.abc import Mapping
from typing import Any

import jax
from jaxtyping import Array

from abaw_jax.training import sharding


def compile_step(
    step: Any,
    shapes: Any,
    example: Mapping[str, Array],
    mesh: jax.sharding.Mesh,
    *,
    batch_size: int,
) -> tuple[jax.stages.Compiled, int]:
  """Returns the compiled step, and the bytes that it takes of each device.

  Args:
    step: jitted `steps.train_step`.
    shapes: the state as `jax.ShapeDtypeStruct`s with sharding.
    example: a batch of any size.
    mesh: mesh that batches are split over.
    batch_size: rows of a batch, over all devices.
  """
  split = sharding.over_batch(mesh)
  batch = {
      key: jax.ShapeDtypeStruct(
          (batch_size, *value.shape[1:]), value.dtype, sharding=split
      )
      for key, value in example.items()
  }
  compiled = step.lower(shapes, batch).compile()
  memory = compiled.memory_analysis()
  return compiled, (
      memory.argument_size_in_bytes
      + memory.output_size_in_bytes
      - memory.alias_size_in_bytes
      + memory.temp_size_in_bytes
  )
