"""A track: one face of one clip, from its features to final rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
from jaxtyping import Float, Int
import numpy as np

from abaw_jax.bundles import networks, plans
from abaw_jax.bundles import rows as rows_lib
from abaw_jax.core import errors
from abaw_jax.postprocessing import postprocess

if TYPE_CHECKING:
  from abaw_jax.bundles import predictor as predictor_lib


class Track:
  """The state of all networks for one face; `Predictor.track` makes one.

  Its memory does not grow with the length of the clip.
  """

  def __init__(
      self,
      predictor: predictor_lib.Predictor,
      postprocessing: postprocess.Postprocessing,
      *,
      live: bool,
  ):
    self._predictor = predictor
    members = predictor.networks
    self._plans = [network.plan(live=live) for network in members]
    self._carries = [_first_carry(network) for network in members]
    self._waiting: list[list[plans.Window]] = [[] for _ in members]
    self.rows = rows_lib.RowBuffer(
        postprocessing, num_members=len(members), live=live
    )
    self._last: int | None = None  # number of the newest frame
    self.is_finished = False

  def push(
      self,
      features: Float[np.ndarray, 'n d'],
      frame_index: Int[np.ndarray, 'n'],
      timestamps: Float[np.ndarray, 'n'],
  ) -> rows_lib.Rows:
    """Returns the rows that are final with these frames, in order.

    Rows of these frames may come later: windows and smoothing need later frames.
    Frames may be missing, for example while a face is hidden.

    Args:
      features: results of `Predictor.embed`.
      frame_index: number of each frame in the clip, increasing.
      timestamps: times of the frames in seconds; the rows repeat them.

    Raises:
      InputError: a feature is NaN or infinite.
      ValueError: frame numbers do not increase, or the track is finished.
    """
    pushed = (self, features, frame_index, timestamps)
    return self._predictor.push_all([pushed])[0]

  def finish(self) -> rows_lib.Rows:
    """Returns the remaining rows; the track takes no more frames."""
    return self._predictor.finish_all([self])[0]

  def add(self, features, frame_index, timestamps) -> None:
    """Plans the windows of new frames; for `Predictor`, see `push`."""
    if self.is_finished:
      raise ValueError('the track is finished; start a new one')
    features = np.asarray(features, np.float32)
    frame_index = np.asarray(frame_index, np.int64)
    self._check(features, frame_index)
    if not len(frame_index):
      return
    self.rows.expect(frame_index, np.asarray(timestamps, np.float64))
    self._last = int(frame_index[-1])
    for plan, waiting in zip(self._plans, self._waiting, strict=True):
      waiting += plan.push(features, frame_index)

  def end(self) -> None:
    """Plans the last windows; for `Predictor`, see `finish`."""
    if not self.is_finished:
      for plan, waiting in zip(self._plans, self._waiting, strict=True):
        waiting += plan.finish()
    self.is_finished = True

  def next_windows(self, member: int) -> list[plans.Window]:
    """Returns the windows of a network that can be read together now."""
    waiting = self._waiting[member]
    count = 1 if self._is_sequential(member) else len(waiting)
    taken, self._waiting[member] = waiting[:count], waiting[count:]
    return taken

  def carry(self, member: int):
    """Returns the state of a network before its next window."""
    return self._carries[member]

  def receive(self, member: int, output, carry) -> None:
    """Takes the outputs of a network for the frames that a window keeps."""
    self.rows.add(member, output)
    if self._is_sequential(member):
      self._carries[member] = carry

  def _is_sequential(self, member: int) -> bool:
    network = self._predictor.networks[member]
    return network.sequential and not self._plans[member].restarts

  def _check(self, features, frame_index) -> None:
    dim = self._predictor.feature_dim
    if features.shape != (len(frame_index), dim):
      raise ValueError(
          f'features have shape {features.shape}; expected '
          f'{(len(frame_index), dim)}, results of Predictor.embed'
      )
    known = [] if self._last is None else [self._last]
    if (np.diff([*known, *frame_index]) <= 0).any():
      raise ValueError(
          f'frame_index {frame_index.tolist()} after {self._last}: the frames of '
          'a track must increase'
      )
    wrong = ~np.isfinite(features).all(axis=-1)
    if wrong.any():
      raise errors.InputError(
          f'frame {frame_index[wrong][0]}: its features are not finite; the '
          'weights of the bundle have diverged, make a bundle of others'
      )


def _first_carry(network: networks.Network):
  """Returns the state before the first window, without the axis of the batch."""
  return jax.tree.map(lambda x: np.asarray(x[0]), network.initial_carry(1))
