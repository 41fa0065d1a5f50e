"""The command `ensemble`: blend, tune and write predictions, and report scores."""

from collections.abc import Sequence

import numpy as np

from abaw_jax.core import errors, files, labels
from abaw_jax.postprocessing import (
    blending,
    postprocess,
    postprocessing_files,
    tuning,
)
from abaw_jax.reports import comparison
from abaw_jax.scoring import intervals, prediction_files, predictions

Members = list[predictions.Predictions]


def make_ensemble(
    files: Sequence[files.Path],
    out: files.Path,
    *,
    tune_on: Sequence[files.Path] = (),
    join: bool = False,
    stored: files.Path | None = None,
    settings: tuning.Settings | None = None,
    groups: int = 5,
    resamples: int = intervals.RESAMPLES,
) -> list[str]:
  """Writes a blend with its postprocessing, and returns the report.

  The postprocessing is fitted to `tune_on`, files with labels of the same members,
  or it is the `stored` one. With `join` all files, and all of `tune_on`, are parts
  of one member with different rows.

  Raises:
    InputError: a file is wrong, or files have different rows.
  """
  settings = settings or tuning.Settings()
  prediction_files.check_name(out)
  members = _read(files, join)
  unit = 'part' if join else 'member'
  lines = [f'{unit} {i + 1}: {file}' for i, file in enumerate(files)]
  cross_fitted = None
  if stored is not None:
    postprocessing = postprocessing_files.read(stored)
  elif tune_on:
    fit_to = _read(tune_on, join)
    if len(fit_to) != len(members):
      raise errors.InputError(
          f'--tune_on has {len(fit_to)} members and --predictions has '
          f'{len(members)}; give the same models in the same order'
      )
    predictions.check_same_data(
        [*members, *fit_to],
        [
            f'member {i + 1} of {flag}'
            for flag in ('--predictions', '--tune_on')
            for i in range(len(members))
        ],
    )
    same = _has_same_rows(members[0], fit_to[0])
    tuned = tuning.tune(fit_to, settings, groups=groups)
    postprocessing = tuned.postprocessing
    cross_fitted = tuned.cross_fitted if same else None
    lines += comparison.tuning_report(
        _member_scores(fit_to, postprocessing, resamples),
        tuned,
        settings.steps,
        resamples=resamples,
    )
  else:
    postprocessing = postprocess.Postprocessing.equal_weights(
        len(members), expr=settings.expr, au=settings.au
    )
  if cross_fitted is not None:
    result = cross_fitted
    lines.append(
        'the written rows are cross-fitted: each video is processed with '
        'parameters that were fitted to other videos'
    )
  else:
    result = postprocessing.apply(members)
    lines += _report(members, result, postprocessing, resamples)
  prediction_files.write(out, result)
  path = out.with_suffix('.postprocessing.json')
  postprocessing_files.write(path, postprocessing)
  return [*lines, f'predictions: {out}', f'postprocessing: {path}']


def _read(files: Sequence[files.Path], join: bool) -> Members:
  """Returns the aligned members, or the joined one."""
  parts, names = [*map(prediction_files.read, files)], [*map(str, files)]
  if not join:
    return blending.align(parts, names)
  predictions.check_same_data(parts, names)
  member = predictions.concatenate(parts)
  predictions.check(member, ' and '.join(names))
  return [member]


def _has_same_rows(
    rows: predictions.Predictions, other: predictions.Predictions
) -> bool:
  """Returns whether both have the same rows.

  Raises:
    InputError: the rows differ, but some are from the same recording.
  """
  keys = {key.item() for key in predictions.keys(rows)}
  if keys == {key.item() for key in predictions.keys(other)}:
    return True
  shared = set(map(labels.recording, rows.video)) & set(
      map(labels.recording, other.video)
  )
  if shared:
    raise errors.InputError(
        f'video {min(shared)} is in --predictions and in --tune_on, but their rows '
        'differ; tune on other videos, or on exactly the same rows'
    )
  return False


def _report(
    members: Members,
    result: predictions.Predictions,
    postprocessing: postprocess.Postprocessing,
    resamples: int,
) -> list[str]:
  """Returns the scores of rows that nothing was fitted to."""
  videos = len(np.unique(result.video))
  lines = [f'predicted {len(result):,} rows of {videos:,} videos']
  if not result.labelled:
    return [*lines, 'no score: these rows have no labels']
  scores = _member_scores(members, postprocessing, resamples)
  blend = intervals.bootstrap(result, resamples=resamples)
  return [
      *lines,
      *comparison.table({**scores, 'written': blend}),
      comparison.gain(blend, scores),
  ]


def _member_scores(
    members: Members, blend: postprocess.Postprocessing, resamples: int
) -> dict[str, comparison.Scores]:
  """Returns the scores of each member, and of all with equal weights."""
  rows = {f'member {i + 1}': member for i, member in enumerate(members)}
  if len(members) > 1:
    equal = postprocess.Postprocessing.equal_weights(
        len(members), expr=blend.expr, au=blend.au
    )
    rows['equal weights'] = equal.apply(members)
  return comparison.bootstrap(rows, resamples)
