"""The settings of a sweep: every combination of the values of config keys."""

import ast
from collections.abc import Iterable, Sequence
import itertools
import random
from typing import Any

import ml_collections

from abaw_jax.core import config_ranges, errors

Setting = dict[str, Any]


def settings(
    config: ml_collections.ConfigDict, texts: Sequence[str], count: int = 0
) -> dict[str, Setting]:
  """Returns the config values of each setting, by the name of its folder.

  Args:
    config: config of the study.
    texts: `<key>=<value>,<value>` for each key. If a text has a `;`, that separates
      its values.
    count: so many random settings of the grid; 0 = all. A larger number adds
      settings and keeps the others.

  Raises:
    InputError: a text is wrong, a key is there twice, or a value is of the wrong
      type or out of its range.
  """
  values = {}
  for text in texts:
    key, found = _values(config, text)
    if key in values:
      raise errors.InputError(
          f'--sweep={text}: {key} is swept twice; name it once'
      )
    values[key] = found
  grid = [
      dict(zip(values, chosen, strict=True))
      for chosen in itertools.product(*values.values())
  ]
  if count:
    random.Random(0).shuffle(grid)
  return {_name(one): one for one in grid[: count or None]}


def flags(setting: Setting) -> list[str]:
  """Returns the flags that give a setting to a command."""
  return [f'--config.{key}={value}' for key, value in setting.items()]


def _values(
    config: ml_collections.ConfigDict, text: str
) -> tuple[str, list[Any]]:
  """Returns the key and the values of a text."""
  key, equals, listed = text.partition('=')
  words = [word.strip() for word in listed.split(';' if ';' in listed else ',')]
  if not equals or '' in words or len(set(words)) < len(words):
    raise errors.InputError(
        f'--sweep={text}: give a key of the config and its different values, such '
        'as --sweep=optim.lr=1e-3,3e-3'
    )
  return key, [_parsed(config, key, word) for word in words]


def _parsed(config: ml_collections.ConfigDict, key: str, text: str) -> Any:
  """Returns a value with the type of the config's value."""
  config_ranges.check_override(config, key, text)
  old = config
  for part in key.split('.'):
    old = old[part]
  if isinstance(old, str):
    return text
  if isinstance(old, bool):
    return text.lower() in ('true', '1')
  new = ast.literal_eval(text)
  if isinstance(old, tuple):
    return new if isinstance(new, tuple) else (new,)
  return type(old)(new)


def _name(setting: Setting) -> str:
  pairs: Iterable[str] = (f'{key}={value}' for key, value in setting.items())
  return ','.join(pairs).replace('/', '_').replace(' ', '')
