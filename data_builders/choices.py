"""Picks choices by name, and tells the user which there are."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from abaw_jax.core import errors

T = TypeVar('T')


def choose(field: str, name: str, choices: Mapping[str, T]) -> T:
  """Returns `choices[name]`; raises InputError with the choices if not one."""
  if name not in choices:
    raise errors.InputError(
        f'{field} {name!r} is unknown; choose from {", ".join(choices)}'
    )
  return choices[name]


def check_options(
    dataset: str, given: Iterable[str], known: Sequence[str]
) -> None:
  """Raises InputError if an option does not apply to a dataset."""
  for option in given:
    if option not in known:
      takes = ', '.join(f'--{name}' for name in known) or 'no options'
      raise errors.InputError(
          f'--{option} does not apply to {dataset}, which takes {takes}'
      )
