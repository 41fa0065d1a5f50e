"""What a layer of PyTorch calls what a layer of ours holds, and its shape."""

import re

import numpy as np

from abaw_jax.core import errors
from abaw_jax.porting.layouts import state_dicts

# By our names.
LEAVES = {
    'kernel': 'weight',
    'scale': 'weight',
    'slope': 'weight',
    'bias': 'bias',
    'mean': 'running_mean',
    'var': 'running_var',
}


def names(path: str) -> list[str]:
  """Returns the names in a path of a backbone of ours, its leaf last.

  Neither `batch_stats` nor `backbone`, which other projects do not have, is
  among them.
  """
  return re.sub('^(batch_stats/)?(backbone/)?', '', path).split('/')


def rule(module: str, leaf: str) -> state_dicts.Rule:
  """Returns the rule of a leaf of a convolution, a dense layer or a norm.

  Args:
    module: name of the layer there.
    leaf: our name of the parameter or of the running statistic.
  """
  if leaf == 'kernel':
    return state_dicts.Rule(f'{module}.weight', _to_kernel, _from_kernel)
  return state_dicts.Rule(f'{module}.{LEAVES[leaf]}', np.asarray, np.asarray)


def sizes(
    shapes: state_dicts.Shapes, where: str, name: str, axes: str
) -> tuple[int, ...]:
  """Returns the shape of a tensor that tells sizes of its model.

  Args:
    shapes: of a state dict, by name.
    where: file to name in messages.
    name: of the tensor.
    axes: names of its axes, such as 'out in'.

  Raises:
    InputError: if there is no such tensor, or it has other axes.
  """
  shape = shapes.get(name, ())
  if len(shape) != len(axes.split()) or 0 in shape:
    found = f'has the shape {shape}' if name in shapes else 'is missing'
    raise errors.InputError(
        f'{where}: {name} {found}, but should be [{axes}]; convert a whole '
        'checkpoint of that architecture'
    )
  return shape


def depth(shapes: state_dicts.Shapes, prefix: str) -> int:
  """Returns how many different numbers or names follow `prefix.`."""
  start = prefix + '.'
  return len(
      {x[len(start) :].split('.')[0] for x in shapes if x.startswith(start)}
  )


def _to_kernel(weight: np.ndarray) -> np.ndarray:
  """Returns [(row, column,) in, out] of [out, in(, row, column)]."""
  return weight.transpose(*range(2, weight.ndim), 1, 0)


def _from_kernel(kernel: np.ndarray) -> np.ndarray:
  """Undoes `_to_kernel`."""
  n = kernel.ndim
  return kernel.transpose(n - 1, n - 2, *range(n - 2))
