"""Names and shapes of the parameters of PyTorch's layers."""

from collections.abc import Mapping
import pathlib
import re
from typing import Any

import numpy as np

from abaw_jax.core import errors
from abaw_jax.porting.layouts import state_dicts

# PyTorch's names of parameters and running statistics, by our names.
LEAVES = {
    'kernel': 'weight',
    'scale': 'weight',
    'slope': 'weight',
    'bias': 'bias',
    'mean': 'running_mean',
    'var': 'running_var',
}
# Layers of the residual blocks of IResNet and ResNet, where names differ.
RESIDUAL_BLOCK = {
    'norm1': 'bn1',
    'norm2': 'bn2',
    'norm3': 'bn3',
    'shortcut_conv': 'downsample.0',
    'shortcut_norm': 'downsample.1',
}
# Layers of timm's units of convolution and norm.
UNIT = {'conv': 'conv', 'norm': 'bn'}


def split_path(path: str) -> list[str]:
  """Returns the names in the path of a parameter or running statistic.

  Leaves out `batch_stats` and `backbone`, which other projects do not have.
  """
  return re.sub('^(batch_stats/)?(backbone/)?', '', path).split('/')


def make_rule(module: str, leaf: str) -> state_dicts.Rule:
  """Returns the rule for a parameter of a convolution, dense layer or norm.

  Args:
    module: PyTorch's name of the layer.
    leaf: our name of the parameter or running statistic.
  """
  if leaf == 'kernel':
    return state_dicts.Rule(f'{module}.weight', _to_kernel, _from_kernel)
  return state_dicts.Rule(f'{module}.{LEAVES[leaf]}', np.asarray, np.asarray)


def unit_layer(name: str, units: Mapping[str, str]) -> str:
  """Returns timm's name of a layer of a unit of convolution and norm.

  Args:
    name: our name, `<unit>_conv` or `<unit>_norm`.
    units: timm's names of units, by our names.
  """
  unit, kind = name.rsplit('_', 1)
  return f'{units[unit]}.{UNIT[kind]}'


def make_residual_rule(
    path: str, model: Mapping[str, Any], *, modules: Mapping[str, str]
) -> state_dicts.Rule:
  """Returns the rule for a parameter of an IResNet or a ResNet.

  Args:
    path: see `Layout.make_rule`.
    model: not used.
    modules: PyTorch's names of the layers outside of blocks, by our names.
  """
  del model
  first, *rest, leaf = split_path(path)
  block = re.fullmatch(r'stage(\d)_(\d+)', first)
  if not block:
    return make_rule(modules.get(first, first), leaf)
  layer = RESIDUAL_BLOCK.get(rest[0], rest[0])
  return make_rule(f'layer{block[1]}.{block[2]}.{layer}', leaf)


def read_shape(
    shapes: state_dicts.Shapes, checkpoint: pathlib.Path, name: str, axes: str
) -> tuple[int, ...]:
  """Returns the shape of a tensor, checked.

  Args:
    shapes: shapes of a state dict, by name.
    checkpoint: file to name in messages.
    name: name of the tensor.
    axes: names of its axes, such as 'out in'.

  Raises:
    InputError: if the tensor is missing or has another number of axes.
  """
  shape = shapes.get(name, ())
  if len(shape) != len(axes.split()) or 0 in shape:
    found = f'has the shape {shape}' if name in shapes else 'is missing'
    raise errors.InputError(
        f'{checkpoint}: {name} {found}, but should be [{axes}]; convert a '
        'complete checkpoint of that architecture'
    )
  return shape


def count_classes(
    shapes: state_dicts.Shapes, checkpoint: pathlib.Path, name: str
) -> dict[str, int]:
  """Returns `{'num_classes': k}`, or `{}` for a network without a classifier.

  Args:
    shapes: shapes of a state dict, by name.
    checkpoint: file to name in messages.
    name: name of the classifier's weight.
  """
  if name not in shapes:
    return {}
  return {'num_classes': read_shape(shapes, checkpoint, name, 'k d')[0]}


def count_children(shapes: state_dicts.Shapes, prefix: str) -> int:
  """Returns the number of different numbers or names after `prefix.`."""
  start = prefix + '.'
  return len(
      {x[len(start) :].split('.')[0] for x in shapes if x.startswith(start)}
  )


def count_blocks(
    shapes: state_dicts.Shapes, stage_name: str
) -> tuple[int, ...]:
  """Returns the number of blocks in each stage.

  Args:
    shapes: shapes of a state dict, by name.
    stage_name: start of the name of a stage, before its number, such as
      `layer`; numbers count from 1.
  """
  pattern = re.compile(re.escape(stage_name) + r'(\d+)\.')
  stages = {match[1] for match in map(pattern.match, shapes) if match}
  return tuple(
      count_children(shapes, f'{stage_name}{i}')
      for i in range(1, len(stages) + 1)
  )


def _to_kernel(weight: np.ndarray) -> np.ndarray:
  """Returns [(row, column,) in, out] of [out, in(, row, column)]."""
  return weight.transpose(*range(2, weight.ndim), 1, 0)


def _from_kernel(kernel: np.ndarray) -> np.ndarray:
  """Inverts `_to_kernel`."""
  n = kernel.ndim
  return kernel.transpose(n - 1, n - 2, *range(n - 2))
