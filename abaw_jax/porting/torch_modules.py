"""Builds the state dict of a pickled PyTorch module without its classes."""

from collections.abc import Iterator
import pathlib
from typing import Any

from abaw_jax.core import errors
from abaw_jax.porting import pickles, torch_values

_PARTS = ('_parameters', '_buffers', '_modules')
_DEPTH = 100  # deeper than any network; detects a module inside itself


def is_module(value: Any) -> bool:
  """Returns whether a pickled value has the attributes of a PyTorch module."""
  return isinstance(value, torch_values.Instance) and all(
      isinstance(value.get(part), dict) for part in _PARTS
  )


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
  for name, child in _walk(module, path):
    tensors |= {f'{name}{key}': value for key, value in _own(child).items()}
  return tensors


def facts(module: torch_values.Instance, path: pathlib.Path) -> dict[str, Any]:
  """Returns facts from the attributes of a module that its state dict lacks.

  Keys, each only if it is known: `pretrained_cfg` (timm's, with `mean` and `std`),
  `same_padding` (whether the stem of an EfficientNet pads as TensorFlow does) and
  `num_heads`.
  """
  found = {}
  for _, child in _walk(module, path):
    config = child.get('pretrained_cfg') or child.get('default_cfg')
    if isinstance(config, dict):
      found.setdefault('pretrained_cfg', dict(config))
    stem = child['_modules'].get('conv_stem')
    if isinstance(stem, torch_values.Instance):
      found.setdefault('same_padding', stem.class_name.endswith('Same'))
    if 'qkv' in child['_modules'] and type(child.get('num_heads')) is int:
      found.setdefault('num_heads', child['num_heads'])
  return found


def _walk(
    module, path, names=()
) -> Iterator[tuple[str, torch_values.Instance]]:
  """Yields (start of the names of its tensors, module) for a tree of modules."""
  if not is_module(module):
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
  yield ''.join(f'{name}.' for name in names), module
  for name, child in module['_modules'].items():
    if child is not None:
      yield from _walk(child, path, (*names, name))


def _own(module: torch_values.Instance) -> dict[str, Any]:
  """Returns the tensors of a module without those of its children."""
  transient = module.get('_non_persistent_buffers_set', ())
  return {
      name: value
      for part in ('_parameters', '_buffers')
      for name, value in module[part].items()
      if value is not None and name not in transient
  }
