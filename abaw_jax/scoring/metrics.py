"""The scores of the ABAW multi-task challenge, as sums that merge.

Host only, float64. A score is made of sums over rows; sums of any two sets of
rows merge, in any order, and ratios are taken last:

  P_MTL = (CCC_valence + CCC_arousal) / 2 + F1_expression + F1_AU

(Kollias, "ABAW: Learning from Synthetic Data & Multi-Task Learning
Challenges", 2022). All rows are pooled: no mean over videos or batches.
"""

from __future__ import annotations

import dataclasses
import math

from jaxtyping import Bool, Float, Int, Integer
import numpy as np

from abaw_jax.core import labels
from abaw_jax.scoring import ccc, values


@dataclasses.dataclass(frozen=True, eq=False)
class ExpressionConfusion:
  """How often each class (row) was predicted as each class (column)."""

  counts: Int[np.ndarray, '8 8']

  @classmethod
  def of(
      cls,
      pred: Int[np.ndarray, '*b'],
      target: Int[np.ndarray, '*b'],
      mask: Bool[np.ndarray, '*b'],
  ) -> ExpressionConfusion:
    """Returns the counts of the rows where `mask` is True.

    Raises ValueError where a row that counts holds no class id.
    """
    size = labels.NUM_EXPRESSIONS
    pred, target = pred[mask], target[mask]
    for name, ids in (('prediction', pred), ('label', target)):
      values.check(
          (ids >= 0) & (ids < size),
          f'expression {name}s outside 0..{size - 1}',
      )
    # int64 first: a small integer type would overflow in the flat index.
    flat = target.astype(np.int64) * size + pred
    counts = np.bincount(flat, minlength=size * size).reshape(size, size)
    return cls(counts)

  def merge(self, other: ExpressionConfusion) -> ExpressionConfusion:
    """Returns the counts of the rows of both."""
    return ExpressionConfusion(self.counts + other.counts)

  def f1(self) -> Float[np.ndarray, '8']:
    """Returns the F1 of each class against the rest; NaN without rows."""
    hits = np.diagonal(self.counts)
    predicted, present = self.counts.sum(axis=0), self.counts.sum(axis=1)
    return _f1(hits, predicted, present, rows=self.counts.sum())

  def accuracy(self) -> float:
    """Returns the share of rows that are predicted right; NaN without rows."""
    rows = int(self.counts.sum())
    return int(np.trace(self.counts)) / rows if rows else math.nan


@dataclasses.dataclass(frozen=True, eq=False)
class AUCounts:
  """True positives, false positives and false negatives of each AU."""

  tp: Int[np.ndarray, '12']
  fp: Int[np.ndarray, '12']
  fn: Int[np.ndarray, '12']
  known: Int[np.ndarray, '12']  # rows in which the AU is usable
  rows: int  # rows with at least one usable AU

  @classmethod
  def of(
      cls,
      pred: Bool[np.ndarray, '*b 12'] | Integer[np.ndarray, '*b 12'],
      target: Bool[np.ndarray, '*b 12'] | Integer[np.ndarray, '*b 12'],
      mask: Bool[np.ndarray, '*b 12'],
  ) -> AUCounts:
    """Returns the counts of the entries where `mask` is True.

    Raises ValueError where an entry that counts is neither 0 nor 1.
    """
    for name, cells in (('prediction', pred), ('label', target)):
      used = cells[mask]
      values.check((used == 0) | (used == 1), f'AU {name}s other than 0 and 1')
    axes = tuple(range(mask.ndim - 1))
    pred, target = pred == 1, target == 1

    def count(cell):
      return np.count_nonzero(cell & mask, axis=axes)

    return cls(
        tp=count(pred & target),
        fp=count(pred & ~target),
        fn=count(~pred & target),
        known=count(np.True_),
        rows=int(np.count_nonzero(mask.any(axis=-1))),
    )

  def merge(self, other: AUCounts) -> AUCounts:
    """Returns the counts of the rows of both."""
    return AUCounts(
        tp=self.tp + other.tp,
        fp=self.fp + other.fp,
        fn=self.fn + other.fn,
        known=self.known + other.known,
        rows=self.rows + other.rows,
    )

  def f1(self) -> Float[np.ndarray, '12']:
    """Returns the F1 of each AU's presence; NaN where it has no label."""
    predicted, present = self.tp + self.fp, self.tp + self.fn
    return _f1(self.tp, predicted, present, rows=self.known)


@dataclasses.dataclass(frozen=True, eq=False)
class MTLScore:
  """Everything the multi-task score needs to know about a set of rows."""

  valence: ccc.CCCMoments
  arousal: ccc.CCCMoments
  expression: ExpressionConfusion
  au: AUCounts

  @classmethod
  def empty(cls) -> MTLScore:
    """Returns the score of no rows: merging it changes nothing."""
    pairs = np.zeros([labels.NUM_EXPRESSIONS] * 2, np.int64)
    none = np.zeros(labels.NUM_AUS, np.int64)
    return cls(
        valence=ccc.CCCMoments(),
        arousal=ccc.CCCMoments(),
        expression=ExpressionConfusion(pairs),
        au=AUCounts(tp=none, fp=none, fn=none, known=none, rows=0),
    )

  @classmethod
  def of(
      cls,
      *,
      valence: Float[np.ndarray, '*b'],
      arousal: Float[np.ndarray, '*b'],
      expression: Int[np.ndarray, '*b'],
      au: Bool[np.ndarray, '*b 12'] | Integer[np.ndarray, '*b 12'],
      target_valence: Float[np.ndarray, '*b'],
      target_arousal: Float[np.ndarray, '*b'],
      target_expression: Int[np.ndarray, '*b'],
      target_au: Bool[np.ndarray, '*b 12'] | Integer[np.ndarray, '*b 12'],
      va: Bool[np.ndarray, '*b'],
      expr: Bool[np.ndarray, '*b'],
      au_mask: Bool[np.ndarray, '*b 12'],
  ) -> MTLScore:
    """Returns the sums of the rows whose masks are True.

    `expression` holds predicted class ids and `au` predicted presence, not
    logits. A row counts for a task where `va`, `expr` or `au_mask` is True;
    elsewhere neither its prediction nor its label matters. Raises ValueError
    where a value that counts is out of its range or not finite.
    """
    return cls(
        valence=ccc.CCCMoments.of(valence, target_valence, va),
        arousal=ccc.CCCMoments.of(arousal, target_arousal, va),
        expression=ExpressionConfusion.of(expression, target_expression, expr),
        au=AUCounts.of(au, target_au, au_mask),
    )

  def merge(self, other: MTLScore) -> MTLScore:
    """Returns the sums of the rows of both."""
    return MTLScore(
        valence=self.valence.merge(other.valence),
        arousal=self.arousal.merge(other.arousal),
        expression=self.expression.merge(other.expression),
        au=self.au.merge(other.au),
    )

  def scores(self) -> dict[str, float]:
    """Returns all scores by name; those of a task without rows are NaN.

    EXPR is the mean F1 over all 8 expressions: a class that is neither labelled
    nor predicted has F1 0 and still counts. AU is that over the AUs with labels.
    P_MTL needs all three parts and all 12 AUs and is NaN without; `score` adds up
    what there is. `n_*` are numbers of rows.
    """
    valence, arousal = self.valence.ccc(), self.arousal.ccc()
    expression, au = self.expression.f1(), self.au.f1()
    known = au[~np.isnan(au)]
    parts = {
        'VA': (valence + arousal) / 2,
        'EXPR': float(np.mean(expression)),
        'AU': float(np.mean(known)) if known.size else math.nan,
    }
    found = [part for part in parts.values() if not math.isnan(part)]
    whole = len(found) == len(parts) and known.size == au.size
    names = (*labels.EXPRESSIONS, *labels.AU_NAMES)
    each = zip(names, [*expression, *au], strict=True)
    return {
        'CCC_valence': valence,
        'CCC_arousal': arousal,
        **parts,
        'P_MTL': sum(found) if whole else math.nan,
        'score': sum(found) if found else math.nan,
        'accuracy': self.expression.accuracy(),
        **{f'F1_{name}': float(f1) for name, f1 in each},
        'n_va': float(self.valence.n),
        'n_expr': float(self.expression.counts.sum()),
        'n_au': float(self.au.rows),
    }


def _f1(
    hits: Int[np.ndarray, 'k'],
    predicted: Int[np.ndarray, 'k'],
    present: Int[np.ndarray, 'k'],
    *,
    rows: Integer[np.ndarray, '*k'] | np.integer,
) -> Float[np.ndarray, 'k']:
  """Returns 2 hits / (predicted + present), 0 for 0/0, NaN without rows."""
  f1 = 2 * hits / np.maximum(predicted + present, 1)
  return np.where(rows > 0, f1, np.nan)
