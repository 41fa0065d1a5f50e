"""The report of the command `crossvalidate`, from predictions of all runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
import dataclasses
import math
from typing import Any

import numpy as np

from abaw_jax.core import files, text_table
from abaw_jax.postprocessing import blending, postprocess, tuning
from abaw_jax.reports import comparison
from abaw_jax.scoring import intervals, prediction_files, predictions

_SHOWN = ('P_MTL', *comparison.PARTS)
_BLEND, _CALIBRATED = 'equal weights', 'calibrated'


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
  """The result of a cross-validation; the report as text and as JSON."""

  rows: predictions.Predictions  # blended and calibrated, cross-fitted
  postprocessing: postprocess.Postprocessing  # of all runs, for other rows
  lines: list[str]
  content: dict[str, Any]  # NaN is None


def summarize(
    files: Mapping[int, Sequence[files.Path]],
    *,
    official: Collection[str] = (),
    settings: tuning.Settings | None = None,
    groups: int = 5,
    resamples: int = intervals.RESAMPLES,
) -> Result:
  """Returns the calibrated blend of all seeds, with the scores of each step.

  Each run predicts the rows that it held out. A member of the blend is a seed: the
  rows of all its folds, with a file for each. Videos of the `official` validation
  split are also scored alone.

  Raises:
    InputError: a file is wrong, or the seeds have different rows.
  """
  settings = settings or tuning.Settings()
  parts = {
      seed: [prediction_files.read(path) for path in paths]
      for seed, paths in files.items()
  }
  predictions.check_same_data(
      [one for rows in parts.values() for one in rows],
      [str(path) for paths in files.values() for path in paths],
  )
  names = [f'seed {seed}' for seed in files]
  members = [predictions.concatenate(rows) for rows in parts.values()]
  for name, member in zip(names, members, strict=True):
    predictions.check(member, name)
  members = blending.align(members, names)
  tuned = tuning.tune(members, settings, groups=groups)
  named = dict(zip(names, members, strict=True))
  if len(members) > 1:
    blend = postprocess.Postprocessing.equal_weights(
        len(members), expr=settings.expr, au=settings.au
    )
    named[_BLEND] = blend.apply(members)
  single = {
      _title(seed, fold, len(rows)): one.scores()
      for seed, rows in parts.items()
      for fold, one in enumerate(rows)
  }
  seeds = spread([member.scores() for member in members])
  content = {'single': {k: _finite(v) for k, v in single.items()}}
  content['over_seeds'] = seeds
  lines = [*_run_table(single), _spread_line('over seeds', seeds)]
  if len(next(iter(parts.values()))) > 1:
    content['over_folds'] = folds = spread([*single.values()])
    lines.append(_spread_line('over folds and seeds', folds))
  scores = comparison.bootstrap(named, resamples)
  crossed = {_CALIBRATED: tuned.cross_fitted}
  content['scores'] = _json(scores | comparison.bootstrap(crossed, resamples))
  if tuned.taus:
    content['tau'] = {'all': tuned.taus[0], 'groups': list(tuned.taus[1:])}
  content['in_sample'] = tuned.in_sample.scores()['score']
  lines += comparison.tuning_report(
      scores, tuned, settings.steps, resamples=resamples
  )
  if official:
    is_official = np.isin(tuned.cross_fitted.video, sorted(official))
    part = {k: v.take(is_official) for k, v in (named | crossed).items()}
    found = comparison.bootstrap(part, resamples)
    content['official_validation'] = _json(found)
    lines += [
        f'only the {is_official.sum():,} rows of the official validation split:',
        *comparison.table(found),
    ]
  return Result(
      rows=tuned.cross_fitted,
      postprocessing=_spread_weights(tuned.postprocessing, parts),
      lines=lines,
      content=content,
  )


def _spread_weights(
    fitted: postprocess.Postprocessing, parts: Mapping[int, Sequence]
) -> postprocess.Postprocessing:
  """Returns a postprocessing of all runs: folds share the weight of a seed."""
  folds = np.array([len(rows) for rows in parts.values()])
  weights = {
      task: np.repeat(values / folds, folds)
      for task, values in fitted.weights.items()
  }
  return dataclasses.replace(fitted, weights=weights)


def _title(seed: int, fold: int, folds: int) -> str:
  return f'seed {seed}, fold {fold}' if folds > 1 else f'seed {seed}'


def _json(scores: Mapping[str, comparison.Scores]) -> dict[str, Any]:
  return {name: comparison.as_json(one) for name, one in scores.items()}


def _finite(scores: Mapping[str, float]) -> dict[str, float | None]:
  return {k: None if math.isnan(v) else v for k, v in scores.items()}


def spread(
    scores: Sequence[Mapping[str, float]],
) -> dict[str, dict[str, float | None]]:
  """Returns mean and standard deviation (n - 1) of every score.

  The mean is None without a value, the standard deviation with fewer than two.
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
  """Returns the line `mean <name>: P_MTL x +- y, ...`."""
  cells = []
  for key in _SHOWN:
    mean, std = spread[key]['mean'], spread[key]['std']
    if mean is not None:
      cells.append(f'{key} {mean:.4f}' + (f' +- {std:.4f}' if std else ''))
  return f'mean {name}: {", ".join(cells)}'


def _run_table(single: Mapping[str, Mapping[str, float]]) -> list[str]:
  """Returns a table with the scores of each run."""
  cells = [
      (name, *(comparison.number(scores[key]) for key in _SHOWN))
      for name, scores in single.items()
  ]
  return text_table.aligned([('', *_SHOWN), *cells])
