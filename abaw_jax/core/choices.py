"""What a config may choose by name."""

from collections.abc import Iterable, Mapping
from typing import Any

import jax.numpy as jnp

from abaw_jax.core import errors

DTYPES = {'float32': jnp.float32, 'bfloat16': jnp.bfloat16}


def choose(choices: Mapping[str, Any], name: str, field: str) -> Any:
  """Returns `choices[name]`, or raises an InputError that lists the choices."""
  if name not in choices:
    raise errors.InputError(
        f'config.{field}: unknown value {name!r}; choose one of '
        f'{", ".join(choices)}'
    )
  return choices[name]


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
