"""Predictions of the rows of a split, with labels where they are known.

SCHEMA is the only definition of a prediction file: of the arrays of an .npz, and of
the columns of a .parquet or .csv.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import itertools
from typing import NamedTuple

from jaxtyping import Bool, Float, Int, Integer, Shaped
import numpy as np

from abaw_jax.core import errors, fingerprint, labels
from abaw_jax.scoring import metrics

# Sums of float32 probabilities are this inexact.
_SUM_TOLERANCE = 1e-3
_LARGEST = np.finfo(np.float64).max
# The valid values of each field: smallest, largest, and both in words.
_RANGES = {
    'frame_id': (0, _LARGEST, 'a number from 0'),
    'row': (0, _LARGEST, 'a line number from 0'),
    'valence': (-_LARGEST, _LARGEST, 'a finite number'),
    'arousal': (-_LARGEST, _LARGEST, 'a finite number'),
    'expression': (-1e-6, 1 + 1e-6, 'a probability in [0, 1]'),
    'au': (-1e-6, 1 + 1e-6, 'a probability in [0, 1]'),
    'target_valence': (-1, 1, '[-1, 1]'),
    'target_arousal': (-1, 1, '[-1, 1]'),
    'target_expression': (0, labels.NUM_EXPRESSIONS - 1, '0..7'),
    'target_au': (0, 1, '0 or 1'),
}
_KINDS = {'U': 'text', 'f': 'float', 'i': 'int', 'b': 'bool'}


class Schema(NamedTuple):
  """How a field of `Predictions` is kept in files.

  A mask has no column, because the cells of missing labels are empty. All labels
  may be left out together. A model may predict no valence and arousal, or no AUs.
  """

  array: str  # name in an .npz file
  dtype: type  # in memory; files may hold other sizes of the same kind
  columns: tuple[str, ...] = ()  # in a table, one for each value of a row
  mask: str | None = None  # field that is True where this label may be used
  size: int = 1  # values of a row
  optional: bool = False  # whether the field may be left out
  task: str = ''  # predictions of a task may be left out together

  @property
  def shape(self) -> tuple[int, ...]:
    """The shape of a row."""
    return (self.size,) if self.size > 1 else ()


_EXPRESSIONS = tuple(f'expr_{name}' for name in labels.EXPRESSIONS)
_LABELS = tuple(f'label_{name}' for name in labels.AU_NAMES)
SCHEMA = {
    # Single images have no video and no frame number.
    'video': Schema('video', np.str_, ('video',), optional=True),
    'frame_id': Schema('frame_id', np.int64, ('frame',), optional=True),
    'row': Schema('row', np.int64, ('row',)),
    'valence': Schema('pred_valence', np.float64, ('valence',), task='va'),
    'arousal': Schema('pred_arousal', np.float64, ('arousal',), task='va'),
    'expression': Schema('pred_expression', np.float64, _EXPRESSIONS, size=8),
    'au': Schema('pred_au', np.float64, labels.AU_NAMES, size=12, task='au'),
    'target_valence': Schema('valence', np.float64, ('label_valence',), 'va'),
    'target_arousal': Schema('arousal', np.float64, ('label_arousal',), 'va'),
    'target_expression': Schema(
        'expression', np.int64, ('label_expression',), 'expr'
    ),
    'target_au': Schema('au', np.int8, _LABELS, 'au_mask', size=12),
    'va': Schema('va', np.bool_, mask='va'),
    'expr': Schema('expr', np.bool_, mask='expr'),
    'au_mask': Schema('au_mask', np.bool_, mask='au_mask', size=12),
}


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Predictions:
  """Predictions of n rows of a list; labels and masks are optional.

  The predicted expression is always the most probable one, and an AU is present
  where its probability is at least 0.5. Calibration changes the probabilities
  and not this rule, so a reader of a file needs no other information.

  Valence and arousal, or AUs, that the model does not predict are NaN in all rows,
  and have no array and no column in files.
  """

  video: Shaped[np.ndarray, 'n'] = None  # names
  frame_id: Int[np.ndarray, 'n'] = None  # true frame numbers
  row: Int[np.ndarray, 'n']  # line of the split's list file, 0-based
  valence: Float[np.ndarray, 'n'] = None  # unbounded
  arousal: Float[np.ndarray, 'n'] = None
  expression: Float[np.ndarray, 'n 8']  # probabilities, sum 1
  au: Float[np.ndarray, 'n 12'] = None  # probabilities
  target_valence: Float[np.ndarray, 'n'] = None  # [-1, 1]
  target_arousal: Float[np.ndarray, 'n'] = None
  target_expression: Int[np.ndarray, 'n'] = None  # index into EXPRESSIONS
  target_au: Integer[np.ndarray, 'n 12'] = None  # 0 or 1
  va: Bool[np.ndarray, 'n'] = None  # True where the label may be used
  expr: Bool[np.ndarray, 'n'] = None
  au_mask: Bool[np.ndarray, 'n 12'] = None
  # Fingerprints of the predicted datasets, by name; empty if they are not known.
  data: Mapping[str, fingerprint.Fingerprint] = dataclasses.field(
      default_factory=dict
  )

  def __post_init__(self):
    for name, schema in SCHEMA.items():
      if getattr(self, name) is None:
        value = np.nan if schema.task else schema.dtype()
        shape = (len(self.row), *schema.shape)
        object.__setattr__(self, name, np.full(shape, value, schema.dtype))

  @classmethod
  def from_rows(cls, rows: Mapping[str, np.ndarray]) -> Predictions:
    """Returns the predictions in arrays by `Schema.array`; ignores other arrays.

    Raises:
      ValueError: an array is missing, or has another kind or shape. Labels may
        be missing only all together; so may valence and arousal.
    """
    n = len(rows['row']) if np.ndim(rows.get('row')) else 0
    labelled = any(
        schema.mask and schema.array in rows for schema in SCHEMA.values()
    )
    tasks = {s.task for s in SCHEMA.values() if s.array in rows}
    fields = {}
    for name, schema in SCHEMA.items():
      if schema.array not in rows:
        if schema.optional or (schema.mask and not labelled):
          continue
        if schema.task and schema.task not in tasks:
          continue
        raise ValueError(f'it has no array {schema.array}')
      array = np.asarray(rows[schema.array])
      dtype, shape = np.dtype(schema.dtype), (n, *schema.shape)
      if array.shape != shape or array.dtype.kind != dtype.kind:
        raise ValueError(
            f'{schema.array} is {array.dtype} {list(array.shape)}; expected '
            f'{_KINDS[dtype.kind]} {list(shape)}'
        )
      fields[name] = array.astype(dtype)
    return cls(**fields)

  def to_rows(self) -> dict[str, np.ndarray]:
    """Returns the arrays of an .npz file."""
    return {
        schema.array: getattr(self, name)
        for name, schema in SCHEMA.items()
        if not schema.task or self.predicts(schema.task)
    }

  def __len__(self) -> int:
    return len(self.row)

  def predicts(self, task: str) -> bool:
    """Returns whether there are predictions of 'va', 'expr' or 'au'."""
    fields = [getattr(self, k) for k, v in SCHEMA.items() if v.task == task]
    return task == 'expr' or not all(np.isnan(x).all() for x in fields)

  def scorable(self) -> Predictions:
    """Returns the same rows without the labels of tasks that are not predicted."""
    va, au = self.predicts('va'), self.predicts('au')
    return dataclasses.replace(self, va=self.va & va, au_mask=self.au_mask & au)

  @property
  def labelled(self) -> bool:
    """True if any row has a label."""
    return bool(np.any([*self.labelled_rows.values()]))

  @property
  def labelled_rows(self) -> dict[str, Bool[np.ndarray, 'n']]:
    """Masks of the rows with labels, by task."""
    return {'va': self.va, 'expr': self.expr, 'au': self.au_mask.any(axis=-1)}

  def without_labels(self) -> Predictions:
    """Returns the same predictions without labels."""
    fields = {k: getattr(self, k) for k, v in SCHEMA.items() if not v.mask}
    return Predictions(**fields, data=self.data)

  def take(
      self, rows: Bool[np.ndarray, 'n'] | Int[np.ndarray, 'm']
  ) -> Predictions:
    """Returns some rows, chosen by a mask or by positions."""
    fields = {name: getattr(self, name)[rows] for name in SCHEMA}
    return Predictions(**fields, data=self.data)

  def describe(self, index: int | np.integer) -> str:
    """Returns the words with which a message names a row."""
    return (
        f'row {self.row[index]} (video {self.video[index]}, '
        f'frame {self.frame_id[index]})'
    )

  def scores(self) -> dict[str, float]:
    """Returns the scores of all labelled rows, see `metrics.multi_task_scores`.

    Scores of tasks that are not predicted are NaN. On LSD, EXPR is the mean F1 of its
    six expressions.
    """
    rows = self.scorable()
    same = ('valence', 'arousal', *(k for k, v in SCHEMA.items() if v.mask))
    return metrics.multi_task_scores(
        expression=np.argmax(rows.expression, axis=-1),
        au=rows.au >= 0.5,
        classes=labels.scored_expressions(rows.data),
        **{name: getattr(rows, name) for name in same},
    )


def concatenate(parts: Sequence[Predictions]) -> Predictions:
  """Returns the rows of all parts, such as the folds of a cross-validation."""
  return Predictions(
      **{
          name: np.concatenate([getattr(part, name) for part in parts])
          for name in SCHEMA
      },
      data=fingerprint.merged(*(part.data for part in parts)),
  )


def check_same_data(parts: Sequence[Predictions], names: Sequence[str]) -> None:
  """Raises an InputError that names two predictions of different data."""
  named = zip(names, parts, strict=True)
  for (old, before), (name, part) in itertools.combinations(named, 2):
    changed = fingerprint.differences(before.data, part.data)
    if changed:
      raise errors.InputError(
          f'{name}: was predicted on other data than {old}: {changed}; predict '
          'both on the same data'
      )


def check(rows: Predictions, name: str) -> None:
  """Checks that all values can be blended and scored.

  Raises:
    InputError: names the first wrong row, its column, and the expected values.
  """
  if not len(rows):
    raise errors.InputError(f'{name}: it has no rows; predict some first')
  for column, values, valid, expected in _rules(rows):
    if not valid.all():
      at = np.argmin(valid)
      raise errors.InputError(
          f'{name}: {rows.describe(at)}: {column} is {values[at]}; expected '
          f'{expected}'
      )
  repeated = _repeated(rows)
  if repeated.size:
    raise errors.InputError(
        f'{name}: {rows.describe(repeated[0])} occurs twice; expected each row of '
        'the list once'
    )


def keys(rows: Predictions) -> Shaped[np.ndarray, 'n']:
  """Returns a sortable key of each row, unique across splits."""
  kind = [
      ('video', rows.video.dtype), ('frame_id', 'i8'), ('row', 'i8')
  ]  # fmt: skip
  table = np.empty(len(rows), kind)
  for name, _ in kind:
    table[name] = getattr(rows, name)
  return table


def _repeated(rows: Predictions) -> Int[np.ndarray, 'm']:
  """Returns the positions of rows that occur a second time."""
  order = np.lexsort((rows.row, rows.frame_id, rows.video))
  table = keys(rows)[order]
  return order[1:][table[1:] == table[:-1]]


def _rules(rows: Predictions) -> Iterator[tuple]:
  """Yields (column, its values, where they are valid, the expected values)."""
  expected = 'a name: predictions on a dataset of videos'
  yield 'video', rows.video, rows.video != '', expected
  for field, (low, high, expected) in _RANGES.items():
    schema, values = SCHEMA[field], getattr(rows, field)
    if schema.task and not rows.predicts(schema.task):
      continue
    valid = (values >= low) & (values <= high)
    if schema.mask:
      valid |= ~getattr(rows, schema.mask)
      expected += f' where {schema.mask} is True'
    for i, column in enumerate(schema.columns):
      at = (slice(None), i) if schema.shape else slice(None)
      yield column, values[at], valid[at], expected
  total = rows.expression.sum(axis=-1)
  valid = np.abs(total - 1) <= _SUM_TOLERANCE
  yield 'the sum of expr_*', total, valid, '1: probabilities, not logits'
