"""Converts state dicts of other projects to our parameters, and back.

Every tensor must have its place: nothing is left out without a message.
"""

from collections.abc import Callable, Mapping
import pathlib
from typing import Any, NamedTuple

import numpy as np

from abaw_jax.core import errors

Shapes = Mapping[str, tuple[int, ...]]
Tensors = Mapping[str, np.ndarray]


class Rule(NamedTuple):
  """Name and shape of one of our parameters in another project's state dict."""

  name: str  # in the state dict
  to_ours: Callable[[np.ndarray], np.ndarray]
  to_theirs: Callable[[np.ndarray], np.ndarray]


def without_counters(
    tensors: Tensors, checkpoint: pathlib.Path
) -> dict[str, np.ndarray]:
  """Returns a state dict without `num_batches_tracked`.

  No output depends on these counters, and PyTorch loads a state dict without
  them, also with `strict=True`.
  """
  del checkpoint
  end = 'num_batches_tracked'
  return {name: x for name, x in tensors.items() if not name.endswith(end)}


class Layout(NamedTuple):
  """Names and shapes that another project gives to the parameters of a model.

  Attributes:
    source: the project, for messages.
    marks: names that only its state dicts have.
    infer_model: maps shapes of a canonical state dict by name, and the file to
      name in messages, to the `model` section of a config, without the fields
      that no shape shows; raises an InputError if a tensor that shows a size is
      missing or misshapen.
    make_rule: maps a path of our parameters, such as
      `backbone/stage1_0/conv1/kernel`, and the `model` section to a rule; the
      path of a running statistic begins with `batch_stats/`.
    licence: terms of use of its weights.
    preprocessing: of its images, a key of `preprocessing.PRESETS`; '' = projects
      with the same names differ.
    canonicalize: maps a state dict, and the file to name in messages, to one
      with the current names, without tensors that our model does not have.
    export: maps a state dict of ours to one that the project's code loads.
    key: where a `.pth` file of the project has the state dict.
    labels: names of the outputs of its classifiers, by number of outputs.
    unused: names of tensors without effect on features; `name.` is that of a module.
    usual_sizes: side of the images in published use, by side of the images that
      the position table is for.
    resampling: options of `bicubic.resize` for its position table.
    label_preprocessing: of classifiers with such outputs, a key of
      `preprocessing.PRESETS`; '' = that of all networks.
  """

  source: str
  marks: frozenset[str]
  infer_model: Callable[[Shapes, pathlib.Path], dict[str, Any]]
  make_rule: Callable[[str, Mapping[str, Any]], Rule]
  licence: str
  preprocessing: str = ''
  canonicalize: Callable[[Tensors, pathlib.Path], dict[str, np.ndarray]] = (
      without_counters
  )
  export: Callable[[Tensors], dict[str, np.ndarray]] = dict
  key: str = 'model'
  labels: Mapping[int, tuple[str, ...]] = {}
  unused: frozenset[str] = frozenset()
  usual_sizes: Mapping[int, int] = {}
  resampling: Mapping[str, Any] = {}
  label_preprocessing: str = ''

  def uses(self, name: str) -> bool:
    """Returns whether a tensor has an effect on features."""
    return not self.unused & {name, f'{name.partition(".")[0]}.'}


def marks(*names: str) -> frozenset[str]:
  """Returns the names of tensors that identify a layout."""
  return frozenset(names)


def to_ours(
    tensors: Tensors,
    shapes: Shapes,
    rules: Mapping[str, Rule],
    checkpoint: pathlib.Path,
) -> dict[str, np.ndarray]:
  """Returns our float32 parameters by path.

  Args:
    tensors: a state dict.
    shapes: shape of every parameter of the model, by path.
    rules: rule of every parameter of the model, by path.
    checkpoint: file to name in messages.

  Raises:
    InputError: if tensors are missing, extra, or of another shape.
  """
  wanted = {
      rules[path].name: _their_shape(rules[path], shape)
      for path, shape in shapes.items()
  }
  found = {name: tensor.shape for name, tensor in tensors.items()}
  if wrong := errors.shape_differences(found, wanted):
    raise errors.InputError(
        f'{checkpoint}: does not fit the model that its shapes describe: '
        f'{wrong}; convert a complete checkpoint of that architecture'
    )
  return {
      path: np.ascontiguousarray(
          rules[path].to_ours(tensors[rules[path].name]), np.float32
      )
      for path in shapes
  }


def to_theirs(
    params: Mapping[str, np.ndarray], rules: Mapping[str, Rule]
) -> dict[str, np.ndarray]:
  """Returns the state dict of our parameters by path; inverts `to_ours`."""
  return {
      rules[path].name: rules[path].to_theirs(value)
      for path, value in params.items()
  }


def _their_shape(rule: Rule, shape: tuple[int, ...]) -> tuple[int, ...]:
  # A broadcast zero has a shape and takes no memory.
  return rule.to_theirs(np.broadcast_to(np.float32(0), shape)).shape
