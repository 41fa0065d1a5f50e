"""Choices by name, and the same message for every wrong name."""

from collections.abc import Iterable, Mapping, Sequence
import difflib
from typing import TypeVar

from abaw_jax.core import errors

T = TypeVar('T')


def pick(choices: Mapping[str, T], name: str, field: str) -> T:
  """Returns `choices[name]`.

  Args:
    choices: values by name.
    name: name that the user gives.
    field: flag or config key where the user gives it, for the message.

  Raises:
    InputError: if it is not one of the choices; lists them.
  """
  if name not in choices:
    raise errors.InputError(
        f'{field}: unknown value {name!r}; choose one of {listing(choices)}'
    )
  return choices[name]


def choose(choices: Mapping[str, T], name: str, field: str) -> T:
  """Returns `pick` for a config key, which is given without `config.`."""
  return pick(choices, name, f'config.{field}')


def names(choices: Iterable[str], text: str, field: str) -> tuple[str, ...]:
  """Returns the names in a comma-separated list.

  Raises:
    InputError: if a name is not one of the choices, or is given twice.
  """
  found = tuple(part.strip() for part in text.split(',') if part.strip())
  for name in found:
    choose(dict.fromkeys(choices), name, field)
  check_once(found, text, field)
  return found


def check_once(found: Sequence[str], text: str, field: str) -> None:
  """Raises an InputError if a name is twice in the list `text` of a config key."""
  for name in found:
    if found.count(name) > 1:
      raise errors.InputError(
          f'config.{field}={text}: names {name} twice; name it once'
      )


def suggestion(name: str, choices: Iterable[str]) -> str:
  """Returns the fix for a wrong name: the nearest choice, or all of them."""
  choices = list(choices)
  close = difflib.get_close_matches(name, choices, n=1)
  if close:
    return f'did you mean {close[0]}?'
  return f'choose one of {listing(choices)}'


def listing(choices: Iterable[str]) -> str:
  """Returns the choices, separated by commas."""
  return ', '.join(choices) or 'none'
