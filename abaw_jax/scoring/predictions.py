"""Predictions of the rows of a split, with labels where they are known.

The fields of `Predictions` are the only definition of a prediction file: of the
arrays of an .npz, and of the columns of a .parquet or .csv.
"""

# ruff: noqa: RUF009 (the functions below return `dataclasses.field`s)

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
from typing import Any

from jaxtyping import Bool, Float, Int, Integer, Shaped
import numpy as np

from abaw_jax.core import errors, labels
from abaw_jax.scoring import metrics

# Sums of float32 probabilities are this inexact.
_SUM_TOLERANCE = 1e-3
_RANGE_TOLERANCE = 1e-6
_KINDS = {'U': 'text', 'f': 'float', 'i': 'int', 'b': 'bool'}


@dataclasses.dataclass(frozen=True)
class Schema:
  """How a field of `Predictions` is kept in files.

  Attributes:
    array: name in an .npz file.
    dtype: type in memory; files may hold other sizes of the same kind.
    shape: of one row.
    columns: names in a table, one for each value of a row. A mask has no column,
      because the cells of missing labels are empty.
    mask: field that is True where a label may be used; None if the field is no
      label.
    optional: whether the field may be left out; it is then empty or 0.
  """

  array: str
  dtype: type
  shape: tuple[int, ...] = ()
  columns: tuple[str, ...] = ()
  mask: str | None = None
  optional: bool = True


def _name(column: str, array: str, dtype: type) -> Any:
  """Returns an optional field: the video or frame; single images have none."""
  schema = Schema(array, dtype, columns=(column,))
  return dataclasses.field(default=None, metadata={'schema': schema})


def _output(*columns: str, array: str, dtype: type = np.float64) -> Any:
  """Returns a required field."""
  shape = (len(columns),) if len(columns) > 1 else ()
  schema = Schema(array, dtype, shape, columns, optional=False)
  return dataclasses.field(metadata={'schema': schema})


def _label(task: str, *columns: str, dtype: type = np.float64) -> Any:
  """Returns an optional field: the label of a task."""
  shape = (len(columns),) if len(columns) > 1 else ()
  columns = tuple(f'label_{column}' for column in columns)
  schema = Schema(task, dtype, shape, columns, labels.MASKS[task])
  return dataclasses.field(default=None, metadata={'schema': schema})


def _mask(name: str, *shape: int) -> Any:
  """Returns an optional field: where labels may be used."""
  schema = Schema(name, np.bool_, shape, mask=name)
  return dataclasses.field(default=None, metadata={'schema': schema})


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Predictions:
  """Predictions of n rows of a list; labels and masks are optional.

  The predicted expression is always the most probable one, and an AU is present
  where its probability is at least 0.5. Calibration changes the probabilities
  and not this rule, so a reader of a file needs no other information.
  """

  video: Shaped[np.ndarray, 'n'] = _name('video', 'video', np.str_)
  # True frame numbers.
  frame_id: Int[np.ndarray, 'n'] = _name('frame', 'frame_id', np.int64)
  # Line of the split's list file, 0-based.
  row: Int[np.ndarray, 'n'] = _output('row', array='row', dtype=np.int64)
  valence: Float[np.ndarray, 'n'] = _output('valence', array='pred_valence')
  arousal: Float[np.ndarray, 'n'] = _output('arousal', array='pred_arousal')
  # Probabilities, sum 1.
  expression: Float[np.ndarray, 'n 8'] = _output(
      *(f'expr_{name}' for name in labels.EXPRESSIONS), array='pred_expression'
  )
  # Probabilities.
  au: Float[np.ndarray, 'n 12'] = _output(*labels.AU_NAMES, array='pred_au')
  # Labels in [-1, 1], an index into labels.EXPRESSIONS, and 0 or 1 for AUs.
  target_valence: Float[np.ndarray, 'n'] = _label('valence', 'valence')
  target_arousal: Float[np.ndarray, 'n'] = _label('arousal', 'arousal')
  target_expression: Int[np.ndarray, 'n'] = _label(
      'expression', 'expression', dtype=np.int64
  )
  target_au: Integer[np.ndarray, 'n 12'] = _label(
      'au', *labels.AU_NAMES, dtype=np.int8
  )
  # True where the label may be used.
  va: Bool[np.ndarray, 'n'] = _mask('va')
  expr: Bool[np.ndarray, 'n'] = _mask('expr')
  au_mask: Bool[np.ndarray, 'n 12'] = _mask('au_mask', labels.NUM_AUS)

  def __post_init__(self):
    for name, schema in SCHEMA.items():
      if getattr(self, name) is None:
        zeros = np.zeros((len(self.row), *schema.shape), schema.dtype)
        object.__setattr__(self, name, zeros)

  @classmethod
  def from_rows(
      cls, rows: Mapping[str, np.ndarray], **names: np.ndarray
  ) -> Predictions:
    """Returns the predictions in arrays that are named as in an .npz file.

    Args:
      rows: arrays by `Schema.array`, such as the outputs `pred_*` of a network
        and the labels of its batches; other arrays are ignored.
      **names: further arrays, such as `video`.

    Raises:
      ValueError: an array is missing, or has another kind or shape. Labels may
        be missing only all together.
    """
    rows = {**rows, **names}
    n = len(rows['row']) if np.ndim(rows.get('row')) else 0
    labelled = any(
        schema.mask and schema.array in rows for schema in SCHEMA.values()
    )
    fields = {}
    for name, schema in SCHEMA.items():
      if schema.array not in rows:
        if schema.optional and not (labelled and schema.mask):
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
        schema.array: getattr(self, name) for name, schema in SCHEMA.items()
    }

  def __len__(self) -> int:
    return len(self.row)

  @property
  def labelled(self) -> bool:
    """True if any row has a label."""
    return bool(self.va.any() or self.expr.any() or self.au_mask.any())

  def without_labels(self) -> Predictions:
    """Returns the same predictions without labels."""
    return Predictions(
        **{k: getattr(self, k) for k, v in SCHEMA.items() if not v.mask}
    )

  def take(
      self, rows: Bool[np.ndarray, 'n'] | Int[np.ndarray, 'm']
  ) -> Predictions:
    """Returns some rows, chosen by a mask or by positions."""
    return Predictions(**{name: getattr(self, name)[rows] for name in SCHEMA})

  def describe(self, index: int | np.integer) -> str:
    """Returns the words with which a message names a row."""
    return (
        f'row {self.row[index]} (video {self.video[index]}, '
        f'frame {self.frame_id[index]})'
    )

  def scores(self) -> dict[str, float]:
    """Returns the scores of all labelled rows, see `metrics.multi_task_scores`.

    Raises:
      ValueError: a value that counts is not finite or out of range.
    """
    return metrics.multi_task_scores(
        valence=self.valence,
        arousal=self.arousal,
        expression=np.argmax(self.expression, axis=-1),
        au=self.au >= 0.5,
        target_valence=self.target_valence,
        target_arousal=self.target_arousal,
        target_expression=self.target_expression,
        target_au=self.target_au,
        va=self.va,
        expr=self.expr,
        au_mask=self.au_mask,
    )


SCHEMA: dict[str, Schema] = {
    field.name: field.metadata['schema']
    for field in dataclasses.fields(Predictions)
}


def concatenate(parts: Sequence[Predictions]) -> Predictions:
  """Returns the rows of all parts, such as the folds of a cross-validation."""
  return Predictions(
      **{
          name: np.concatenate([getattr(part, name) for part in parts])
          for name in SCHEMA
      }
  )


def check(rows: Predictions, name: str) -> None:
  """Checks that all values can be blended and scored.

  Raises:
    InputError: names the first wrong row, its column, and the expected values.
  """
  if not len(rows):
    raise errors.InputError(f'{name}: it has no rows; predict some first')
  for column, values, valid, expected in _rules(rows):
    wrong = np.flatnonzero(~valid)
    if wrong.size:
      at = wrong[0]
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
  yield 'frame', rows.frame_id, rows.frame_id >= 0, 'a number from 0'
  yield 'row', rows.row, rows.row >= 0, 'a line number from 0'
  for name in ('valence', 'arousal'):
    value = getattr(rows, name)
    yield name, value, np.isfinite(value), 'a finite number'
  for names, values in (
      ([f'expr_{name}' for name in labels.EXPRESSIONS], rows.expression),
      (labels.AU_NAMES, rows.au),
  ):
    for name, value in zip(names, values.T, strict=True):
      low, high = -_RANGE_TOLERANCE, 1 + _RANGE_TOLERANCE
      valid = (value >= low) & (value <= high)
      yield name, value, valid, 'a probability in [0, 1]'
  total = rows.expression.sum(axis=-1)
  valid = np.abs(total - 1) <= _SUM_TOLERANCE
  yield 'the sum of expr_*', total, valid, '1: probabilities, not logits'
  for name in ('valence', 'arousal'):
    value = getattr(rows, f'target_{name}')
    valid = ~rows.va | ((value >= -1) & (value <= 1))
    yield f'label_{name}', value, valid, '[-1, 1] where va is True'
  value, last = rows.target_expression, labels.NUM_EXPRESSIONS - 1
  valid = ~rows.expr | ((value >= 0) & (value <= last))
  yield 'label_expression', value, valid, f'0..{last} where expr is True'
  for i, name in enumerate(labels.AU_NAMES):
    value = rows.target_au[:, i]
    valid = ~rows.au_mask[:, i] | (value == 0) | (value == 1)
    yield f'label_{name}', value, valid, '0 or 1 where au_mask is True'
