"""Numbers in annotation files, and which labels of a row are usable."""

from typing import Any

from abaw_jax.core import labels, numbers


def number(name: str, text: str) -> float:
  """Returns the number in `text`; raises ValueError if there is none."""
  try:
    return numbers.number(text.strip())
  except ValueError as error:
    raise ValueError(f'{name} {error}') from None


def integer(name: str, text: str) -> int:
  """Returns the whole number in `text`, which may be written as `3.0`."""
  value = number(name, text)
  if not value.is_integer():
    raise ValueError(f'{name} {text} is not a whole number')
  return int(value)


def affect(name: str, text: str, *, missing: float) -> float:
  """Returns valence or arousal in [-1, 1].

  Args:
    name: field for the message.
    text: the value in the file.
    missing: the value of the file for a missing label; it becomes
      labels.VA_MISSING.

  Raises:
    ValueError: the text is not a number, or out of range.
  """
  value = number(name, text)
  if value == missing:
    return labels.VA_MISSING
  if not -1 <= value <= 1:
    raise ValueError(
        f'{name} {text} is out of range: [-1, 1], or {missing:g} where missing'
    )
  return value


def has_va(row: Any) -> bool:
  """Returns whether a row has both valence and arousal."""
  return labels.VA_MISSING not in (row.valence, row.arousal)


def has_expression(row: Any) -> bool:
  """Returns whether a row has an expression."""
  return row.expression != labels.EXPRESSION_MISSING
