"""Predictions of the rows of a split, with their labels where there are any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import dataclasses

from jaxtyping import Bool, Float, Int, Integer, Shaped
import numpy as np

from abaw_jax.core import errors, labels
from abaw_jax.scoring import metrics

# What may be lost where probabilities are added up in float32.
_SUM_TOLERANCE = 1e-3
_RANGE_TOLERANCE = 1e-6


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions:
  """n rows of a list. Outputs are float64, labels mean nothing if masked.

  The decisions are always the most probable expression and the AUs with a
  probability of at least 0.5: calibration moves the probabilities and leaves
  that rule alone, so nobody who reads a file needs to know what was done to it.
  """

  video: Shaped[np.ndarray, 'n']  # names
  frame_id: Int[np.ndarray, 'n']  # true frame numbers
  row: Int[np.ndarray, 'n']  # line of the split's list file, 0-based
  valence: Float[np.ndarray, 'n']  # unbounded
  arousal: Float[np.ndarray, 'n']
  expression: Float[np.ndarray, 'n 8']  # probabilities, sum 1
  au: Float[np.ndarray, 'n 12']  # probabilities
  target_valence: Float[np.ndarray, 'n']  # [-1, 1]
  target_arousal: Float[np.ndarray, 'n']
  target_expression: Int[np.ndarray, 'n']  # index into labels.EXPRESSIONS
  target_au: Integer[np.ndarray, 'n 12']  # 0 or 1
  va: Bool[np.ndarray, 'n']  # True where the label may be used
  expr: Bool[np.ndarray, 'n']
  au_mask: Bool[np.ndarray, 'n 12']

  @classmethod
  def without_labels(
      cls,
      *,
      video: Shaped[np.ndarray, 'n'],
      frame_id: Int[np.ndarray, 'n'],
      row: Int[np.ndarray, 'n'],
      valence: Float[np.ndarray, 'n'],
      arousal: Float[np.ndarray, 'n'],
      expression: Float[np.ndarray, 'n 8'],
      au: Float[np.ndarray, 'n 12'],
  ) -> Predictions:
    """Returns predictions whose masks are all False."""
    n = len(row)
    return cls(
        video=video,
        frame_id=frame_id,
        row=row,
        valence=valence,
        arousal=arousal,
        expression=expression,
        au=au,
        target_valence=np.zeros(n),
        target_arousal=np.zeros(n),
        target_expression=np.zeros(n, int),
        target_au=np.zeros([n, labels.NUM_AUS], int),
        va=np.zeros(n, bool),
        expr=np.zeros(n, bool),
        au_mask=np.zeros([n, labels.NUM_AUS], bool),
    )

  def __len__(self) -> int:
    return len(self.row)

  @property
  def labelled(self) -> bool:
    """True if any row has a label."""
    return bool(self.va.any() or self.expr.any() or self.au_mask.any())

  def take(
      self, rows: Bool[np.ndarray, 'n'] | Int[np.ndarray, 'm']
  ) -> Predictions:
    """Returns the rows that a mask or positions name."""
    return Predictions(
        **{
            field.name: getattr(self, field.name)[rows]
            for field in dataclasses.fields(self)
        }
    )

  def where(self, index: int | np.integer) -> str:
    """Returns what a message calls one of the rows."""
    return (
        f'row {self.row[index]} (video {self.video[index]}, '
        f'frame {self.frame_id[index]})'
    )

  def score(self) -> metrics.MTLScore:
    """Returns the sums of all labelled rows."""
    return metrics.MTLScore.of(
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


def concatenate(parts: Sequence[Predictions]) -> Predictions:
  """Returns the rows of all parts: the folds of a cross-validation, say."""
  return Predictions(
      **{
          field.name: np.concatenate([getattr(p, field.name) for p in parts])
          for field in dataclasses.fields(Predictions)
      }
  )


def check(rows: Predictions, name: str) -> None:
  """Checks that every value is one that can be blended and scored.

  Raises:
    InputError: naming the first wrong row, its column, and what was expected.
  """
  if not len(rows):
    raise errors.InputError(f'{name}: it has no rows; predict some first')
  for column, values, fine, expected in _rules(rows):
    wrong = np.flatnonzero(~fine)
    if wrong.size:
      at = wrong[0]
      raise errors.InputError(
          f'{name}: {rows.where(at)}: {column} is {values[at]}; expected '
          f'{expected}'
      )
  twice = _repeated(rows)
  if twice.size:
    raise errors.InputError(
        f'{name}: {rows.where(twice[0])} is there twice; expected each row of '
        'the list once'
    )


def keys(rows: Predictions) -> Shaped[np.ndarray, 'n']:
  """Returns what tells rows apart, also those of two splits: it sorts."""
  kind = [
      ('video', rows.video.dtype), ('frame_id', 'i8'), ('row', 'i8')
  ]  # fmt: skip
  table = np.empty(len(rows), kind)
  for name, _ in kind:
    table[name] = getattr(rows, name)
  return table


def _repeated(rows: Predictions) -> Int[np.ndarray, 'm']:
  """Returns the positions of rows that are there a second time."""
  order = np.lexsort((rows.row, rows.frame_id, rows.video))
  table = keys(rows)[order]
  return order[1:][table[1:] == table[:-1]]


def _rules(rows: Predictions) -> Iterator[tuple]:
  """Yields (column, its values, where they are fine, what was expected)."""
  yield 'video', rows.video, rows.video != '', 'a name'
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
      fine = (value >= low) & (value <= high)
      yield name, value, fine, 'a probability in [0, 1]'
  total = rows.expression.sum(axis=-1)
  fine = np.abs(total - 1) <= _SUM_TOLERANCE
  yield 'the sum of expr_*', total, fine, '1: probabilities, not logits'
  for name in ('valence', 'arousal'):
    value = getattr(rows, f'target_{name}')
    fine = ~rows.va | ((value >= -1) & (value <= 1))
    yield f'label_{name}', value, fine, '[-1, 1] where va is True'
  value, last = rows.target_expression, labels.NUM_EXPRESSIONS - 1
  fine = ~rows.expr | ((value >= 0) & (value <= last))
  yield 'label_expression', value, fine, f'0..{last} where expr is True'
  for i, name in enumerate(labels.AU_NAMES):
    value = rows.target_au[:, i]
    fine = ~rows.au_mask[:, i] | (value == 0) | (value == 1)
    yield f'label_{name}', value, fine, '0 or 1 where au_mask is True'
