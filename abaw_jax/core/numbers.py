"""Numbers that a user wrote as text: plain ASCII digits only.

Python's own `float` and `int` also accept `0.7_1`, digits of other scripts,
spaces, `nan` and `inf`. A file with such a value is damaged, so it is refused.
"""

import re

_NUMBER = re.compile(r'[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?')
_INTEGER = re.compile(r'[+-]?[0-9]+')


def number(text: str) -> float:
  """Returns the number in a text such as `-0.71`, `.5` or `1e-3`.

  Raises:
    ValueError: the text is anything else, also with spaces around the number.
  """
  if not _NUMBER.fullmatch(text):
    raise ValueError(f'{text!r} is not a number')
  return float(text)


def integer(text: str) -> int:
  """Returns the integer in a text such as `12` or `-1`.

  Raises:
    ValueError: the text is anything else, also `3.0`.
  """
  if not _INTEGER.fullmatch(text):
    raise ValueError(f'{text!r} is not a whole number')
  return int(text)
