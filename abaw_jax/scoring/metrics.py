"""The scores of the ABAW multi-task challenge, in float64.

  P_MTL = (CCC_valence + CCC_arousal) / 2 + F1_expression + F1_AU

(Kollias, "ABAW: Learning from Synthetic Data & Multi-Task Learning
Challenges", 2022). All rows are pooled: no mean over videos or batches.
"""

from collections.abc import Mapping, Sequence
import math

from jaxtyping import Bool, Float, Int, Integer, Num
import numpy as np

from abaw_jax.core import labels

Scores = Float[np.ndarray, '*r'] | float


# The score of each task, a key of `multi_task_scores`.
PART_SCORES = {
    'valence': 'CCC_valence',
    'arousal': 'CCC_arousal',
    'expression': 'EXPR',
    'au': 'AU',
}


def multi_task_scores(
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
    classes: Sequence[int] = range(labels.NUM_EXPRESSIONS),
) -> dict[str, float]:
  """Returns all scores by name; those of a task without labels are NaN.

  Predictions and labels (`target_*`) are class ids and AU presences (0 or 1), not
  logits. A row counts for a task where `va`, `expr` or `au_mask` is True. The mean F1
  of the expressions is over `classes`; the F1 of other classes is NaN.

  The names are the keys of `combine`, `CCC_valence`, `CCC_arousal`, `accuracy` of
  expressions, `F1_<name>` of every expression and AU, and the numbers of labelled
  rows `n_va`, `n_expr` and `n_au`. A class that is neither labelled nor predicted
  has F1 0.

  Raises:
    ValueError: a value that counts is out of its range or not finite.
  """
  counts = confusion(expression, target_expression, expr)
  ccc_valence = ccc(valence, target_valence, va)
  ccc_arousal = ccc(arousal, target_arousal, va)
  expression_f1 = class_f1(counts, classes)
  au_f1 = presence_f1(au, target_au, au_mask)
  combined = combine(
      valence=ccc_valence,
      arousal=ccc_arousal,
      expression=mean_of_known(expression_f1),
      au=mean_of_known(au_f1),
      complete=not np.isnan(au_f1).any(),
  )
  rows = int(counts.sum())
  names = (*labels.EXPRESSIONS, *labels.AU_NAMES)
  each = zip(names, [*expression_f1, *au_f1], strict=True)
  return {
      'CCC_valence': ccc_valence,
      'CCC_arousal': ccc_arousal,
      **{name: float(score) for name, score in combined.items()},
      'accuracy': int(np.trace(counts)) / rows if rows else math.nan,
      **{f'F1_{name}': float(f1) for name, f1 in each},
      'n_va': float(np.count_nonzero(va)),
      'n_expr': float(rows),
      'n_au': float(np.count_nonzero(au_mask.any(axis=-1))),
  }


def combine(
    *,
    valence: Scores,
    arousal: Scores,
    expression: Scores,
    au: Scores,
    complete: Bool[np.ndarray, '*r'] | bool = True,
) -> dict[str, Scores]:
  """Returns the scores of the challenge from CCCs and mean F1s; NaN: no labels.

  They are `VA`, `EXPR` and `AU`; their sum `P_MTL`, NaN where a part has no labels
  or not all 12 AUs have (`complete` is False); and `score`, the sum of the parts
  that have labels.
  """
  parts = {'VA': (valence + arousal) / 2, 'EXPR': expression, 'AU': au}
  values = np.stack([*parts.values()]).astype(np.float64)
  known = ~np.isnan(values).all(axis=0)
  return {
      **parts,
      'P_MTL': np.where(complete, values.sum(axis=0), np.nan),
      'score': np.where(known, np.nansum(values, axis=0), np.nan),
  }


def summary(scores: Mapping[str, float]) -> str:
  """Returns one line: `P_MTL x (VA x EXPR x AU x)`.

  Where a part or an AU has no labels, the line begins with the `score` of the
  parts that have some.
  """
  if not is_labelled(scores):
    return 'no score: this split has no labels'
  parts = ' '.join(
      f'{k} {scores[k]:.4f}'
      for k in ('VA', 'EXPR', 'AU')
      if not math.isnan(scores[k])
  )
  total = 'score' if math.isnan(scores['P_MTL']) else 'P_MTL'
  return f'{total} {scores[total]:.4f} ({parts})'


def is_labelled(scores: Mapping[str, float]) -> bool:
  """Returns whether any row has a label."""
  return any(scores[f'n_{mask}'] for mask in ('va', 'expr', 'au'))


def ccc(
    pred: Float[np.ndarray, '*b'],
    target: Float[np.ndarray, '*b'],
    mask: Bool[np.ndarray, '*b'],
) -> float:
  """Returns the concordance correlation coefficient (Lin, 1989), in [-1, 1].

  It is 0 where predictions and labels are the same constant, for which it is
  undefined, and NaN without rows.

  Raises:
    ValueError: a row under a True mask is not finite.
  """
  pred, target = (x[mask].astype(np.float64) for x in (pred, target))
  _check(np.isfinite(pred), 'predictions that are not finite')
  _check(np.isfinite(target), 'labels that are not finite')
  if not pred.size:
    return math.nan
  # The mean of a constant may differ from it by a rounding error. Relative to
  # the first row it is exact, and so are the deviations, which are 0.
  mean_pred = pred[0] + np.mean(pred - pred[0])
  mean_target = target[0] + np.mean(target - target[0])
  pred, target = pred - mean_pred, target - mean_target
  return float(
      ccc_from_moments(
          product=np.sum(pred * target),
          squares=np.sum(pred**2) + np.sum(target**2),
          shift=pred.size * (mean_pred - mean_target) ** 2,
      )
  )


def ccc_from_moments(
    *, product: Scores, squares: Scores, shift: Scores
) -> Float[np.ndarray, '*r']:
  """Returns the concordance correlation coefficient, 0 for 0/0.

  Args:
    product: sum of the products of the deviations from the means.
    squares: sum of the squared deviations of predictions and of labels.
    shift: number of rows times the squared difference of the means.
  """
  size = squares + shift
  return np.where(size > 0, 2 * product / np.where(size > 0, size, 1), 0.0)


def confusion(
    pred: Int[np.ndarray, '*b'],
    target: Int[np.ndarray, '*b'],
    mask: Bool[np.ndarray, '*b'],
    *,
    num_classes: int = labels.NUM_EXPRESSIONS,
) -> Int[np.ndarray, 'k k']:
  """Returns how often each class (row) was predicted as each class (column).

  Raises:
    ValueError: a row under a True mask holds no class id.
  """
  pred, target = pred[mask], target[mask]
  for name, ids in (('prediction', pred), ('label', target)):
    _check(
        (ids >= 0) & (ids < num_classes),
        f'expression {name}s outside 0..{num_classes - 1}',
    )
  # int64 first: a small integer type would overflow in the flat index.
  flat = target.astype(np.int64) * num_classes + pred
  counts = np.bincount(flat, minlength=num_classes**2)
  return counts.reshape(num_classes, num_classes)


def class_f1(
    counts: Num[np.ndarray, '*r k k'], classes: Sequence[int] | None = None
) -> Float[np.ndarray, '*r k']:
  """Returns the F1 of each class of a confusion matrix; NaN without rows.

  If `classes` are given, the F1 of all others is NaN.
  """
  scores = f1(
      np.diagonal(counts, axis1=-2, axis2=-1),
      counts.sum(axis=-2) + counts.sum(axis=-1),
      counts.sum(axis=(-2, -1))[..., None],
  )
  if classes is not None:
    others = np.setdiff1d(np.arange(counts.shape[-1]), classes)
    scores[..., others] = np.nan
  return scores


def macro_f1(
    pred: Int[np.ndarray, 'n'],
    target: Int[np.ndarray, 'n'],
    *,
    num_classes: int = labels.NUM_EXPRESSIONS,
) -> float:
  """Returns the mean F1 of all classes; an absent class has F1 0."""
  rows = np.ones(target.shape, bool)
  counts = confusion(pred, target, rows, num_classes=num_classes)
  return float(np.mean(class_f1(counts)))


def presence_f1(
    pred: Bool[np.ndarray, '*b k'] | Integer[np.ndarray, '*b k'],
    target: Bool[np.ndarray, '*b k'] | Integer[np.ndarray, '*b k'],
    mask: Bool[np.ndarray, '*b k'],
) -> Float[np.ndarray, 'k']:
  """Returns the F1 of each AU's presence; NaN where it has no label.

  Raises:
    ValueError: an entry under a True mask is neither 0 nor 1.
  """
  for name, cells in (('prediction', pred), ('label', target)):
    used = cells[mask]
    _check((used == 0) | (used == 1), f'AU {name}s other than 0 and 1')
  axes = tuple(range(mask.ndim - 1))
  pred, target = (pred == 1) & mask, (target == 1) & mask
  return f1(
      np.count_nonzero(pred & target, axis=axes),
      np.count_nonzero(pred, axis=axes) + np.count_nonzero(target, axis=axes),
      np.count_nonzero(mask, axis=axes),
  )


def f1(
    hits: Num[np.ndarray, '*r k'],
    size: Num[np.ndarray, '*r k'],
    rows: Num[np.ndarray, '*r _'],
) -> Float[np.ndarray, '*r k']:
  """Returns 2 hits / size, 0 for 0/0, NaN without labelled rows.

  `size` is the sum of predicted and labelled positives.
  """
  return np.where(rows > 0, 2 * hits / np.maximum(size, 1), np.nan)


def mean_of_known(values: Float[np.ndarray, '*r k']) -> Float[np.ndarray, '*r']:
  """Returns the mean over the last axis without NaNs; NaN if all are."""
  count = np.count_nonzero(~np.isnan(values), axis=-1)
  total = np.nansum(values, axis=-1)
  return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _check(valid: Bool[np.ndarray, 'n'], fault: str) -> None:
  """Raises ValueError with the number of elements where `valid` is False."""
  count = np.count_nonzero(~valid)
  if count:
    raise ValueError(f'{count} of {valid.size} usable values are {fault}')
