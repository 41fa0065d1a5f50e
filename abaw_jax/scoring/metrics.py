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

from abaw_jax import labels


@dataclasses.dataclass(frozen=True)
class CCCMoments:
  """Population moments of predictions and targets, without the division by n.

  Merging follows the pairwise update of Chan, Golub and LeVeque (1983), which
  does not cancel as raw sums of squares do.
  """

  n: int = 0
  mean_pred: float = 0.0
  mean_target: float = 0.0
  m2_pred: float = 0.0  # sum of squared deviations from the mean
  m2_target: float = 0.0
  co_moment: float = 0.0  # sum of products of the deviations

  @classmethod
  def of(
      cls,
      pred: Float[np.ndarray, '*b'],
      target: Float[np.ndarray, '*b'],
      mask: Bool[np.ndarray, '*b'],
  ) -> CCCMoments:
    """Returns the moments of the rows where `mask` is True.

    Raises ValueError where a row that counts is not finite; rows under a False
    mask may hold anything.
    """
    pred = pred[mask].astype(np.float64)
    target = target[mask].astype(np.float64)
    _check(np.isfinite(pred), 'predictions that are not finite')
    _check(np.isfinite(target), 'labels that are not finite')
    if not pred.size:
      return cls()
    # Measured from the first row, a constant has exactly its value as mean and
    # exactly 0 as deviation; a plain mean may miss it by one rounding.
    mean_pred = pred[0] + np.mean(pred - pred[0])
    mean_target = target[0] + np.mean(target - target[0])
    return cls(
        n=pred.size,
        mean_pred=float(mean_pred),
        mean_target=float(mean_target),
        m2_pred=float(np.sum((pred - mean_pred) ** 2)),
        m2_target=float(np.sum((target - mean_target) ** 2)),
        co_moment=float(np.sum((pred - mean_pred) * (target - mean_target))),
    )

  def merge(self, other: CCCMoments) -> CCCMoments:
    """Returns the moments of the rows of both."""
    if not other.n:
      return self
    if not self.n:
      return other
    n = self.n + other.n
    pred = other.mean_pred - self.mean_pred
    target = other.mean_target - self.mean_target
    weight = self.n * other.n / n
    return CCCMoments(
        n=n,
        mean_pred=self.mean_pred + pred * other.n / n,
        mean_target=self.mean_target + target * other.n / n,
        m2_pred=self.m2_pred + other.m2_pred + pred**2 * weight,
        m2_target=self.m2_target + other.m2_target + target**2 * weight,
        co_moment=self.co_moment + other.co_moment + pred * target * weight,
    )

  def ccc(self) -> float:
    """Returns the concordance correlation coefficient (Lin, 1989), in [-1, 1].

    0 where predictions and labels are one and the same constant, for which it
    is undefined; NaN without rows.
    """
    if not self.n:
      return math.nan
    bias = self.mean_pred - self.mean_target
    denominator = self.m2_pred + self.m2_target + self.n * bias**2
    return 2 * self.co_moment / denominator if denominator else 0.0


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
      _check(
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
    return _f1(hits, predicted, present, rows=int(self.counts.sum()))


@dataclasses.dataclass(frozen=True, eq=False)
class AUCounts:
  """True positives, false positives and false negatives of each AU."""

  tp: Int[np.ndarray, '12']
  fp: Int[np.ndarray, '12']
  fn: Int[np.ndarray, '12']
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
    for name, values in (('prediction', pred), ('label', target)):
      used = values[mask]
      _check((used == 0) | (used == 1), f'AU {name}s other than 0 and 1')
    axes = tuple(range(mask.ndim - 1))
    pred, target = pred == 1, target == 1

    def count(cell):
      return np.count_nonzero(cell & mask, axis=axes)

    return cls(
        tp=count(pred & target),
        fp=count(pred & ~target),
        fn=count(~pred & target),
        rows=int(np.count_nonzero(mask.any(axis=-1))),
    )

  def merge(self, other: AUCounts) -> AUCounts:
    """Returns the counts of the rows of both."""
    return AUCounts(
        tp=self.tp + other.tp,
        fp=self.fp + other.fp,
        fn=self.fn + other.fn,
        rows=self.rows + other.rows,
    )

  def f1(self) -> Float[np.ndarray, '12']:
    """Returns the F1 of each AU's presence; NaN without rows."""
    return _f1(self.tp, self.tp + self.fp, self.tp + self.fn, rows=self.rows)


@dataclasses.dataclass(frozen=True, eq=False)
class MTLScore:
  """Everything the multi-task score needs to know about a set of rows."""

  valence: CCCMoments
  arousal: CCCMoments
  expression: ExpressionConfusion
  au: AUCounts

  @classmethod
  def empty(cls) -> MTLScore:
    """Returns the score of no rows: merging it changes nothing."""
    pairs = np.zeros([labels.NUM_EXPRESSIONS] * 2, np.int64)
    none = np.zeros(labels.NUM_AUS, np.int64)
    return cls(
        valence=CCCMoments(),
        arousal=CCCMoments(),
        expression=ExpressionConfusion(pairs),
        au=AUCounts(tp=none, fp=none, fn=none, rows=0),
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
        valence=CCCMoments.of(valence, target_valence, va),
        arousal=CCCMoments.of(arousal, target_arousal, va),
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

    EXPR is the mean F1 over all 8 expressions and AU over all 12 AUs: a class
    that is neither labelled nor predicted has F1 0 and still counts. P_MTL is
    NaN where one of its three parts is. `n_*` are numbers of rows.
    """
    valence, arousal = self.valence.ccc(), self.arousal.ccc()
    expression, au = self.expression.f1(), self.au.f1()
    parts = {
        'VA': (valence + arousal) / 2,
        'EXPR': float(np.mean(expression)),
        'AU': float(np.mean(au)),
    }
    names = (*labels.EXPRESSIONS, *labels.AU_NAMES)
    each = zip(names, [*expression, *au], strict=True)
    return {
        'CCC_valence': valence,
        'CCC_arousal': arousal,
        **parts,
        'P_MTL': sum(parts.values()),
        **{f'F1_{name}': float(f1) for name, f1 in each},
        'n_va': float(self.valence.n),
        'n_expr': float(self.expression.counts.sum()),
        'n_au': float(self.au.rows),
    }


def _check(fine: Bool[np.ndarray, 'n'], fault: str) -> None:
  """Raises ValueError that counts the elements where `fine` is False."""
  bad = np.count_nonzero(~fine)
  if bad:
    raise ValueError(f'{bad} of {fine.size} usable values are {fault}')


def _f1(
    hits: Int[np.ndarray, 'k'],
    predicted: Int[np.ndarray, 'k'],
    present: Int[np.ndarray, 'k'],
    *,
    rows: int,
) -> Float[np.ndarray, 'k']:
  """Returns 2 hits / (predicted + present), 0 for 0/0, NaN without rows."""
  if not rows:
    return np.full(hits.shape, np.nan)
  return 2 * hits / np.maximum(predicted + present, 1)
