"""Numbers as annotation files write them, and why one cannot be used."""

import math

from abaw_jax.core import labels


def number(name: str, text: str) -> float:
  """Returns the number in `text`; raises ValueError with the reason if none."""
  try:
    value = float(text)
  except ValueError:
    raise ValueError(f'{name} {text!r} is not a number') from None
  if math.isnan(value):
    raise ValueError(f'{name} is NaN')
  return value


def integer(name: str, text: str) -> int:
  """Returns the whole number in `text`, which may be written as a float."""
  value = number(name, text)
  if not value.is_integer():
    raise ValueError(f'{name} {text} is not a whole number')
  return int(value)


def affect(name: str, text: str, *, missing: float) -> float:
  """Returns a value in [-1, 1], or labels.VA_MISSING for that of the file."""
  value = number(name, text)
  if value == missing:
    return labels.VA_MISSING
  if not -1 <= value <= 1:
    raise ValueError(
        f'{name} {text} is out of range: [-1, 1], or {missing:g} where missing'
    )
  return value
