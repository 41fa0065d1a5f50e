"""Postprocessing as JSON files that a person can read and change."""

from collections.abc import Collection, Mapping, Sequence
import dataclasses
import json
from typing import Any, NoReturn

from jaxtyping import Float
import numpy as np

from abaw_jax.core import errors, files, labels
from abaw_jax.postprocessing import blending, postprocess, smoothing

VERSION = 1
_MAX_WIDTH = 1e6  # rows or frames
_MAX_ROWS = 10**6
_MAX_BIAS = 100.0
_THRESHOLDS = (1e-12, 1 - 1e-12)


def write(path: files.Path, postprocessing: postprocess.Postprocessing) -> None:
  """Writes a postprocessing as JSON."""
  files.write_json(path, to_json(postprocessing))


def to_json(postprocessing: postprocess.Postprocessing) -> dict[str, Any]:
  """Returns a postprocessing as JSON values."""
  bias = map(float, postprocessing.bias)
  thresholds = map(float, postprocessing.thresholds)
  return {
      'version': VERSION,
      'weights': {
          task: w.tolist() for task, w in postprocessing.weights.items()
      },
      'blend': {'expr': postprocessing.expr, 'au': postprocessing.au},
      'smoothing': {
          task: dataclasses.asdict(window)
          for task, window in postprocessing.smoothing.items()
      },
      'bias': dict(zip(labels.EXPRESSIONS, bias, strict=True)),
      'thresholds': dict(zip(labels.AU_NAMES, thresholds, strict=True)),
  }


def read(path: files.Path) -> postprocess.Postprocessing:
  """Returns the postprocessing of a file.

  Raises:
    InputError: names the wrong key and the expected value.
  """
  try:
    return from_json(json.loads(path.read_text()))
  except FileNotFoundError as e:
    raise errors.InputError(
        f'{path}: there is no such file; abaw-jax ensemble --tune_on writes one'
    ) from e
  except (OSError, ValueError) as e:  # ValueError: not JSON, or from from_json
    raise errors.InputError(f'{path}: {e}') from e


def from_json(content: Any) -> postprocess.Postprocessing:
  """Returns the postprocessing of a JSON value.

  Raises:
    ValueError: names the wrong key and the expected value.
  """
  keys = ('version', 'weights', 'blend', 'smoothing', 'bias', 'thresholds')
  _section('the file', content, keys)
  _one_of('version', content['version'], (VERSION,))
  weights = _section('weights', content['weights'], blending.TASKS)
  blend = _section('blend', content['blend'], ('expr', 'au'))
  _one_of('blend.expr', blend['expr'], blending.EXPRESSIONS)
  _one_of('blend.au', blend['au'], blending.AUS)
  windows = _section('smoothing', content['smoothing'], blending.TASKS)
  bias = _section('bias', content['bias'], labels.EXPRESSIONS)
  cuts = _section('thresholds', content['thresholds'], labels.AU_NAMES)
  return postprocess.Postprocessing(
      weights={
          task: _weights(f'weights.{task}', weights[task], weights['va'])
          for task in blending.TASKS
      },
      smoothing={
          task: _smoothing(f'smoothing.{task}', windows[task])
          for task in blending.TASKS
      },
      bias=_numbers('bias', bias, labels.EXPRESSIONS, -_MAX_BIAS, _MAX_BIAS),
      thresholds=_numbers('thresholds', cuts, labels.AU_NAMES, *_THRESHOLDS),
      **blend,
  )


def _fail(key: str, value: Any, expected: str) -> NoReturn:
  raise ValueError(f'{key} is {value!r}; expected {expected}')


def _section(key: str, value: Any, names: Sequence[str]) -> Mapping[str, Any]:
  if not isinstance(value, dict) or set(value) != set(names):
    _fail(key, value, f'the keys {", ".join(names)}')
  return value


def _one_of(key: str, value: Any, choices: Collection[Any]) -> None:
  if isinstance(value, list | dict) or value not in choices:
    _fail(key, value, f'one of {", ".join(map(str, choices))}')


def _numbers(
    key: str,
    values: Mapping[str, Any],
    names: Sequence[str],
    low: float,
    high: float,
) -> Float[np.ndarray, 'k']:
  for name in names:
    value = values[name]
    if type(value) not in (int, float) or not low <= value <= high:
      _fail(f'{key}.{name}', value, f'a number in [{low:g}, {high:g}]')
  return np.array([values[name] for name in names], np.float64)


def _weights(key: str, values: Any, others: Any) -> Float[np.ndarray, 'm']:
  same = isinstance(values, list) and isinstance(others, list)
  if not same or not values or len(values) != len(others):
    _fail(key, values, 'one number for each member')
  named = {str(i): value for i, value in enumerate(values)}
  weights = _numbers(key, named, list(named), 0.0, 1.0)
  if not np.isclose(weights.sum(), 1, atol=1e-6):
    _fail(key, values, 'the sum 1')
  return weights


def _smoothing(key: str, value: Any) -> smoothing.Smoothing:
  if isinstance(value, dict):  # a file may leave out the limit
    value = {'rows': None} | value
  one = _section(key, value, ('kind', 'by', 'width', 'rows'))
  _one_of(f'{key}.kind', one['kind'], smoothing.KINDS)
  _one_of(f'{key}.by', one['by'], smoothing.BY)
  (width,) = _numbers(key, one, ('width',), 0.0, _MAX_WIDTH)
  if one['kind'] == 'gaussian' and not width:
    _fail(f'{key}.width', width, 'more than 0')
  rows = one['rows']
  if rows is not None and not (type(rows) is int and 0 <= rows <= _MAX_ROWS):
    _fail(f'{key}.rows', rows, f'a whole number in 0..{_MAX_ROWS}, or null')
  return smoothing.Smoothing(one['kind'], one['by'], float(width), rows)
