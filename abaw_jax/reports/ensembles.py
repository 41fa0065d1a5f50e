"""The work of the command `ensemble`: blend, tune, write, and say what it is worth."""

from collections.abc import Sequence
import pathlib

import numpy as np

from abaw_jax.core import errors
from abaw_jax.postprocessing import (
    blending,
    pipeline,
    postprocessing_files,
    tuning,
)
from abaw_jax.reports import comparison
from abaw_jax.scoring import intervals, prediction_files, predictions

Members = list[predictions.Predictions]


def run(
    files: Sequence[str],
    out: pathlib.Path,
    *,
    tune_on: Sequence[str] = (),
    stored: pathlib.Path | None = None,
    settings: tuning.Settings | None = None,
    groups: int = 5,
    resamples: int = intervals.RESAMPLES,
) -> list[str]:
  """Returns the report of a blend, and writes it with its postprocessing.

  Args:
    files: one text per member: a file, or several with `+` between them.
    out: file of the blend; `<out>.postprocessing.json` lies beside it.
    tune_on: files with labels of the same members.
    stored: file of a postprocessing to apply instead.
    settings: what is tuned, and how members are blended.
    groups: groups of videos for cross-fitting.
    resamples: resamples of videos for the intervals.

  Raises:
    InputError: if a file is wrong, or files do not go together.
  """
  settings = settings or tuning.Settings()
  members = _read(files)
  lines = [f'member {i + 1}: {file}' for i, file in enumerate(files)]
  same = False
  if stored is not None:
    how = postprocessing_files.read(stored)
  elif tune_on:
    fit_to = _read(tune_on)
    if len(fit_to) != len(members):
      raise errors.InputError(
          f'--tune_on names {len(fit_to)} members and --predictions '
          f'{len(members)}; name the same models in the same order'
      )
    same = _is_same(members[0], fit_to[0])
    tuned = tuning.tune(fit_to, settings, groups=groups)
    how = tuned.postprocessing
    lines += comparison.tuning(
        _members(fit_to, settings.expr, settings.au, resamples),
        tuned,
        settings.steps,
        resamples=resamples,
    )
  else:
    how = pipeline.Postprocessing.plain(
        len(members), expr=settings.expr, au=settings.au
    )
  if same:
    result = tuned.cross_fitted
    lines.append(
        'these rows are written cross-fitted: no video was processed by what was '
        'fitted to it'
    )
  else:
    result = pipeline.apply(how, members)
    lines += _report(members, result, how, resamples)
  prediction_files.write(out, result)
  beside = out.with_suffix('.postprocessing.json')
  postprocessing_files.write(beside, how)
  return [*lines, f'predictions: {out}', f'postprocessing: {beside}']


def _read(files: Sequence[str]) -> Members:
  """Returns the members, aligned."""
  members = []
  for text in files:
    parts = [prediction_files.read(pathlib.Path(p)) for p in text.split('+')]
    member = predictions.concatenate(parts)
    if len(parts) > 1:
      predictions.check(member, text)
    members.append(member)
  return blending.align(members, files)


def _is_same(
    rows: predictions.Predictions, other: predictions.Predictions
) -> bool:
  """Returns whether both are the same rows; raises if only videos are."""
  keys = {key.item() for key in predictions.keys(rows)}
  if keys == {key.item() for key in predictions.keys(other)}:
    return True
  shared = np.intersect1d(rows.video, other.video)
  if shared.size:
    raise errors.InputError(
        f'video {shared[0]} is in --predictions and in --tune_on, which are not '
        'the same rows; tune on other videos, or on exactly these rows'
    )
  return False


def _report(
    members: Members,
    result: predictions.Predictions,
    how: pipeline.Postprocessing,
    resamples: int,
) -> list[str]:
  """Returns the scores of rows that nothing was fitted to."""
  videos = len(np.unique(result.video))
  lines = [f'predicted {len(result):,} rows of {videos:,} videos']
  if not result.labelled:
    return [*lines, 'no score: these rows have no labels']
  scores = _members(members, how.expr, how.au, resamples)
  blend = intervals.bootstrap(result, resamples=resamples)
  base = comparison.best(scores)
  gain = blend['score'].minus(scores[base]['score'])
  return [
      *lines,
      *comparison.table({**scores, 'written': blend}),
      f'gain over {base}: {comparison.signed(gain)}',
  ]


def _members(
    members: Members, expr: str, au: str, resamples: int
) -> dict[str, comparison.Scores]:
  """Returns the scores of each member and of all with equal weights."""
  rows = {f'member {i + 1}': member for i, member in enumerate(members)}
  if len(members) > 1:
    plain = pipeline.Postprocessing.plain(len(members), expr=expr, au=au)
    rows['equal weights'] = pipeline.apply(plain, members)
  return {
      name: intervals.bootstrap(one, resamples=resamples)
      for name, one in rows.items()
  }
