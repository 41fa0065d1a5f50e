"""The state dict of a module that was pickled as a whole, without its classes."""

import pathlib
from typing import Any

from abaw_jax.core import errors
from abaw_jax.porting import pickles, torch_values

_PARTS = ('_parameters', '_buffers', '_modules')
_DEPTH = 100  # more than networks have; a module inside itself has no end


def state_dict(
    module: torch_values.Instance, path: pathlib.Path
) -> dict[str, Any]:
  """Returns what PyTorch's `module.state_dict()` would: tensors by name.

  Args:
    module: attributes of a `torch.nn.Module`, its children likewise.
    path: file to name in messages.

  Raises:
    InputError: if it is no module, or one that contains itself.
  """
  tensors = {}
  _collect(module, (), tensors, path)
  return tensors


def _collect(module, names, tensors, path) -> None:
  """Adds the tensors of a module, which is found under these names."""
  where = '.'.join(names) or 'its content'
  if not isinstance(module, torch_values.Instance) or not all(
      isinstance(module.get(part), dict) for part in _PARTS
  ):
    kind = getattr(module, 'kind', type(module).__name__)
    raise errors.InputError(
        f'{path}: {where} is a {".".join(kind.split())} and no PyTorch module; '
        f'{pickles.RESAVE}'
    )
  if len(names) > _DEPTH:
    raise errors.InputError(
        f'{path}: holds a module that contains itself; {pickles.RESAVE}'
    )
  passing = module.get('_non_persistent_buffers_set', ())
  for part in ('_parameters', '_buffers'):
    for name, value in module[part].items():
      if value is not None and name not in passing:
        tensors['.'.join((*names, name))] = value
  for name, child in module['_modules'].items():
    if child is not None:
      _collect(child, (*names, name), tensors, path)
