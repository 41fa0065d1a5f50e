"""Imports timm without torchvision.

timm imports torchvision for transforms and datasets, which its networks do not
need. The build of torchvision on PyPI does not fit a CPU build of PyTorch, and it
breaks the import of transformers there.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from typing import Any


class _Names(type):
  """Type of the placeholders for classes; their attributes are strings."""

  def __getattr__(cls, name: str) -> str:
    if name.startswith('__'):
      raise AttributeError(name)
    return f'{cls.__name__}.{name}'


class _Placeholder(types.ModuleType):
  """A module that has every name."""

  def __getattr__(self, name: str) -> type:
    if name.startswith('__'):
      raise AttributeError(name)
    return _Names(name, (), {})


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
  """Finds placeholders for torchvision and its modules."""

  def find_spec(
      self, name: str, path: Any = None, target: Any = None
  ) -> importlib.machinery.ModuleSpec | None:
    del path, target
    if name.partition('.')[0] != 'torchvision':
      return None
    return importlib.util.spec_from_loader(name, self, is_package=True)

  def create_module(
      self, spec: importlib.machinery.ModuleSpec
  ) -> types.ModuleType:
    return _Placeholder(spec.name)

  def exec_module(self, module: types.ModuleType) -> None:
    del module


def load() -> types.ModuleType:
  """Returns timm; other modules still see torchvision as it is installed."""
  if 'timm' in sys.modules:
    return sys.modules['timm']
  finder = _Finder()
  before = {name: x for name, x in sys.modules.items() if _is_vision(name)}
  for name in before:
    del sys.modules[name]
  sys.meta_path.insert(0, finder)
  try:
    return importlib.import_module('timm')
  finally:
    sys.meta_path.remove(finder)
    for name in [name for name in sys.modules if _is_vision(name)]:
      del sys.modules[name]
    sys.modules.update(before)


def _is_vision(name: str) -> bool:
  return name.partition('.')[0] == 'torchvision'
