"""Placeholders for packages that a bare machine may lack.

Most modules of the project import these packages, but a train step on arrays in
memory does not use them. An import then succeeds, and the first use of the package
raises ModuleNotFoundError.
"""

import importlib
from importlib import abc, machinery
import sys
import types
from typing import Any

OPTIONAL = (
    'array_record', 'grain', 'ml_collections', 'simplejpeg', 'tensorboardX',
    'tensorflow_datasets',
)  # fmt: skip
# Packages of the other side of a comparison, which get no placeholder.
COMPARED = ('torch', 'transformers')


def install() -> None:
  """Makes the missing packages of `OPTIONAL` importable."""
  sys.meta_path.append(Finder(OPTIONAL))


def require(*packages: str) -> None:
  """Raises ModuleNotFoundError if one of the packages is a placeholder."""
  for name in packages:
    if isinstance(importlib.import_module(name), _Module):
      raise ModuleNotFoundError(f'{name} is not installed', name=name)


class Finder(abc.MetaPathFinder, abc.Loader):
  """Creates modules whose attributes are placeholders; comes last."""

  def __init__(self, packages: tuple[str, ...]):
    self._packages = packages

  def find_spec(self, name, path=None, target=None):
    if name.partition('.')[0] not in self._packages:
      return None
    return machinery.ModuleSpec(name, self, is_package=True)

  def create_module(self, spec):
    return _Module(spec.name)

  def exec_module(self, module):
    if module.__name__ == 'ml_collections':
      module.ConfigDict = ConfigDict


class _Module(types.ModuleType):

  def __getattr__(self, name: str) -> Any:
    return _placeholder(f'{self.__name__}.{name}', name)


class _Placeholder(type):
  """A class whose attributes are placeholders too, and which has no instances."""

  def __getattr__(cls, name: str) -> Any:
    return _placeholder(f'{cls.path}.{name}', name)

  def __call__(cls, *args: Any, **options: Any) -> Any:
    package = cls.path.partition('.')[0]
    raise ModuleNotFoundError(f'{package} is not installed', name=package)


def _placeholder(path: str, name: str) -> Any:
  if name.startswith('__'):
    raise AttributeError(path)
  return _Placeholder(name, (), {'path': path})


class ConfigDict(dict):
  """The part of `ml_collections.ConfigDict` that `configs/` uses."""

  __getattr__ = dict.__getitem__
  __setattr__ = dict.__setitem__

  def to_dict(self) -> dict[str, Any]:
    """Returns plain nested dicts."""
    return {
        key: value.to_dict() if isinstance(value, ConfigDict) else value
        for key, value in self.items()
    }
