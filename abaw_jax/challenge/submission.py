"""Submissions: a file with one line for each line of the test list.

Lines have the order of the list, repeats included. Values are separated by commas
without spaces, and the last line ends with a newline, too:

  image,valence,arousal,expression,aus
  video45_1/00001.jpg,0.711800,0.314700,7,0,0,0,1,1,1,1,0,0,0,1,0

The track "learning from synthetic data" (LSD) has the columns image,expression.
"""

from collections.abc import Sequence
import re

from jaxtyping import Int, Shaped
import numpy as np

from abaw_jax.challenge import files
from abaw_jax.core import errors, labels
from abaw_jax.core import files as file_io
from abaw_jax.postprocessing import interpolation
from abaw_jax.scoring import metrics, predictions

# Columns of the LSD expressions, in the order of the codes, among ours.
_LSD_COLUMNS = [labels.EXPRESSIONS.index(name) for name in files.LSD]
_IMAGE = re.compile(r'([^/]+)/([0-9]{1,9})\.jpe?g', re.IGNORECASE)


def write(
    path: file_io.Path, images: Sequence[str], rows: predictions.Predictions
) -> int:
  """Writes the MTL submission; returns the number of interpolated rows.

  `images` is the test list; `rows` may have any order. Valence and arousal are
  clipped to [-1, 1]. Rows that were not predicted are interpolated from other
  frames of their video.

  Raises:
    InputError: an image has another name, the predictions belong to another
      list, or a video has no prediction.
  """
  for task, name in (('va', 'valence and arousal'), ('au', 'action units')):
    if not rows.predicts(task):
      raise errors.InputError(
          f'{path}: the model predicts no {name}, which every line of the file '
          'needs; blend it with a model that does (another --workdir)'
      )
  video, frame_id = _names(images)
  _check_rows(rows, video, frame_id)
  filled = interpolation.fill(
      rows, video=video, frame_id=frame_id, row=np.arange(len(images))
  )
  va = np.clip([filled.valence, filled.arousal], -1, 1)
  expression = np.argmax(filled.expression, axis=-1)
  au = (filled.au >= 0.5).astype(int)
  header, _ = files.TASKS['mtl']
  lines = [
      f'{image},{v:.6f},{a:.6f},{e},{",".join(map(str, units))}'
      for image, v, a, e, units in zip(images, *va, expression, au, strict=True)
  ]
  file_io.write(path, '\n'.join([header, *lines]) + '\n')
  return len(images) - len(rows)


def write_lsd(
    path: file_io.Path, images: Sequence[str], rows: predictions.Predictions
) -> None:
  """Writes the LSD submission: the most probable of its 6 expressions.

  Neutral and Other are left out, so any classifier of our 8 expressions can be
  used. `images` is the test list; `rows` may have any order.

  Raises:
    InputError: the predictions belong to another list, or an image has none.
  """
  _check_rows(rows, np.array(images), np.zeros(len(images), int))
  absent = np.setdiff1d(np.arange(len(images)), rows.row)
  if absent.size:
    raise errors.InputError(
        f'row {absent[0]} of the list ({images[absent[0]]}): {absent.size:,} of '
        f'{len(images):,} rows have no prediction, this is the first; build the '
        'dataset with all images and predict its split test'
    )
  order = np.argsort(rows.row)
  codes = np.argmax(rows.expression[order][:, _LSD_COLUMNS], axis=-1)
  header, _ = files.TASKS['lsd']
  lines = [f'{i},{code}' for i, code in zip(images, codes, strict=True)]
  file_io.write(path, '\n'.join([header, *lines]) + '\n')


def check(path: file_io.Path, images: Sequence[str], task: str = 'mtl') -> str:
  """Checks that a submission has a valid row for each line; returns a message.

  An InputError names the first wrong row and column, and the expected value.
  """
  found, _ = files.read_submission(path, task)
  _check_images(path, found, images)
  repeats = len(images) - len(set(images))
  return f'{path}: {len(images):,} rows as in the list ({repeats:,} repeat an image)'


def score(
    path: file_io.Path, label_path: file_io.Path, task: str = 'mtl'
) -> dict[str, float]:
  """Returns the scores of a submission whose labels are known.

  For `mtl` these are the scores of `metrics.multi_task_scores`; for `lsd` the mean
  `F1` of its 6 expressions, the F1 of each, and `n_expr`.
  `label_path` lists the same images with labels, as the organisers write
  annotations; a missing label does not count.
  """
  images, pred = files.read_submission(path, task)
  wanted, target = files.read_labels(label_path, task)
  _check_images(path, images, wanted)
  _, columns = files.TASKS[task]
  known = target != np.array([column.missing for column in columns])
  if task == 'lsd':
    counts = metrics.confusion(
        pred[:, 0].astype(int),
        target[:, 0].astype(int),
        known[:, 0],
        num_classes=len(files.LSD),
    )
    f1 = metrics.class_f1(counts)
    each = {f'F1_{k}': float(v) for k, v in zip(files.LSD, f1, strict=True)}
    return {'F1': float(np.mean(f1)), **each, 'n_expr': float(known.sum())}
  # The organisers ignore all AUs of a row if one is missing.
  au_known = known[:, 3:].all(axis=-1, keepdims=True)
  return metrics.multi_task_scores(
      valence=pred[:, 0],
      arousal=pred[:, 1],
      expression=pred[:, 2].astype(int),
      au=pred[:, 3:].astype(int),
      target_valence=target[:, 0],
      target_arousal=target[:, 1],
      target_expression=target[:, 2].astype(int),
      target_au=target[:, 3:].astype(int),
      va=known[:, :2].all(axis=-1),
      expr=known[:, 2],
      au_mask=np.repeat(au_known, labels.NUM_AUS, axis=-1),
  )


def _names(
    images: Sequence[str],
) -> tuple[Shaped[np.ndarray, 'n'], Int[np.ndarray, 'n']]:
  """Returns the videos and frame numbers of images."""
  videos, frames = [], []
  for row, image in enumerate(images):
    match = _IMAGE.fullmatch(image)
    if match is None:
      raise errors.InputError(
          f'row {row} of the list: image is {image!r}; expected '
          '<video>/<frame>.jpg'
      )
    videos.append(match[1])
    frames.append(int(match[2]))
  return np.array(videos), np.array(frames)


def _check_images(
    path: file_io.Path, found: Sequence[str], wanted: Sequence[str]
) -> None:
  """Raises an InputError at the first image that differs from the list."""
  for row, (image, want) in enumerate(zip(found, wanted, strict=False)):
    if image != want:
      raise errors.InputError(
          f'{path}: row {row}: image is {image!r}; expected {want!r}, as in the '
          'list'
      )
  if len(found) != len(wanted):
    raise errors.InputError(
        f'{path}: it has {len(found):,} rows; expected {len(wanted):,}, one for '
        'each line of the list'
    )


def _check_rows(
    rows: predictions.Predictions,
    video: Shaped[np.ndarray, 'n'],
    frame_id: Int[np.ndarray, 'n'],
) -> None:
  """Raises an InputError at the first prediction that is not in the list."""
  for i, row in enumerate(rows.row):
    listed = (video[row], frame_id[row]) if row < len(video) else None
    if listed != (rows.video[i], rows.frame_id[i]):
      found = f'video {listed[0]}, frame {listed[1]}' if listed else 'nothing'
      raise errors.InputError(
          f'{rows.describe(i)} of the predictions: that line of the list is '
          f'{found}; expected predictions of this list'
      )
