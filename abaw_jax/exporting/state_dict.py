"""The backbone of a bundle in the layout of its project, and its linear heads."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from abaw_jax.bundles import parsing
from abaw_jax.conversion import convert
from abaw_jax.core import errors, files
from abaw_jax.models import zoo
from abaw_jax.porting import weight_files
from abaw_jax.tasks import registry

FILE = 'backbone.pth'
HEADS = 'heads.pth'


def weights(
    bundle: parsing.Bundle, folder: files.Path
) -> tuple[Any, dict[str, Any]]:
  """Returns (weights, `model` section) of a network with a layout.

  They are those of a classifier, or of the backbone of a frame model.

  Raises:
    InputError: the bundle has a temporal model, which no other project has.
  """
  if bundle.is_temporal:
    raise errors.InputError(
        f'--format=torch: {folder} has a temporal model, which no PyTorch project '
        'can read; give --format=stablehlo, or a bundle of the frame model alone'
    )
  params, model = bundle.frame.params, bundle.config['frame']['model']
  if registry.task_class({'model': model}).has_layout:
    return params, dict(model)
  section = zoo.backbone_section(model)
  shapes = convert.param_shapes(section)
  return _part(params, shapes), section


def heads(bundle: parsing.Bundle) -> dict[str, np.ndarray]:
  """Returns the linear heads of a frame model for PyTorch; {} for a classifier.

  The names are those of `torch.nn.ModuleDict` of `torch.nn.Linear` by output:
  `expression.weight` [k, d] and `expression.bias` [k]. The rows are those
  expressions and AUs that the bundle predicts, in its order.
  """
  layers = bundle.frame.params.get('heads', {})
  columns = parsing.columns(bundle.expressions, bundle.au_names)
  found = {}
  for name in bundle.outputs if layers else ():
    layer = layers[name]['out']
    chosen = columns.get(name, slice(None))
    found[f'{name}.weight'] = np.asarray(layer['kernel']).T[chosen]
    found[f'{name}.bias'] = np.asarray(layer['bias'])[chosen]
  return found


def write(path: files.Path, params: Any, model: Mapping[str, Any]) -> str:
  """Writes a state dict, reads it again to compare; returns a line of report.

  Raises:
    InputError: the weights of the file differ.
  """
  count, _ = convert.write_state_dict(path, params, model)
  _check_equal(path, convert.read_state_dict(path, model), convert.flat(params))
  return f'{count} tensors, equal to the bundle after reading the file'


def write_heads(path: files.Path, tensors: Mapping[str, np.ndarray]) -> str:
  """Writes `heads`, reads them again to compare; returns a line of report.

  Raises:
    InputError: the weights of the file differ.
  """
  weight_files.write_tensors(path, tensors)
  _check_equal(path, weight_files.read_tensors(path)[0], tensors)
  return f'{len(tensors)} tensors, equal to the bundle after reading the file'


def _check_equal(path: files.Path, found, want) -> None:
  for name, value in want.items():
    if not np.array_equal(found[name], value):
      raise errors.InputError(
          f'{path.name}: {name} is not the same after reading the file; nothing '
          'was written, choose another --format'
      )


def _part(params: Mapping[str, Any], shapes: Mapping[str, Any]) -> Any:
  """Returns the parameters whose names are in `shapes`."""
  return {
      key: _part(params[key], value) if isinstance(value, dict) else params[key]
      for key, value in shapes.items()
  }
