"""The work of the command `crossvalidate` behind the networks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
import dataclasses
import math
import pathlib
from typing import Any

import numpy as np

from abaw_jax.postprocessing import blending, pipeline, tuning
from abaw_jax.reports import comparison
from abaw_jax.scoring import intervals, prediction_files, predictions

_SHOWN = ('P_MTL', 'VA', 'EXPR', 'AU')
_BLEND, _CALIBRATED = 'equal weights', 'calibrated'


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
  """What a cross-validation found."""

  rows: predictions.Predictions  # blended and calibrated, cross-fitted
  postprocessing: pipeline.Postprocessing  # of all runs, for other rows
  lines: list[str]  # to be read
  content: dict[str, Any]  # the same for JSON; NaN is None


def run(
    files: Mapping[int, Sequence[pathlib.Path]],
    *,
    official: Collection[str] = (),
    settings: tuning.Settings | None = None,
    groups: int = 5,
    resamples: int = intervals.RESAMPLES,
) -> Result:
  """Returns the blend of all seeds, calibrated, and what each step is worth.

  A run is scored on rows that it was not trained on. A member of the blend is a
  seed: its folds joined, which are other rows each.

  Args:
    files: predictions of each seed, a file for each fold.
    official: videos of the official validation split, where folds are of more.
    settings: what is tuned.
    groups: groups of videos for cross-fitting.
    resamples: of videos, for the intervals.

  Raises:
    InputError: if a file is wrong, or files do not go together.
  """
  settings = settings or tuning.Settings()
  parts = {
      seed: [prediction_files.read(path) for path in paths]
      for seed, paths in files.items()
  }
  names = [f'seed {seed}' for seed in files]
  members = [predictions.concatenate(rows) for rows in parts.values()]
  for name, member in zip(names, members, strict=True):
    predictions.check(member, name)
  members = blending.align(members, names)
  tuned = tuning.tune(members, settings, groups=groups)
  named = dict(zip(names, members, strict=True))
  if len(members) > 1:
    plain = pipeline.Postprocessing.plain(
        len(members), expr=settings.expr, au=settings.au
    )
    named[_BLEND] = pipeline.apply(plain, members)
  single = {
      _title(seed, fold, len(rows)): one.scores()
      for seed, rows in parts.items()
      for fold, one in enumerate(rows)
  }
  seeds = _spread([member.scores() for member in members])
  content = {'single': {k: _finite(v) for k, v in single.items()}}
  content['over_seeds'] = seeds
  lines = [*_listing(single), _spread_line('over seeds', seeds)]
  if len(next(iter(parts.values()))) > 1:
    content['over_folds'] = folds = _spread([*single.values()])
    lines.append(_spread_line('over folds and seeds', folds))
  scores = _bootstrap(named, resamples)
  crossed = {_CALIBRATED: tuned.cross_fitted}
  content['scores'] = _json(scores | _bootstrap(crossed, resamples))
  content['in_sample'] = tuned.in_sample.scores()['score']
  lines += comparison.tuning(scores, tuned, settings.steps, resamples=resamples)
  if official:
    of_it = np.isin(tuned.cross_fitted.video, sorted(official))
    part = {k: v.take(of_it) for k, v in (named | crossed).items()}
    found = _bootstrap(part, resamples)
    content['official_validation'] = _json(found)
    lines += [
        f'of these, {of_it.sum():,} rows of the official validation split:',
        *comparison.table(found),
    ]
  return Result(
      rows=tuned.cross_fitted,
      postprocessing=_spread_weights(tuned.postprocessing, parts),
      lines=lines,
      content=content,
  )


def _spread_weights(
    how: pipeline.Postprocessing, parts: Mapping[int, Sequence]
) -> pipeline.Postprocessing:
  """Returns a postprocessing of all runs: folds share the weight of a seed."""
  folds = np.array([len(rows) for rows in parts.values()])
  weights = {
      task: np.repeat(values / folds, folds)
      for task, values in how.weights.items()
  }
  return dataclasses.replace(how, weights=weights)


def _title(seed: int, fold: int, folds: int) -> str:
  return f'seed {seed}, fold {fold}' if folds > 1 else f'seed {seed}'


def _bootstrap(rows: Mapping[str, predictions.Predictions], resamples: int):
  return {
      name: intervals.bootstrap(one, resamples=resamples)
      for name, one in rows.items()
  }


def _json(scores: Mapping[str, comparison.Scores]) -> dict[str, Any]:
  return {name: comparison.as_json(one) for name, one in scores.items()}


def _finite(scores: Mapping[str, float]) -> dict[str, float | None]:
  return {k: None if math.isnan(v) else v for k, v in scores.items()}


def _spread(
    scores: Sequence[Mapping[str, float]],
) -> dict[str, dict[str, float | None]]:
  """Returns mean and standard deviation (n - 1) of every score.

  None where no run has it, or only one.
  """
  result = {}
  for name in scores[0]:
    values = np.array([one[name] for one in scores])
    values = values[~np.isnan(values)]
    result[name] = {
        'mean': float(values.mean()) if values.size else None,
        'std': float(values.std(ddof=1)) if values.size > 1 else None,
    }
  return result


def _spread_line(name: str, spread: Mapping[str, Mapping]) -> str:
  """Returns `name: mean and standard deviation: P_MTL x +- y, ...`."""
  cells = []
  for key in _SHOWN:
    mean, std = spread[key]['mean'], spread[key]['std']
    if mean is not None:
      cells.append(f'{key} {mean:.4f}' + (f' +- {std:.4f}' if std else ''))
  return f'mean {name}: {", ".join(cells)}'


def _listing(single: Mapping[str, Mapping[str, float]]) -> list[str]:
  """Returns a table of all runs."""
  width = max(map(len, single))
  lines = [' ' * width + ''.join(f'{key:>9}' for key in _SHOWN)]
  return lines + [
      name.ljust(width) + ''.join(f'{scores[key]:9.4f}' for key in _SHOWN)
      for name, scores in single.items()
  ]
