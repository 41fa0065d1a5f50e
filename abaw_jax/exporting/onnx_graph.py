"""Networks as ONNX graphs: ONNX Runtime runs them without JAX."""

from collections.abc import Iterator
import contextlib
import dataclasses
import importlib.util
import logging
from typing import Any

import jax
from jax.extend import core as jaxprs
import numpy as np

from abaw_jax.core import errors
from abaw_jax.cpu import dispatch
from abaw_jax.exporting import functions, stablehlo

SUFFIX = '.onnx'
EXAMPLE = 'run_onnx.py'
# ONNX Runtime computes bfloat16 on few devices.
MODEL = {'dtype': 'float32', 'cudnn_attention': False}
OPSET = 21  # ONNX Runtime 1.19 and newer
_PACKAGES = ('onnx', 'onnx_ir', 'onnxruntime', 'jax2onnx')
# jax2onnx asks for an older Orbax than ours, and needs none for this.
INSTALL = (
    "pip install 'abaw_jax[onnx]' && pip install --no-deps jax2onnx==0.17.1"
)
_MAX_BYTES = 2**31  # of a file, see protobuf


def check_installed() -> None:
  """Raises an InputError if a package is missing."""
  missing = [
      name for name in _PACKAGES if importlib.util.find_spec(name) is None
  ]
  if missing:
    raise errors.InputError(
        f'--format=onnx needs {", ".join(missing)}: {INSTALL}'
    )


def adapted(function: functions.Function) -> functions.Function:
  """Returns a function whose inputs and outputs have different names.

  A name is unique in a graph, so the state after a window is `next_carry0` ...

  Raises:
    InputError: the weights are too large for a file.
  """
  if function.weight_bytes >= _MAX_BYTES:
    raise errors.InputError(
        f'--format=onnx: {function.name} has {function.weight_bytes / 1e9:.1f} GB '
        'of weights, and an ONNX file has at most 2.1 GB; give --format=stablehlo'
    )
  inputs = {tensor.name for tensor in function.inputs}

  def renamed(name: str) -> str:
    return f'next_{name}' if name in inputs else name

  def call(*arrays):
    found = function.call(*arrays)
    return {renamed(name): x for name, x in found.items()}

  outputs = [x._replace(name=renamed(x.name)) for x in function.outputs]
  return dataclasses.replace(
      function, call=call, outputs=tuple(sorted(outputs))
  )


def serialize(function: functions.Function) -> bytes:
  """Returns a graph with dynamic b and t.

  Raises:
    InputError: jax2onnx cannot write an operation.
  """
  names = [tensor.name for tensor in function.outputs]
  shapes = stablehlo.shapes(function)

  def call(*arrays):
    found = function.call(*arrays)
    return [found[name] for name in names]

  # jax2onnx replaces functions of JAX and Flax while it traces, and some of its
  # replacements ignore arguments, such as the padding of `nn.max_pool`. A program
  # that was traced before calls none of them.
  with dispatch.portable('onnx'):
    program = jax.make_jaxpr(call)(*shapes)
  with _quiet():
    try:
      import jax2onnx
      from jax2onnx.plugins.jax.core import jit

      jit.jcore = jaxprs  # JAX 0.12 took its classes out of the private module
      model = jax2onnx.to_onnx(
          jaxprs.jaxpr_as_fun(program),
          shapes,
          model_name=function.name,
          opset=OPSET,
          input_names=[tensor.name for tensor in function.inputs],
          output_names=names,
      )
    except Exception as e:
      raise _refusal('jax2onnx cannot write the network', e) from e
  _remove_unused(model.graph)
  return model.SerializeToString()


def _remove_unused(graph: Any) -> set[str]:
  """Removes constants that no node reads; returns the names that are read.

  ONNX Runtime would print a warning for each.
  """
  used = {value.name for value in graph.output}
  for node in graph.node:
    used.update(node.input)
    for attribute in node.attribute:
      if attribute.HasField('g'):
        used |= _remove_unused(attribute.g)
  for i in reversed(range(len(graph.initializer))):
    if graph.initializer[i].name not in used:
      del graph.initializer[i]
  return used


def load(content: bytes):
  """Returns the function of a graph, on the CPU.

  Raises:
    InputError: ONNX Runtime cannot run it; so does the function.
  """
  import onnxruntime

  options = onnxruntime.SessionOptions()
  options.log_severity_level = 3  # errors
  try:
    session = onnxruntime.InferenceSession(
        content, options, providers=['CPUExecutionProvider']
    )
  except Exception as e:
    raise _refusal('ONNX Runtime cannot read the network', e) from e
  inputs = [x.name for x in session.get_inputs()]
  outputs = [x.name for x in session.get_outputs()]

  def call(*arrays: np.ndarray) -> dict[str, np.ndarray]:
    feed = dict(zip(inputs, arrays, strict=True))
    try:
      found = session.run(outputs, feed)
    except Exception as e:
      raise _refusal('ONNX Runtime cannot run the network', e) from e
    return dict(zip(outputs, found, strict=True))

  return call


def facts() -> dict[str, Any]:
  """Returns facts about all files, as JSON values."""
  import onnxruntime

  return {'opset': OPSET, 'onnxruntime': onnxruntime.__version__}


def _refusal(text: str, cause: Exception) -> errors.InputError:
  """Returns an error of one line; the packages have no common class of errors."""
  reason = (str(cause) or type(cause).__name__).splitlines()[0]
  return errors.InputError(
      f'--format=onnx: {text} ({reason}); nothing was written, give '
      '--format=stablehlo'
  )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
  """Hides warnings about optional packages of jax2onnx and unknown shapes."""
  loggers = [logging.getLogger(name) for name in ('jax2onnx', 'onnx_ir')]
  levels = [logger.level for logger in loggers]
  for logger in loggers:
    logger.setLevel(logging.ERROR)
  try:
    yield
  finally:
    for logger, level in zip(loggers, levels, strict=True):
      logger.setLevel(level)
