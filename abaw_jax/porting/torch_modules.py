"""Builds the state dict of a pickled PyTorch module without its classes."""

import pathlib
from typing import Any

from abaw_jax.core import errors
from abaw_jax.porting import pickles, torch_values

_PARTS = ('_parameters', '_buffers', '_modules')
_DEPTH = 100  # deeper than any network; detects a module inside itself


def state_dict(
    module: torch_values.Instance, path: pathlib.Path
) -> dict[str, Any]:
  """Returns tensors by name, as PyTorch's `module.state_dict()` does.

  Args:
    module: attributes of a `torch.nn.Module` and of its children.
    path: file to name in messages.

  Raises:
    InputError: if it is no module, or a module that contains itself.
  """
  tensors = {}
  _collect(module, (), tensors, path)
  return tensors


def _collect(module, names, tensors, path) -> None:
  """Adds the tensors of a module whose path is `names`."""
  if not isinstance(module, torch_values.Instance) or not all(
      isinstance(module.get(part), dict) for part in _PARTS
  ):
    name = '.'.join(names) or 'the content'
    class_name = getattr(module, 'class_name', type(module).__name__)
    raise errors.InputError(
        f'{path}: {name} is a {".".join(class_name.split())} and no PyTorch '
        f'module; {pickles.RESAVE}'
    )
  if len(names) > _DEPTH:
    raise errors.InputError(
        f'{path}: contains a module that contains itself; {pickles.RESAVE}'
    )
  transient = module.get('_non_persistent_buffers_set', ())
  for part in ('_parameters', '_buffers'):
    for name, value in module[part].items():
      if value is not None and name not in transient:
        tensors['.'.join((*names, name))] = value
  for name, child in module['_modules'].items():
    if child is not None:
      _collect(child, (*names, name), tensors, path)
