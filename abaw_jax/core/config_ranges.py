"""The check of every number of a config against `RANGES` of configs/base.py."""

from collections.abc import Mapping
import ctypes
import operator
import re
from typing import Any

from abaw_jax.configs import base
from abaw_jax.core import errors

_INTERVAL = re.compile(r'([\[(])(\S+), (\S+)([\])])')
_WORDS = {'[': 'at least', '(': 'above', ']': 'at most', ')': 'below'}
_HOLDS = {
    '[': operator.ge,
    '(': operator.gt,
    ']': operator.le,
    ')': operator.lt,
}


def check(
    config: Mapping[str, Any], *, where: str = '', section: str = 'config'
) -> None:
  """Checks all numbers of a config; a missing key is no error.

  Args:
    config: plain nested dict.
    where: start of the message, such as the file of the config.
    section: name of `config` in messages.

  Raises:
    InputError: a number is out of its range, or is not a number.
  """
  for name, value in config.items():
    key = f'{section}.{name}'
    allowed = base.RANGES.get(key.removeprefix('config.'))
    if isinstance(value, Mapping):
      check(value, where=where, section=key)
    elif allowed and not _is_inside(value, allowed):
      raise errors.InputError(f'{where}{key}={value}: give {_words(allowed)}')


def _is_inside(value: Any, allowed: str) -> bool:
  """Returns whether a number, or each number of a tuple, is in its interval."""
  intervals = _INTERVAL.findall(allowed)
  repeated = allowed.endswith('*')
  values = value if repeated or intervals[1:] else (value,)
  if not isinstance(values, tuple | list):
    return False
  if repeated:
    intervals *= len(values)
  return len(values) == len(intervals) and all(
      _holds(x, interval, integer=allowed.startswith('int'))
      for x, interval in zip(values, intervals, strict=True)
  )


def _holds(value: Any, interval: tuple[str, ...], *, integer: bool) -> bool:
  if isinstance(value, bool) or not isinstance(
      value, int if integer else int | float
  ):
    return False
  left, low, high, right = interval
  # A device computes in float32, where 1e39 is infinite and 1e-50 is 0.
  value = value if integer else ctypes.c_float(value).value
  return _HOLDS[left](value, float(low)) and _HOLDS[right](value, float(high))


def _words(allowed: str) -> str:
  """Returns a range as words, such as `an integer, at least 1`."""
  limits = [
      f'{_WORDS[left]} {low}'
      + ('' if high == 'inf' else f' and {_WORDS[right]} {high}')
      for left, low, high, right in _INTERVAL.findall(allowed)
  ]
  kind = 'integer' if allowed.startswith('int') else 'number'
  finite = 'finite ' if kind == 'number' and 'inf' in allowed else ''
  if allowed.endswith('*'):
    return f'{finite}{kind}s, each {limits[0]}'
  if limits[1:]:
    return f'{len(limits)} {finite}{kind}s: {"; ".join(limits)}'
  article = 'an' if kind == 'integer' else 'a'
  return f'{article} {finite}{kind}, {limits[0]}'
