"""Confidence intervals of all scores by resampling recordings.

Rows of one recording are nearly copies of each other, and so are the `_left` and
`_right` videos of two people in it. Recordings are resampled with replacement,
not rows (the cluster bootstrap; Efron and Tibshirani, 1993). Scores are functions
of sums over rows. The sums of a resample are the sums of its recordings times how
often each was drawn: one matrix product for all resamples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses

from jaxtyping import Float, Int
import numpy as np

from abaw_jax.core import labels
from abaw_jax.scoring import metrics, predictions

LEVEL = 0.95
RESAMPLES = 1000


@dataclasses.dataclass(frozen=True, eq=False)
class Draws:
  """A score and its values in r resamples of the recordings."""

  value: float  # of all rows
  draws: Float[np.ndarray, 'r']  # NaN without a label
  recordings: int  # with labels; for a sum of scores the smallest number

  def interval(self, level: float = LEVEL) -> tuple[float, float]:
    """Returns the percentile interval; NaN with fewer than two recordings.

    A resample without any label of the score is left out.
    """
    defined = self.draws[~np.isnan(self.draws)]
    if self.recordings < 2 or not defined.size:
      return np.nan, np.nan
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)

  def minus(self, other: Draws) -> Draws:
    """Returns the difference to another score of the same rows and seed."""
    return Draws(
        self.value - other.value,
        self.draws - other.draws,
        min(self.recordings, other.recordings),
    )


def bootstrap(
    rows: predictions.Predictions,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Draws]:
  """Returns every score of `rows.scores()` with draws, except row counts.

  Predictions of the same rows get the same resamples, so their scores may be
  subtracted draw by draw.
  """
  rows = rows.scorable()
  recording = labels.recording_ids(rows.video)
  count = int(recording.max()) + 1
  rng = np.random.default_rng(seed)
  share = np.full(count, 1 / count)
  drawn = rng.multinomial(count, share, size=resamples)  # [r, v]
  classes = labels.scored_expressions(rows.data)
  sums = _sums(rows, recording, count)
  draws = _scores(sums, drawn.astype(np.float64), classes)
  values, counts = rows.scores(), _recordings(rows, recording)
  return {
      name: Draws(values[name], draw, counts[name])
      for name, draw in draws.items()
  }


def _recordings(
    rows: predictions.Predictions, recording: Int[np.ndarray, 'n']
) -> dict[str, int]:
  """Returns the number of recordings with labels, by score."""

  def count(mask):
    return len(np.unique(recording[mask]))

  va, expr = count(rows.va), count(rows.expr)
  aus = [count(mask) for mask in rows.au_mask.T]
  au = min(filter(None, aus), default=0)
  total = min(filter(None, (va, expr, au)), default=0)
  return {
      **dict.fromkeys(('VA', 'CCC_valence', 'CCC_arousal'), va),
      **dict.fromkeys(('EXPR', 'accuracy'), expr),
      **{f'F1_{name}': expr for name in labels.EXPRESSIONS},
      'AU': au,
      **{f'F1_{k}': n for k, n in zip(labels.AU_NAMES, aus, strict=True)},
      **dict.fromkeys(('P_MTL', 'score'), total),
  }


def _sums(
    rows: predictions.Predictions, recording: Int[np.ndarray, 'n'], count: int
) -> dict[str, Float[np.ndarray, 'v _']]:
  """Returns the sums of each recording by task."""
  sums = {}
  for name in ('valence', 'arousal'):
    pred = getattr(rows, name)[rows.va]
    target = getattr(rows, f'target_{name}')[rows.va]
    # Sums of squares cancel less when values are measured from their mean.
    middle = target.mean() if target.size else 0.0
    pred, target = pred - middle, target - middle
    ones = np.ones_like(pred)
    terms = (ones, pred, target, pred**2, target**2, pred * target)
    sums[name] = np.stack(
        [np.bincount(recording[rows.va], t, minlength=count) for t in terms],
        axis=-1,
    )
  size = labels.NUM_EXPRESSIONS
  pairs = rows.target_expression * size + np.argmax(rows.expression, axis=-1)
  cell = (recording * size * size + pairs)[rows.expr]
  sums['expression'] = np.bincount(cell, minlength=count * size**2).reshape(
      count, size**2
  )
  pred, target = rows.au >= 0.5, rows.target_au == 1
  cells = (pred & target, pred, target, True)
  flat = np.concatenate([cell & rows.au_mask for cell in cells], axis=-1)
  sums['au'] = np.stack(
      [np.bincount(recording, column, minlength=count) for column in flat.T],
      axis=-1,
  )
  # Without rows bincount returns integers.
  return {name: value.astype(np.float64) for name, value in sums.items()}


def _scores(
    sums: Mapping[str, Float[np.ndarray, 'v _']],
    drawn: Float[np.ndarray, 'r v'],
    classes: Sequence[int],
) -> dict[str, Float[np.ndarray, 'r']]:
  """Returns the scores of every resample; NaN where a task has no rows."""
  total = {name: drawn @ value for name, value in sums.items()}
  valence, arousal = _ccc(total['valence']), _ccc(total['arousal'])
  size = labels.NUM_EXPRESSIONS
  counts = total['expression'].reshape(-1, size, size)
  expression_f1 = metrics.class_f1(counts, classes)
  hits, predicted, present, known = np.split(total['au'], 4, axis=-1)
  au_f1 = metrics.f1(hits, predicted + present, known)
  rows = counts.sum(axis=(-2, -1))
  correct = np.trace(counts, axis1=-2, axis2=-1)
  names = (*labels.EXPRESSIONS, *labels.AU_NAMES)
  each = np.concatenate([expression_f1, au_f1], axis=-1)
  return {
      **metrics.combine(
          valence=valence,
          arousal=arousal,
          expression=metrics.mean_of_known(expression_f1),
          au=metrics.mean_of_known(au_f1),
          complete=(known > 0).all(axis=-1),
      ),
      'accuracy': np.where(rows > 0, correct / np.maximum(rows, 1), np.nan),
      'CCC_valence': valence,
      'CCC_arousal': arousal,
      **{f'F1_{k}': f1 for k, f1 in zip(names, each.T, strict=True)},
  }


def _ccc(sums: Float[np.ndarray, 'r 6']) -> Float[np.ndarray, 'r']:
  n, pred, target, pred2, target2, both = sums.T
  rows = np.maximum(n, 1)
  squares = pred2 - pred**2 / rows + target2 - target**2 / rows
  values = metrics.ccc_from_moments(
      product=both - pred * target / rows,
      # Where both are the same constant, rounding may make it negative.
      squares=np.maximum(squares, 0),
      shift=(pred - target) ** 2 / rows,
  )
  return np.where(n > 0, values, np.nan)
