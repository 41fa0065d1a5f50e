"""Weights, smoothing and calibration chosen from labels, and scored honestly.

What was chosen on some rows scores too well on them. Cross-fitting says what it
is worth: videos are split into groups, each group is processed by what was
fitted to the others, and all groups are scored together. What is fitted to all
of them is for rows that are not among them, the test set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import dataclasses

from jaxtyping import Float, Int, Shaped
import numpy as np

from abaw_jax.core import errors, labels
from abaw_jax.postprocessing import (
    blending,
    calibration,
    pipeline,
    smoothing,
    thresholds,
)
from abaw_jax.scoring import metrics, predictions

STEPS = ('weights', 'smoothing', 'thresholds', 'bias')
# What is tried for each task; of equally good ones the first.
CANDIDATES = (
    smoothing.Smoothing(),
    *(smoothing.Smoothing('mean', 'row', w) for w in (2, 5, 10, 15, 25, 50)),
    *(
        smoothing.Smoothing('gaussian', 'frame', w)
        for w in (5, 15, 50, 150, 400)
    ),
    smoothing.Smoothing('median', 'row', 5),
)
_GAIN = 1e-9


@dataclasses.dataclass(frozen=True)
class Settings:
  """What may be tuned, and how."""

  steps: tuple[str, ...] = STEPS
  bias: str = 'f1'  # a key of calibration.BIASES
  expr: str = 'logits'  # a key of blending.EXPRESSIONS
  au: str = 'logits'  # a key of blending.AUS
  candidates: tuple[smoothing.Smoothing, ...] = CANDIDATES


@dataclasses.dataclass(frozen=True, eq=False)
class Tuned:
  """What was fitted, and what it makes of the rows it was fitted to.

  The score of `cross_fitted` is honest, that of `in_sample` is not; their
  difference is the optimism.
  """

  postprocessing: pipeline.Postprocessing  # fitted to all rows
  cross_fitted: predictions.Predictions
  in_sample: predictions.Predictions
  groups: int  # of videos, for `cross_fitted`


def tune(
    members: Sequence[predictions.Predictions],
    settings: Settings,
    *,
    groups: int = 5,
) -> Tuned:
  """Returns the postprocessing of aligned, labelled members, and its worth.

  Raises:
    InputError: if there are no labels, or fewer videos than groups.
  """
  if not members[0].labelled:
    raise errors.InputError(
        'the predictions to tune on have no labels; name those of training '
        'folds or of validation'
    )
  group = split(members[0].video, groups)
  parts, rest = [], []
  for one in range(groups):
    held = group == one
    how = fit([member.take(~held) for member in members], settings)
    parts.append(pipeline.apply(how, [member.take(held) for member in members]))
    rest.append(np.flatnonzero(held))
  back = np.argsort(np.concatenate(rest))
  how = fit(members, settings)
  return Tuned(
      postprocessing=how,
      cross_fitted=predictions.concatenate(parts).take(back),
      in_sample=pipeline.apply(how, members),
      groups=groups,
  )


def split(video: Shaped[np.ndarray, 'n'], groups: int) -> Int[np.ndarray, 'n']:
  """Returns the group of each row, 0 .. groups - 1, each video in one.

  The longest goes first, always to the group with the fewest rows. Two people of
  one recording, `_left` and `_right`, go together.

  Raises:
    InputError: if there are fewer recordings than groups.
  """
  names, which = np.unique(
      [labels.recording(str(name)) for name in video], return_inverse=True
  )
  if len(names) < groups:
    raise errors.InputError(
        f'{len(names)} videos cannot be split into {groups} groups; tune on '
        f'more videos, or with --groups={max(len(names), 2)}'
    )
  sizes = np.bincount(which)
  totals, group = np.zeros(groups, int), np.zeros(len(names), int)
  for one in np.argsort(-sizes, kind='stable'):
    group[one] = np.argmin(totals)
    totals[group[one]] += sizes[one]
  return group[which]


def fit(
    members: Sequence[predictions.Predictions], settings: Settings
) -> pipeline.Postprocessing:
  """Returns what scores best on these rows, task by task, step by step.

  First weights, then the smoothing of the blend, then thresholds and bias. A
  task without labels keeps equal weights and nothing else.
  """
  how = pipeline.Postprocessing.plain(
      len(members), expr=settings.expr, au=settings.au
  )
  rows = members[0]
  usable = {'va': rows.va, 'expr': rows.expr, 'au': rows.au_mask}
  tasks = [task for task in blending.TASKS if usable[task].any()]
  if 'weights' in settings.steps and len(members) > 1:
    found = {task: _weights(members, task, settings) for task in tasks}
    how = dataclasses.replace(how, weights=how.weights | found)
  rows = blending.blend(members, how.weights, expr=how.expr, au=how.au)
  if 'smoothing' in settings.steps:
    found = {task: _smoothing(rows, task, settings) for task in tasks}
    how = dataclasses.replace(how, smoothing=how.smoothing | found)
  rows = pipeline.smooth(rows, how.smoothing)
  if 'thresholds' in settings.steps and 'au' in tasks:
    cuts = thresholds.fit(rows.au, rows.target_au, rows.au_mask)
    how = dataclasses.replace(how, thresholds=cuts)
  if 'bias' in settings.steps and 'expr' in tasks:
    find = calibration.BIASES[settings.bias]
    bias = find(rows.expression[rows.expr], rows.target_expression[rows.expr])
    how = dataclasses.replace(how, bias=bias)
  return how


def _weights(
    members: Sequence[predictions.Predictions], task: str, settings: Settings
) -> Float[np.ndarray, 'm']:
  """Returns the weights of one task, from its labelled rows alone."""
  rows = members[0]
  usable = {'va': rows.va, 'expr': rows.expr, 'au': rows.au_mask.any(axis=-1)}
  members = [member.take(usable[task]) for member in members]

  def score(weights):
    every = dict.fromkeys(blending.TASKS, weights)
    rows = blending.blend(members, every, expr=settings.expr, au=settings.au)
    return _SCORES[task](rows)

  return blending.search(score, len(members))


def _smoothing(
    rows: predictions.Predictions, task: str, settings: Settings
) -> smoothing.Smoothing:
  """Returns the best candidate for one task."""
  none = dict.fromkeys(blending.TASKS, smoothing.Smoothing())
  best, best_score = smoothing.Smoothing(), -np.inf
  for one in settings.candidates:
    score = _SCORES[task](pipeline.smooth(rows, none | {task: one}))
    if score > best_score + _GAIN:
      best, best_score = one, score
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
  pred = np.argmax(rows.expression, axis=-1)
  confusion = metrics.confusion(pred, rows.target_expression, rows.expr)
  return float(np.mean(metrics.class_f1(confusion)))


def _au_score(rows: predictions.Predictions) -> float:
  """Returns the mean over labelled AUs of the F1 at the best threshold.

  At 0.5 a rare AU is hardly ever called, whatever the probabilities are worth.
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
