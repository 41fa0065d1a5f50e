"""A config as it is stored; a missing key is a one-line error.

Paths inside the workdir of the run are stored as `./...`, so the workdir can be moved.
"""

from collections.abc import Callable, Mapping
import os
from typing import Any

from abaw_jax.core import errors, files


class Section(dict):
  """A section of a stored config; a missing key raises an InputError."""

  def __init__(self, path: files.Path, name: str, values: Mapping[str, Any]):
    """Turns nested dicts into sections, and lists into the tuples they were.

    Args:
      path: file of the config, for messages.
      name: `config`, or `config.<section>`.
      values: keys of the section.
    """
    super().__init__(
        {k: _value(path, f'{name}.{k}', v) for k, v in values.items()}
    )
    self._path = path
    self._name = name

  def __missing__(self, key: str) -> Any:
    """Raises an InputError that names the key."""
    raise errors.InputError(
        f'{self._path}: {self._name}.{key} is missing; add it with the value '
        'that the run was trained with'
    )


def portable(path: str, workdir: files.Path) -> str:
  """Returns a path inside a workdir as `./...`, and any other text as it is."""
  inside = f'{os.path.abspath(workdir)}/'
  return path.replace(inside, './', 1) if path.startswith(inside) else path


def located(path: str, workdir: files.Path) -> str:
  """Returns the absolute path of the result of `portable`."""
  is_inside = path.startswith('./')
  return f'{os.path.abspath(workdir)}{path[1:]}' if is_inside else path


def with_features(
    config: Mapping[str, Any],
    change: Callable[[str, files.Path], str],
    workdir: files.Path,
) -> Mapping[str, Any]:
  """Returns the config after `portable` or `located` of its feature sets."""
  data = config.get('data', {})
  if 'features' not in data:
    return config
  names = [change(x.strip(), workdir) for x in data['features'].split(',')]
  return {**config, 'data': {**data, 'features': ','.join(names)}}


def _value(path: files.Path, name: str, value: Any) -> Any:
  if isinstance(value, dict):
    return Section(path, name, value)
  if isinstance(value, list):
    return tuple(_value(path, name, item) for item in value)
  return value
