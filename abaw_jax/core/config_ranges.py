"""Checks of configs: ranges of numbers, overrides, and keys without effect."""

import ast
from collections.abc import Collection, Mapping
import ctypes
import operator
import re
from typing import Any

import ml_collections

from abaw_jax.configs import base, conditions
from abaw_jax.core import choices, errors

_INTERVAL = re.compile(r'([\[(])([^ ]+), ([^ ]+)([\])])')
# Values that switch a part of a run off.
_OFF = (0, '', 'none')
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
      raise errors.InputError(f'{where}{key}={value}: give {allowed}')


def check_override(
    config: ml_collections.ConfigDict, path: str, text: str | None
) -> None:
  """Raises an InputError if --config.<path>=<text> cannot be set."""
  value, above = config, 'config'
  for name in path.split('.'):
    is_section = isinstance(value, ml_collections.ConfigDict)
    keys = list(value) if is_section else []
    if name not in keys:
      raise errors.InputError(
          f'--config.{path}: {above} has no key {name}; '
          f'{choices.suggestion(name, keys)}'
      )
    value, above = value[name], f'{above}.{name}'
  if isinstance(value, ml_collections.ConfigDict):
    raise errors.InputError(
        f'--config.{path} is a section; set a key of it: {choices.listing(value)}'
    )
  if text is not None and not _fits(text, value):
    raise errors.InputError(
        f'--config.{path}={text}: wrong type; give {type(value).__name__}, '
        f'such as {value!r}'
    )


def without_effect(
    config: Mapping[str, Any], given: Collection[str]
) -> list[str]:
  """Returns a line for each key that the user set and that the run does not read.

  Args:
    config: plain nested dict.
    given: keys that the user set, such as `optim.eps`.
  """
  lines = []
  for key in given:
    name, _, values = conditions.CONDITIONS.get(key, '').partition('=')
    value = config
    for part in name.split('.'):
      value = value.get(part) if isinstance(value, Mapping) else None
    if value is None:  # no condition, or one on a key that this config lacks
      continue
    is_read = value in values.split(',') if values else value not in _OFF
    if not is_read:
      lines.append(
          f'note: config.{key} has no effect, as config.{name}={value}'
      )
  return lines


def _is_inside(value: Any, allowed: str) -> bool:
  """Returns whether a number, or each number of a tuple, is in its interval."""
  intervals = _INTERVAL.findall(allowed)
  values = value if 's in ' in allowed else (value,)
  if not isinstance(values, tuple | list):
    return False
  if len(intervals) == 1:
    intervals *= len(values)
  return len(values) == len(intervals) and all(
      _holds(x, *interval, integer='integer' in allowed)
      for x, interval in zip(values, intervals, strict=True)
  )


def _holds(
    value: Any, left: str, low: str, high: str, right: str, *, integer: bool
) -> bool:
  if type(value) is not int and (integer or type(value) is not float):
    return False
  # A device computes in float32, where 1e39 is infinite and 1e-50 is 0.
  value = value if integer else ctypes.c_float(value).value
  return _HOLDS[left](value, float(low)) and _HOLDS[right](value, float(high))


def _fits(text: str, old: Any) -> bool:
  """Returns whether a text has the type of the config's value."""
  if isinstance(old, str):
    return True
  if isinstance(old, bool):
    return text.lower() in ('true', 'false', '1', '0')
  try:
    new = ast.literal_eval(text)
  except (SyntaxError, ValueError):
    return False
  if isinstance(old, tuple):
    items, old = new if isinstance(new, tuple) else (new,), old[0]
  else:
    items = (new,)
  known = (type(old), int) if isinstance(old, float) else (type(old),)
  return all(type(item) in known for item in items)
