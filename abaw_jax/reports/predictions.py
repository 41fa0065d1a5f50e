"""The command `predict_split`, from predictions of its networks to files, reports."""

from collections.abc import Mapping, Sequence
import dataclasses

from jaxtyping import Int
import numpy as np

from abaw_jax.challenge import files as challenge_files
from abaw_jax.challenge import submission
from abaw_jax.core import errors, files, text_table
from abaw_jax.postprocessing import (
    adaptive_frame_rate,
    blending,
    confidence_filter,
    postprocess,
    postprocessing_files,
    smoothing,
)
from abaw_jax.scoring import prediction_files, predictions

Files = Sequence[files.Path]


@dataclasses.dataclass(frozen=True)
class FrameRate:
  """Options of the adaptive frame rate; see adaptive_frame_rate.fit."""

  strides: tuple[int, ...]
  fit_on: tuple[files.Path, ...]  # predictions of labelled training videos
  half: int = adaptive_frame_rate.HALF
  alpha: float = 0.1
  levels: str = 'growing'


@dataclasses.dataclass(frozen=True)
class Filter:
  """Options of the confidence filter; see confidence_filter.apply."""

  file: files.Path  # predictions of the second network
  threshold: float | None  # None: it is fitted
  fit_on: tuple[files.Path, ...] = ()  # training videos, of the main networks
  second_fit_on: files.Path | None = None  # the same rows, second network


def read_postprocessing(
    stored: files.Path | None, num_members: int
) -> postprocess.Postprocessing:
  """Returns the postprocessing of a file; equal weights without a file."""
  if stored is None:
    return postprocess.Postprocessing.equal_weights(num_members)
  return postprocessing_files.read(stored)


def blend(
    files: Files, postprocessing: postprocess.Postprocessing
) -> predictions.Predictions:
  """Returns the postprocessed predictions of all members, in list order.

  Raises:
    InputError: a file is wrong, or files have different rows.
  """
  members = [*map(prediction_files.read, files)]
  rows = postprocessing.apply(blending.align(members, [*map(str, files)]))
  return rows.take(np.argsort(rows.row, kind='stable'))


def blend_adaptively(
    files: Files,
    postprocessing: postprocess.Postprocessing,
    options: FrameRate,
) -> tuple[predictions.Predictions, list[str]]:
  """Returns predictions with the adaptive frame rate, and a report.

  Means over windows replace the smoothing of expressions. The report compares the
  adaptive rate with fixed strides: costs, agreement with reading all frames and,
  for labelled rows, accuracy and macro F1.
  """
  # Smoothing would read every frame before the first window is read.
  windows = postprocessing.smoothing | {'expr': smoothing.Smoothing()}
  postprocessing = dataclasses.replace(postprocessing, smoothing=windows)
  rows = blend(files, postprocessing)
  plan = adaptive_frame_rate.fit(
      _blend_to_fit(rows, options.fit_on, postprocessing),
      options.strides,
      half=options.half,
      alpha=options.alpha,
      levels=options.levels,
  )
  readings = {'adaptive': adaptive_frame_rate.apply(rows, plan)} | {
      _stride_name(stride): adaptive_frame_rate.apply(
          rows, adaptive_frame_rate.Plan.fixed(stride, plan.half)
      )
      for stride in sorted({*options.strides, 1})
  }
  found = [
      f'{stride}: {value:.4f}'
      for stride, value in zip(plan.strides, plan.thresholds, strict=False)
  ]
  used = np.unique(readings['adaptive'].stride, return_counts=True)
  shares = [f'{s}: {n / len(rows):.1%}' for s, n in zip(*used, strict=True)]
  lines = [
      'expressions are means over windows of listed frames, without smoothing',
      f'thresholds of strides: {", ".join(found) or "none"}',
      f'share of rows by accepted stride: {", ".join(shares)}',
      *_frame_rate_table(readings),
  ]
  return readings['adaptive'].rows, lines


def blend_filtered(
    files: Files, postprocessing: postprocess.Postprocessing, options: Filter
) -> tuple[predictions.Predictions, list[str]]:
  """Returns predictions after the confidence filter, and a report."""
  rows = blend(files, postprocessing)
  window = postprocessing.smoothing['expr']
  threshold = options.threshold
  if threshold is None:
    main = _blend_to_fit(rows, options.fit_on, postprocessing)
    second = _read_second(
        options.second_fit_on, main, options.fit_on[0], window
    )
    threshold = confidence_filter.fit(main, second)
  second = _read_second(options.file, rows, files[0], window)
  result = confidence_filter.apply(rows, second, threshold)
  changed = np.mean(_predicted(result) != _predicted(rows))
  lines = [
      f'expressions of {options.file} with a probability above {threshold:.4f} '
      f'replace others: {changed:.1%} of the rows change'
  ]
  if rows.expr.any():
    named = {'unfiltered': rows, 'filtered': result, 'second network': second}
    cells = [(name, *_expression_scores(one)) for name, one in named.items()]
    lines += text_table.aligned([('', 'accuracy', 'F1'), *cells])
  return result, lines


def write_submission(
    path: files.Path,
    list_path: files.Path,
    rows: predictions.Predictions,
    *,
    task: str = 'mtl',
    missing: str = 'interpolate',
) -> str:
  """Writes and checks the challenge file; returns a message.

  `task` is 'mtl' or 'lsd'. Rows of 'lsd' are never interpolated.

  Raises:
    InputError: predictions belong to another list, or `missing` is 'error' and a
      row of the list has no prediction.
  """
  images = challenge_files.read_list(list_path)
  if task == 'lsd':
    submission.write_lsd(path, images, rows)
    return f'{submission.check(path, images, task)}, all values in range'
  absent = np.setdiff1d(np.arange(len(images)), rows.row)
  if absent.size and missing == 'error':
    raise errors.InputError(
        f'{list_path}: {absent.size:,} of {len(images):,} rows were not '
        f'predicted, the first is row {absent[0]} ({images[absent[0]]}); build '
        'the dataset with all images, or give --missing=interpolate'
    )
  filled = submission.write(path, images, rows)
  checked = submission.check(path, images)
  return f'{checked}, {filled:,} of them interpolated from other frames of their video'


def _blend_to_fit(
    rows: predictions.Predictions,
    files: Files,
    postprocessing: postprocess.Postprocessing,
) -> predictions.Predictions:
  """Returns the blend of --fit_on, which must come from the data of `rows`."""
  fit_to = blend(files, postprocessing)
  predictions.check_same_data([rows, fit_to], ['the blend', '--fit_on'])
  return fit_to


def _read_second(
    path: files.Path,
    rows: predictions.Predictions,
    name: files.Path,
    window: smoothing.Smoothing,
) -> predictions.Predictions:
  """Returns the rows of the file `name` with smoothed expressions of another."""
  second = prediction_files.read(path).without_labels()
  # Networks may read a repeated frame once or twice, with different labels.
  _, second = blending.align(
      [rows.without_labels(), second], [str(name), str(path)]
  )
  second = postprocess.smooth(second, {'expr': window})
  return dataclasses.replace(rows, expression=second.expression)


def _frame_rate_table(
    readings: Mapping[str, adaptive_frame_rate.Reading],
) -> list[str]:
  """Returns a table with a row for each frame rate."""
  full = readings[_stride_name(1)].rows
  labelled = full.expr.any()
  table = [('', 'cost', 'read', 'agreement')]
  table[0] += ('accuracy', 'F1') if labelled else ()
  for name, reading in readings.items():
    same = np.mean(_predicted(reading.rows) == _predicted(full))
    shares = (reading.cost, reading.read, same)
    scores = _expression_scores(reading.rows) if labelled else ()
    table.append((name, *(f'{share:.1%}' for share in shares), *scores))
  return text_table.aligned(table)


def _stride_name(stride: int) -> str:
  return 'every frame' if stride == 1 else f'every {stride} frames'


def _predicted(rows: predictions.Predictions) -> Int[np.ndarray, 'n']:
  return np.argmax(rows.expression, axis=-1)


def _expression_scores(rows: predictions.Predictions) -> tuple[str, str]:
  """Returns accuracy and macro F1 of the labelled rows."""
  scores = rows.scores()
  return f'{scores["accuracy"]:.4f}', f'{scores["EXPR"]:.4f}'
