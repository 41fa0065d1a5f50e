"""The backbone of a bundle as a state dict in the layout of its project."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from abaw_jax.bundles import parsing
from abaw_jax.conversion import convert
from abaw_jax.core import errors, files
from abaw_jax.models import zoo
from abaw_jax.tasks import registry

FILE = 'backbone.pth'


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


def write(path: files.Path, params: Any, model: Mapping[str, Any]) -> str:
  """Writes a state dict, reads it again to compare; returns a line of report.

  Raises:
    InputError: the weights of the file differ.
  """
  count, _ = convert.write_state_dict(path, params, model)
  read = convert.read_state_dict(path, model)
  for name, value in convert.flat(params).items():
    if not np.array_equal(read[name], value):
      raise errors.InputError(
          f'{path.name}: {name} is not the same after reading the file; nothing '
          'was written, choose another --format'
      )
  return f'{count} tensors, equal to the bundle after reading the file'


def _part(params: Mapping[str, Any], shapes: Mapping[str, Any]) -> Any:
  """Returns the parameters whose names are in `shapes`."""
  return {
      key: _part(params[key], value) if isinstance(value, dict) else params[key]
      for key, value in shapes.items()
  }
