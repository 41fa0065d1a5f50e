"""A config as it is stored; a missing key is a one-line error."""

from collections.abc import Mapping
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


def _value(path: files.Path, name: str, value: Any) -> Any:
  if isinstance(value, dict):
    return Section(path, name, value)
  if isinstance(value, list):
    return tuple(_value(path, name, item) for item in value)
  return value
