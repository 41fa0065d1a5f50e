"""Predictions for rows that have none: frames without a face or an image."""

from jaxtyping import Int, Shaped
import numpy as np

from abaw_jax.core import errors
from abaw_jax.scoring import predictions

_OUTPUTS = ('valence', 'arousal', 'expression', 'au')


def fill(
    rows: predictions.Predictions,
    *,
    video: Shaped[np.ndarray, 'm'],
    frame_id: Int[np.ndarray, 'm'],
    row: Int[np.ndarray, 'm'],
) -> predictions.Predictions:
  """Returns a prediction for each of m wanted rows, in their order.

  A row that was predicted keeps its prediction. Another gets that of its frame,
  interpolated linearly in time between the nearest predicted frames of its
  video; before the first and behind the last of them theirs is held. Labels are
  left out.

  Raises:
    InputError: if a video of a missing row has no prediction at all.
  """
  wanted = predictions.Predictions(
      video=video,
      frame_id=frame_id,
      row=row,
      valence=np.zeros(len(row)),
      arousal=np.zeros(len(row)),
      expression=np.zeros([len(row), rows.expression.shape[-1]]),
      au=np.zeros([len(row), rows.au.shape[-1]]),
  )
  place = {key.item(): i for i, key in enumerate(predictions.keys(rows))}
  found = np.array(
      [place.get(key.item(), -1) for key in predictions.keys(wanted)]
  )
  missing = found < 0
  for name in _OUTPUTS:
    getattr(wanted, name)[~missing] = getattr(rows, name)[found[~missing]]
  for one in np.unique(video[missing]):
    known = rows.take(rows.video == one)
    there = np.flatnonzero(missing & (video == one))
    if not len(known):
      raise errors.InputError(
          f'{wanted.describe(there[0])}: no frame of its video is predicted; '
          'predict at least one'
      )
    frames, where = np.unique(known.frame_id, return_inverse=True)
    for name in _OUTPUTS:
      # A frame that is listed twice counts with its mean.
      values = getattr(known, name).reshape(len(known), -1)
      sums = np.zeros([len(frames), values.shape[-1]])
      np.add.at(sums, where, values)
      means = sums / np.bincount(where)[:, None]
      lines = [np.interp(frame_id[there], frames, column) for column in means.T]
      target = getattr(wanted, name)
      target[there] = np.stack(lines, axis=-1).reshape(target[there].shape)
  return wanted
