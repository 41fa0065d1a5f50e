"""What is handed in: a line for each line of the test list.

In the order of the list, repeats included; values are separated by commas without
spaces, and the last line ends like the others:

  image,valence,arousal,expression,aus
  video45_1/00001.jpg,0.711800,0.314700,7,0,0,0,1,1,1,1,0,0,0,1,0
"""

from collections.abc import Sequence
import pathlib
import re

from jaxtyping import Int, Shaped
import numpy as np

from abaw_jax.challenge import files
from abaw_jax.core import errors, labels
from abaw_jax.core import files as file_io
from abaw_jax.postprocessing import interpolation
from abaw_jax.scoring import metrics, predictions

_IMAGE = re.compile(r'([^/]+)/(\d{1,9})\.jpe?g', re.IGNORECASE)


def write(
    path: pathlib.Path, images: Sequence[str], rows: predictions.Predictions
) -> int:
  """Writes the MTL submission; returns how many rows had to be interpolated.

  Valence and arousal are clipped to [-1, 1]. Images whose row was not predicted
  are filled in from other frames of their video; none is left out.

  Args:
    path: file to write.
    images: the test list, `<video>/<frame>.jpg` each.
    rows: predictions of its rows, in any order.

  Raises:
    InputError: if an image is not named so, if predictions are those of another
      list, or if a video has none.
  """
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


def check(path: pathlib.Path, images: Sequence[str], task: str = 'mtl') -> None:
  """Checks that a submission answers a list, line by line.

  Raises:
    InputError: naming the first wrong row and column, and what was expected.
  """
  found, _ = files.read_submission(path, task)
  _check_images(path, found, images)


def score(
    path: pathlib.Path, label_path: pathlib.Path, task: str = 'mtl'
) -> dict[str, float]:
  """Returns the scores of a submission for which the labels are known.

  For `mtl` all of metrics.multi_task_scores, for `lsd` the mean `F1` of its 6 expressions, that
  of each, and `n_expr`.

  Args:
    path: the submission.
    label_path: a list of the same images with labels, as the organisers write
      annotations; a label that is missing does not count.
    task: a key of challenge_files.TASKS.
  """
  images, pred = files.read_submission(path, task)
  wanted, target = files.read_labels(label_path, task)
  _check_images(path, images, wanted)
  _, columns = files.TASKS[task]
  known = target != np.array([column.missing for column in columns])
  if task == 'lsd':
    confusion = metrics.confusion(
        pred[:, 0].astype(int), target[:, 0].astype(int), known[:, 0]
    )
    names = files.LSD
    f1 = metrics.class_f1(confusion)[: len(names)]
    each = {f'F1_{k}': float(v) for k, v in zip(names, f1, strict=True)}
    return {'F1': float(np.mean(f1)), **each, 'n_expr': float(known.sum())}
  # As the organisers count: one missing AU makes the AUs of a row unusable.
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
  """Returns the videos and frame numbers of some images."""
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
    path: pathlib.Path, found: Sequence[str], wanted: Sequence[str]
) -> None:
  """Raises an InputError at the first image that is not the one of the list."""
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
  """Raises an InputError at the first prediction that is not of the list."""
  for i, row in enumerate(rows.row):
    there = (video[row], frame_id[row]) if row < len(video) else None
    if there != (rows.video[i], rows.frame_id[i]):
      found = f'video {there[0]}, frame {there[1]}' if there else 'nothing'
      raise errors.InputError(
          f'{rows.describe(i)} of the predictions: that line of the list is '
          f'{found}; expected predictions of this very list'
      )
