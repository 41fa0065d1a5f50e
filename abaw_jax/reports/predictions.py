"""The work of the command `predict` behind the networks."""

from collections.abc import Mapping, Sequence
import dataclasses
import pathlib

import numpy as np

from abaw_jax.challenge import files as challenge_files
from abaw_jax.challenge import submission
from abaw_jax.core import errors
from abaw_jax.postprocessing import (
    adaptive_frame_rate,
    blending,
    calibration,
    confidence_filter,
    pipeline,
    postprocessing_files,
    smoothing,
)
from abaw_jax.scoring import prediction_files, predictions

Files = Sequence[pathlib.Path]
# What happens to lines of the list that were not predicted.
MISSING = ('interpolate', 'error')


@dataclasses.dataclass(frozen=True)
class Frames:
  """An adaptive frame rate that is asked for; see scoring/adaptive.py."""

  strides: tuple[int, ...]
  fit_on: tuple[pathlib.Path, ...]  # predictions of labelled training videos
  half: int = adaptive_frame_rate.HALF
  alpha: float = 0.1
  levels: str = 'growing'


@dataclasses.dataclass(frozen=True)
class Filter:
  """A confidence filter that is asked for; see scoring/confidence.py."""

  file: pathlib.Path  # predictions of the network that may be sure
  threshold: float | None  # None: fitted
  fit_on: tuple[pathlib.Path, ...] = ()  # of the networks in question
  sure_fit_on: pathlib.Path | None = None  # of the other, for the same rows


def how_to(
    stored: pathlib.Path | None, members: int
) -> pipeline.Postprocessing:
  """Returns the postprocessing of a file; equal weights without one."""
  if stored is None:
    return pipeline.Postprocessing.plain(members)
  return postprocessing_files.read(stored)


def blend(
    files: Files, how: pipeline.Postprocessing
) -> predictions.Predictions:
  """Returns the postprocessed predictions of all members, in list order.

  Raises:
    InputError: if a file is wrong, or files do not go together.
  """
  members = [prediction_files.read(path) for path in files]
  aligned = blending.align(members, [str(path) for path in files])
  rows = pipeline.apply(how, aligned)
  return rows.take(np.argsort(rows.row, kind='stable'))


def adapt(
    files: Files, how: pipeline.Postprocessing, wanted: Frames
) -> tuple[predictions.Predictions, list[str]]:
  """Returns predictions at an adaptive frame rate, and a report of it.

  Means over windows take the place of the smoothing of expressions. The report
  has the plan beside fixed strides, each with its costs, its agreement with
  all frames and, where there are labels, accuracy and macro F1.
  """
  # Smoothing would read every frame before the first window is read.
  plain = how.smoothing | {'expr': smoothing.Smoothing()}
  how = dataclasses.replace(how, smoothing=plain)
  rows = blend(files, how)
  plan = adaptive_frame_rate.fit(
      blend(wanted.fit_on, how),
      wanted.strides,
      half=wanted.half,
      alpha=wanted.alpha,
      levels=wanted.levels,
  )
  readings = {'adaptive': adaptive_frame_rate.apply(rows, plan)} | {
      _every(stride): adaptive_frame_rate.apply(
          rows, adaptive_frame_rate.Plan.fixed(stride, plan.half)
      )
      for stride in sorted({*wanted.strides, 1})
  }
  found = [
      f'{stride}: {value:.4f}'
      for stride, value in zip(plan.strides, plan.thresholds, strict=False)
  ]
  used = np.unique(readings['adaptive'].stride, return_counts=True)
  shares = [f'{s}: {n / len(rows):.1%}' for s, n in zip(*used, strict=True)]
  lines = [
      'expressions are means over windows of listed frames, not smoothed',
      f'thresholds of strides: {", ".join(found) or "none"}',
      f'rows answered by stride: {", ".join(shares)}',
      *_table(readings),
  ]
  return readings['adaptive'].rows, lines


def filtered(
    files: Files, how: pipeline.Postprocessing, wanted: Filter
) -> tuple[predictions.Predictions, list[str]]:
  """Returns predictions behind a confidence filter, and a report of it."""
  rows = blend(files, how)
  threshold = wanted.threshold
  if threshold is None:
    fit_to = blend(wanted.fit_on, how)
    sure = _sure(wanted.sure_fit_on, fit_to, wanted.fit_on[0], how)
    threshold = confidence_filter.fit(fit_to, sure)
  sure = _sure(wanted.file, rows, files[0], how)
  result = confidence_filter.apply(rows, sure, threshold)
  moved = np.mean(_called(result) != _called(rows))
  lines = [
      f'expressions of {wanted.file} with more than {threshold:.4f} replace '
      f'others: {moved:.1%} of the rows change'
  ]
  if rows.expr.any():
    named = {'unfiltered': rows, 'filtered': result, 'the other alone': sure}
    lines += [
        f'{name:16} accuracy {right:.4f} F1 {f1:.4f}'
        for name, (right, f1) in ((k, _worth(v)) for k, v in named.items())
    ]
  return result, lines


def write_submission(
    path: pathlib.Path,
    list_path: pathlib.Path,
    rows: predictions.Predictions,
    *,
    missing: str = 'interpolate',
) -> str:
  """Writes the challenge file, checks it, and returns what to say of it.

  Raises:
    InputError: if predictions are not of the list, or `missing` is 'error' and
      a line of it was not predicted.
  """
  images = challenge_files.read_list(list_path)
  absent = np.setdiff1d(np.arange(len(images)), rows.row)
  if absent.size and missing == 'error':
    raise errors.InputError(
        f'{list_path}: {absent.size:,} of {len(images):,} rows were not '
        f'predicted, the first is row {absent[0]} ({images[absent[0]]}); build '
        'the dataset with all images, or give --missing=interpolate'
    )
  filled = submission.write(path, images, rows)
  submission.check(path, images)
  repeats = len(images) - len(set(images))
  return (
      f'{path}: {len(images):,} rows as in the list ({repeats:,} repeat an '
      f'image), {filled:,} of them interpolated from other frames of their video'
  )


def _sure(path, rows, name, how) -> predictions.Predictions:
  """Returns the rows with the other network's expressions, smoothed alike."""
  other = prediction_files.read(path)
  # A frame that is listed twice may be labelled twice, and read as one or two.
  _, other = blending.align(
      [_unlabelled(rows), _unlabelled(other)], [str(name), str(path)]
  )
  none = dict.fromkeys(blending.TASKS, smoothing.Smoothing())
  other = pipeline.smooth(other, none | {'expr': how.smoothing['expr']})
  return dataclasses.replace(rows, expression=other.expression)


def _unlabelled(rows: predictions.Predictions) -> predictions.Predictions:
  names = ('video', 'frame_id', 'row', 'valence', 'arousal', 'expression', 'au')
  return predictions.Predictions(
      **{name: getattr(rows, name) for name in names}
  )


def _table(readings: Mapping[str, adaptive_frame_rate.Reading]) -> list[str]:
  """Returns a line for each way to read frames."""
  full = _called(readings[_every(1)].rows)
  labelled = readings[_every(1)].rows.expr.any()
  names = ['cost', 'read', 'agreement']
  names += ['accuracy', 'F1'] if labelled else []
  lines = [' ' * 18 + ''.join(f'{name:>11}' for name in names)]
  for name, reading in readings.items():
    same = np.mean(_called(reading.rows) == full)
    cells = [f'{value:.1%}' for value in (reading.cost, reading.read, same)]
    if labelled:
      cells += [f'{value:.4f}' for value in _worth(reading.rows)]
    lines.append(f'{name:18}' + ''.join(f'{cell:>11}' for cell in cells))
  return lines


def _every(stride: int) -> str:
  return 'every frame' if stride == 1 else f'every {stride} frames'


def _called(rows: predictions.Predictions):
  return np.argmax(rows.expression, axis=-1)


def _worth(rows: predictions.Predictions) -> tuple[float, float]:
  """Returns accuracy and macro F1 of the labelled rows."""
  pred, target = _called(rows)[rows.expr], rows.target_expression[rows.expr]
  f1 = calibration.macro_f1(pred, target, rows.expression.shape[-1])
  return float(np.mean(pred == target)), f1
