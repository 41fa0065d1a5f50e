"""Compilation of the training step, before the first batch is read."""

from collections.abc import Mapping
import dataclasses
from typing import Any

import jax
from jaxtyping import Array

from abaw_jax.distributed import sharding


@dataclasses.dataclass(frozen=True)
class Memory:
  """Bytes that a compiled step needs on each device.

  Attributes:
    arguments: the state and the batch.
    outputs: the next state and the scalars, without the part that reuses the
      memory of the arguments.
    temporaries: intermediate values.
    code: the program.
  """

  arguments: int
  outputs: int
  temporaries: int
  code: int

  @property
  def total(self) -> int:
    return sum(dataclasses.astuple(self))


def compile_step(
    step: Any,
    shapes: Any,
    example: Mapping[str, Array],
    mesh: jax.sharding.Mesh,
    *,
    batch_size: int,
) -> tuple[jax.stages.Compiled, int]:
  """Returns the compiled step, and the bytes that it needs on each device.

  Args:
    step: jitted `steps.train_step`.
    shapes: the state as `jax.ShapeDtypeStruct`s with sharding.
    example: a batch of any size.
    mesh: the mesh over which batches are split.
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
  return compiled, memory(compiled).total


def memory(compiled: jax.stages.Compiled) -> Memory:
  """Returns the bytes that a compiled step needs on each device."""
  sizes = compiled.memory_analysis()
  return Memory(
      arguments=sizes.argument_size_in_bytes,
      outputs=sizes.output_size_in_bytes - sizes.alias_size_in_bytes,
      temporaries=sizes.temp_size_in_bytes,
      code=sizes.generated_code_size_in_bytes,
  )
