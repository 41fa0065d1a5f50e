"""Tuning of weights, smoothing and calibration, scored on held-out videos.

Parameters score too well on the rows that they were fitted to. Cross-fitting avoids
this: recordings are split into groups, each group is processed with parameters that
were fitted to the other groups, and all groups are scored together. Parameters that
are fitted to all groups are for other rows, such as the test set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
import dataclasses

from jaxtyping import Float, Int, Shaped
import numpy as np

from abaw_jax.core import errors, folds, labels
from abaw_jax.postprocessing import (
    blending,
    calibration,
    postprocess,
    smoothing,
    thresholds,
)
from abaw_jax.scoring import metrics, predictions

STEPS = ('weights', 'smoothing', 'thresholds', 'bias')
# Candidates for each task; of equally good ones the first is chosen.
CANDIDATES = (
    smoothing.Smoothing(),
    *(smoothing.Smoothing('mean', 'row', w) for w in (2, 5, 10, 15, 25, 50)),
    *(
        smoothing.Smoothing('gaussian', 'frame', w)
        for w in (5, 15, 50, 150, 400)
    ),
    smoothing.Smoothing('median', 'row', 5),
    # HSE-NN: exp(-distance^2 / 1e5) within 10 or 50 rows to each side.
    *(
        smoothing.Smoothing('gaussian', 'frame', (1e5 / 2) ** 0.5, rows)
        for rows in (10, 50)
    ),
)


@dataclasses.dataclass(frozen=True)
class Settings:
  """The steps that are tuned, and their methods."""

  steps: tuple[str, ...] = STEPS
  bias: str = 'f1'  # a key of calibration.BIASES
  expr: str = 'logits'  # a key of blending.EXPRESSIONS
  au: str = 'logits'  # a key of blending.AUS
  candidates: tuple[smoothing.Smoothing, ...] = CANDIDATES


@dataclasses.dataclass(frozen=True, eq=False)
class Tuned:
  """A fitted postprocessing, and its results on the same rows.

  Each of the groups of `cross_fitted` is processed with parameters of the others, so
  its score is unbiased. That of `in_sample` is too high; the difference is the
  optimism. With the bias 'tau', `taus` has its value for all rows, and then for each
  of the groups, fitted to the others.
  """

  postprocessing: postprocess.Postprocessing  # fitted to all rows
  cross_fitted: predictions.Predictions
  in_sample: predictions.Predictions  # processed with `postprocessing`
  groups: int
  taus: tuple[float, ...] = ()


def tune(
    members: Sequence[predictions.Predictions],
    settings: Settings,
    *,
    groups: int = 5,
) -> Tuned:
  """Returns a postprocessing that is fitted to aligned, labelled members.

  Raises:
    InputError: as `check_groups`.
  """
  rows = members[0]
  is_labelled = np.any([*rows.labelled_rows.values()], axis=0)
  check_groups(rows.video[is_labelled], groups)
  group = assign_groups(rows.video, groups)
  parts, positions, taus = [], [], []
  for one in range(groups):
    held_out = group == one
    fitted = fit([member.take(~held_out) for member in members], settings)
    taus += _taus(fitted, rows.take(~held_out), settings)
    parts.append(fitted.apply([member.take(held_out) for member in members]))
    positions.append(np.flatnonzero(held_out))
  order = np.argsort(np.concatenate(positions))
  fitted = fit(members, settings)
  return Tuned(
      postprocessing=fitted,
      cross_fitted=predictions.concatenate(parts).take(order),
      in_sample=fitted.apply(members),
      groups=groups,
      taus=(*_taus(fitted, rows, settings), *taus),
  )


def check_groups(video: Iterable[str], groups: int) -> None:
  """Raises an InputError if videos have fewer recordings than groups.

  `video` has the names of the videos with labels; a name may be repeated.
  """
  names = set(map(str, video))
  count = len(set(map(labels.recording, names)))
  if not count:
    raise errors.InputError(
        'the predictions to tune on have no labels; give those of training '
        'folds or of validation'
    )
  if count == 1:
    raise errors.InputError(
        f'video {min(names)}: all labels to tune on are from this one recording; '
        'cross-fitting needs at least 2'
    )
  if count < groups:
    raise errors.InputError(
        f'--groups={groups}: labels to tune on are from only {count} '
        f'recordings; give --groups={count}, or predictions of more recordings'
    )


def assign_groups(
    video: Shaped[np.ndarray, 'n'], groups: int
) -> Int[np.ndarray, 'n']:
  """Returns the group of each row, 0 .. groups - 1; recordings stay together."""
  return folds.assign(video, np.ones(len(video), int), num_folds=groups)


def fit(
    members: Sequence[predictions.Predictions], settings: Settings
) -> postprocess.Postprocessing:
  """Returns the postprocessing with the best score on these rows.

  The steps are fitted one after the other, for each task alone: weights, smoothing
  of the blend, then thresholds and bias. A task without labels keeps equal weights
  and has no other step.
  """
  result = postprocess.Postprocessing.equal_weights(
      len(members), expr=settings.expr, au=settings.au
  )
  usable = members[0].labelled_rows
  tasks = [
      task
      for task in blending.TASKS
      if usable[task].any() and any(m.predicts(task) for m in members)
  ]
  if 'weights' in settings.steps and len(members) > 1:
    found = {task: _weights(members, task, settings) for task in tasks}
    result = dataclasses.replace(result, weights=result.weights | found)
  rows = blending.blend(members, result.weights, expr=result.expr, au=result.au)
  if 'smoothing' in settings.steps:
    found = {task: _smoothing(rows, task, settings) for task in tasks}
    result = dataclasses.replace(result, smoothing=result.smoothing | found)
  rows = postprocess.smooth(rows, result.smoothing)
  if 'thresholds' in settings.steps and 'au' in tasks:
    cuts = thresholds.fit(rows.au, rows.target_au, rows.au_mask)
    result = dataclasses.replace(result, thresholds=cuts)
  if 'bias' in settings.steps and 'expr' in tasks:
    find = calibration.BIASES[settings.bias]
    bias = find(rows.expression[rows.expr], rows.target_expression[rows.expr])
    result = dataclasses.replace(result, bias=bias)
  return result


def _taus(
    fitted: postprocess.Postprocessing,
    rows: predictions.Predictions,
    settings: Settings,
) -> list[float]:
  """Returns the tau of a postprocessing that was fitted to these rows, if any."""
  chosen = settings.bias == 'tau' and 'bias' in settings.steps
  if not chosen or not rows.expr.any():
    return []
  return [calibration.tau(fitted.bias, rows.target_expression[rows.expr])]


def _weights(
    members: Sequence[predictions.Predictions], task: str, settings: Settings
) -> Float[np.ndarray, 'm']:
  """Returns the weights of one task, fitted to its labelled rows."""
  usable = members[0].labelled_rows[task]
  members = [member.take(usable) for member in members]

  def score(weights):
    every = dict.fromkeys(blending.TASKS, weights)
    rows = blending.blend(members, every, expr=settings.expr, au=settings.au)
    return _SCORES[task](rows)

  return blending.search(score, len(members))


def _smoothing(
    rows: predictions.Predictions, task: str, settings: Settings
) -> smoothing.Smoothing:
  """Returns the best candidate for one task."""
  best, best_score = smoothing.Smoothing(), -np.inf
  for candidate in settings.candidates:
    score = _SCORES[task](postprocess.smooth(rows, {task: candidate}))
    if score > best_score + blending.GAIN:
      best, best_score = candidate, score
  return best


def _va_score(rows: predictions.Predictions) -> float:
  """Returns the mean CCC."""
  pairs = (
      (rows.valence, rows.target_valence), (rows.arousal, rows.target_arousal)
  )  # fmt: skip
  both = [metrics.ccc(*pair, rows.va) for pair in pairs]
  return float(np.mean(both))


def _expr_score(rows: predictions.Predictions) -> float:
  """Returns the mean F1 of the most probable expressions."""
  pred = np.argmax(rows.expression, axis=-1)[rows.expr]
  return metrics.macro_f1(pred, rows.target_expression[rows.expr])


def _au_score(rows: predictions.Predictions) -> float:
  """Returns the mean over labelled AUs of the F1 at the best threshold.

  At 0.5 a rare AU is almost never predicted, even if its probabilities are good.
  """
  f1 = [
      thresholds.best_cut(prob[mask], target[mask] == 1)[1]
      for prob, target, mask in zip(
          rows.au.T, rows.target_au.T, rows.au_mask.T, strict=True
      )
      if mask.any()
  ]
  return float(np.mean(f1))


_SCORES: dict[str, Callable[[predictions.Predictions], float]] = {
    'va': _va_score,
    'expr': _expr_score,
    'au': _au_score,
}
