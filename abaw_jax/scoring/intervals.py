"""Confidence intervals of all scores by resampling videos.

Rows of one video are nearly copies of each other, so videos are drawn, with
replacement, and not rows (the cluster bootstrap; Efron and Tibshirani, 1993).
Scores are functions of sums over rows, and the sums of a resample are those of
its videos times how often each was drawn: one matrix product for all resamples.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses

from jaxtyping import Float, Int
import numpy as np

from abaw_jax.core import labels
from abaw_jax.scoring import predictions

LEVEL = 0.95
RESAMPLES = 1000


@dataclasses.dataclass(frozen=True, eq=False)
class Draws:
  """A score with its values in r resamples of the videos."""

  value: float
  draws: Float[np.ndarray, 'r']

  def interval(self, level: float = LEVEL) -> tuple[float, float]:
    """Returns the percentile interval; NaN if the score is never defined.

    A resample in which the score is not defined, having drawn no video with such
    a label, is left out.
    """
    defined = self.draws[~np.isnan(self.draws)]
    if not defined.size:
      return np.nan, np.nan
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)

  def minus(self, other: Draws) -> Draws:
    """Returns the difference to another score of the same videos and seed."""
    return Draws(self.value - other.value, self.draws - other.draws)


def bootstrap(
    rows: predictions.Predictions,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Draws]:
  """Returns every score of MTLScore.scores, its row counts aside, with draws.

  Predictions of the same rows see the same resamples, so their scores may be
  subtracted draw by draw.
  """
  names, which = np.unique(rows.video, return_inverse=True)
  rng = np.random.default_rng(seed)
  share = np.full(len(names), 1 / len(names))
  drawn = rng.multinomial(len(names), share, size=resamples)  # [r, v]
  draws = _scores(_sums(rows, which, len(names)), drawn.astype(np.float64))
  values = rows.score().scores()
  return {name: Draws(values[name], draw) for name, draw in draws.items()}


def _sums(
    rows: predictions.Predictions, which: Int[np.ndarray, 'n'], count: int
) -> dict[str, Float[np.ndarray, 'v _']]:
  """Returns the sums of each video by what they are for."""
  sums = {}
  for name in ('valence', 'arousal'):
    pred = getattr(rows, name)[rows.va]
    target = getattr(rows, f'target_{name}')[rows.va]
    # Sums of squares cancel less when measured from where the values are.
    middle = target.mean() if target.size else 0.0
    pred, target = pred - middle, target - middle
    terms = [
        np.ones_like(pred),
        pred,
        target,
        pred**2,
        target**2,
        pred * target,
    ]
    sums[name] = np.stack(
        [np.bincount(which[rows.va], t, minlength=count) for t in terms],
        axis=-1,
    )
  size = labels.NUM_EXPRESSIONS
  pairs = rows.target_expression * size + np.argmax(rows.expression, axis=-1)
  cell = (which * size * size + pairs)[rows.expr]
  sums['expr'] = np.bincount(cell, minlength=count * size * size).reshape(
      count, size * size
  )
  pred, target = rows.au >= 0.5, rows.target_au == 1
  cells = (pred & target, pred & ~target, ~pred & target, True)
  flat = np.concatenate([cell & rows.au_mask for cell in cells], axis=-1)
  sums['au'] = np.stack(
      [np.bincount(which, column, minlength=count) for column in flat.T],
      axis=-1,
  )
  # Of no rows at all bincount makes whole numbers.
  return {name: value.astype(np.float64) for name, value in sums.items()}


def _scores(
    sums: Mapping[str, Float[np.ndarray, 'v _']],
    drawn: Float[np.ndarray, 'r v'],
) -> dict[str, Float[np.ndarray, 'r']]:
  """Returns the scores of every resample; NaN where a task has no rows."""
  total = {name: drawn @ value for name, value in sums.items()}
  valence, arousal = _ccc(total['valence']), _ccc(total['arousal'])
  size = labels.NUM_EXPRESSIONS
  pairs = total['expr'].reshape(-1, size, size)
  hits = np.diagonal(pairs, axis1=-2, axis2=-1)
  known = pairs.sum((-2, -1))
  expr = _f1(2 * hits, pairs.sum(-2) + pairs.sum(-1), known[:, None])
  tp, fp, fn, au_known = np.split(total['au'], 4, axis=-1)
  au = _f1(2 * tp, 2 * tp + fp + fn, au_known)
  count = np.count_nonzero(au_known, axis=-1)
  parts = {
      'VA': (valence + arousal) / 2,
      'EXPR': expr.mean(axis=-1),
      'AU': _ratio(np.nansum(au, axis=-1), count),
  }
  all_parts = np.stack([*parts.values()])
  whole = np.where(count == au.shape[-1], all_parts.sum(axis=0), np.nan)
  some = ~np.isnan(all_parts).all(axis=0)
  names = (*labels.EXPRESSIONS, *labels.AU_NAMES)
  each = np.concatenate([expr, au], axis=-1)
  return {
      'P_MTL': whole,
      'score': np.where(some, np.nansum(all_parts, axis=0), np.nan),
      **parts,
      'accuracy': _ratio(hits.sum(axis=-1), known),
      'CCC_valence': valence,
      'CCC_arousal': arousal,
      **{f'F1_{k}': f1 for k, f1 in zip(names, each.T, strict=True)},
  }


def _ccc(sums: Float[np.ndarray, 'r 6']) -> Float[np.ndarray, 'r']:
  n, pred, target, pred2, target2, both = sums.T
  some = np.maximum(n, 1)
  spread = pred2 - pred**2 / some + target2 - target**2 / some
  # Where both are one constant, rounding may leave less than nothing.
  size = np.maximum(spread, 0) + (pred - target) ** 2 / some
  ccc = _ratio(2 * (both - pred * target / some), size)
  return np.where(n > 0, np.where(size > 0, ccc, 0.0), np.nan)


def _f1(
    hits: Float[np.ndarray, 'r k'],
    size: Float[np.ndarray, 'r k'],
    known: Float[np.ndarray, 'r _'],
) -> Float[np.ndarray, 'r k']:
  return np.where(known > 0, hits / np.maximum(size, 1), np.nan)


def _ratio(
    part: Float[np.ndarray, 'r'],
    whole: Float[np.ndarray, 'r'] | Int[np.ndarray, 'r'],
) -> Float[np.ndarray, 'r']:
  """Returns part / whole, NaN where the whole is 0."""
  return np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)
