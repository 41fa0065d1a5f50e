"""Predictions for rows without one, such as frames without a face."""

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

  A predicted row keeps its prediction. Other rows are interpolated linearly in
  time between the nearest predicted frames of their video. Before the first and
  after the last predicted frame, its prediction is repeated. The result has no
  labels.

  Raises:
    InputError: the video of a missing row has no prediction.
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
  positions = {key.item(): i for i, key in enumerate(predictions.keys(rows))}
  found = np.array(
      [positions.get(key.item(), -1) for key in predictions.keys(wanted)]
  )
  missing = found < 0
  for name in _OUTPUTS:
    getattr(wanted, name)[~missing] = getattr(rows, name)[found[~missing]]
  for name in np.unique(video[missing]):
    known = rows.take(rows.video == name)
    gaps = np.flatnonzero(missing & (video == name))
    if not len(known):
      raise errors.InputError(
          f'{wanted.describe(gaps[0])}: its video has no predicted frame; '
          'predict at least one'
      )
    frames, index = np.unique(known.frame_id, return_inverse=True)
    for field in _OUTPUTS:
      # A frame that is listed twice has the mean of its predictions.
      values = getattr(known, field).reshape(len(known), -1)
      sums = np.zeros([len(frames), values.shape[-1]])
      np.add.at(sums, index, values)
      means = sums / np.bincount(index)[:, None]
      lines = [np.interp(frame_id[gaps], frames, column) for column in means.T]
      target = getattr(wanted, field)
      target[gaps] = np.stack(lines, axis=-1).reshape(target[gaps].shape)
  return wanted
