"""Networks as StableHLO: JAX runs the file without this package."""

import importlib.util
from typing import Any

import jax
from jax import export
import jax.numpy as jnp

from abaw_jax.core import errors
from abaw_jax.cpu import dispatch
from abaw_jax.exporting import functions

PLATFORMS = ('cpu', 'cuda', 'tpu')
SUFFIX = '.stablehlo'
EXAMPLE = 'run.py'
MODEL: dict[str, Any] = {}  # values of sections `model` that this format needs


def check_installed() -> None:
  """Raises an InputError if JAX cannot write programs."""
  if importlib.util.find_spec('flatbuffers') is None:
    raise errors.InputError(
        "--format=stablehlo needs flatbuffers: pip install 'abaw_jax[export]'"
    )


def adapted(function: functions.Function) -> functions.Function:
  """Returns the function to export."""
  return function


def shapes(function: functions.Function) -> list[jax.ShapeDtypeStruct]:
  """Returns its inputs with dynamic b and t."""
  bounds = [f't <= {n}' for n in (function.max_length,) if n is not None]
  scope = export.SymbolicScope(bounds)
  return [
      jax.ShapeDtypeStruct(
          export.symbolic_shape(
              ','.join(map(str, tensor.shape)) + ',', scope=scope
          ),
          jnp.dtype(tensor.dtype),
      )
      for tensor in function.inputs
  ]


def serialize(function: functions.Function) -> bytes:
  """Returns a program for all PLATFORMS, with dynamic b and t."""
  with dispatch.portable():
    exported = export.export(jax.jit(function.call), platforms=PLATFORMS)(
        *shapes(function)
    )
  return bytes(exported.serialize())


def load(content: bytes):
  """Returns the function of a program."""
  return jax.jit(export.deserialize(bytearray(content)).call)


def facts() -> dict[str, Any]:
  """Returns facts about all files, as JSON values."""
  return {'jax': jax.__version__, 'platforms': PLATFORMS}
