"""Picks one of several choices by name; a wrong name gives a list of them."""

from collections.abc import Iterable, Mapping
from typing import Any

from abaw_jax.core import errors


def pick(choices: Mapping[str, Any], name: str, field: str) -> Any:
  """Returns `choices[name]`.

  Args:
    choices: values by name.
    name: the name that a user gave.
    field: the flag or config key that the user set, for the message.

  Raises:
    InputError: there is no such choice; the message lists all of them.
  """
  if name not in choices:
    raise errors.InputError(
        f'{field}: unknown value {name!r}; choose one of {", ".join(choices)}'
    )
  return choices[name]


def choose(choices: Mapping[str, Any], name: str, field: str) -> Any:
  """Returns `pick` of a config key, given without its leading `config.`."""
  return pick(choices, name, f'config.{field}')


def names(choices: Iterable[str], text: str, field: str) -> tuple[str, ...]:
  """Returns the names in a list separated by commas, each at most once.

  Raises:
    InputError: if a name is none of the choices, or is there twice.
  """
  found = tuple(part.strip() for part in text.split(',') if part.strip())
  for name in found:
    choose(dict.fromkeys(choices), name, field)
    if found.count(name) > 1:
      raise errors.InputError(
          f'config.{field}={text}: names {name} twice; name it once'
      )
  return found
