"""Groups of stateful videos: which videos and frames each batch contains."""

import bisect
from collections.abc import Sequence
import functools
from typing import NamedTuple

from jaxtyping import Int
import numpy as np


class Step(NamedTuple):
  """One window over a group of videos, the content of one batch."""

  videos: tuple[int, ...]  # index of the video in each row; -1 is a padding row
  start: int  # first frame of the window, in each video
  length: int  # frames of the window in the longest video
  longest: int  # frames of the longest video


class Groups:
  """Groups of videos that are cut into windows at the same frames.

  A group ends with its longest video. The rows of shorter videos are empty after
  their end. Each epoch contains every video once, and its last group may have
  padding rows. Step i is a function of (seed, i).

  Reference: AIM3 groups videos in shuffled order and pads them to the longest of
  their batch. With `buckets`, the videos of a group have similar lengths, so fewer
  rows are empty.
  """

  def __init__(
      self,
      sizes: Sequence[int],
      *,
      rows: int,
      length: int,
      buckets: bool,
      seed: int | None,
  ):
    """Initializes the groups; computes no order yet.

    Args:
      sizes: frames of each video, at least 1.
      rows: videos in a group.
      length: frames in a window.
      buckets: whether to group videos of similar length.
      seed: shuffles videos and groups in each epoch; any integer from 0. None
        keeps the given order, or longest first with `buckets`.
    """
    self.rows = rows
    self._sizes = np.array(sizes)
    self._length = length
    self._buckets = buckets
    self._seed = seed
    self._firsts = [0]  # the first step of each epoch that is computed so far
    self._plan = functools.lru_cache(4)(self._plan_epoch)

  def with_seed(self, seed: int) -> 'Groups':
    """Returns the groups of the same videos, shuffled with a seed."""
    return Groups(
        self._sizes.tolist(),
        rows=self.rows,
        length=self._length,
        buckets=self._buckets,
        seed=seed,
    )

  def num_steps(self, epochs: float | int) -> int:
    """Returns the exact number of steps in `epochs` epochs.

    A fraction of an epoch is rounded to steps. Each epoch is computed only once,
    so the cost for the ends of all epochs is linear.
    """
    full = int(epochs)
    first, after = self._first(full), self._first(full + 1)
    return first + round((epochs - full) * (after - first))

  def step(self, index: int) -> Step:
    """Returns step `index`, from 0."""
    while self._firsts[-1] <= index:
      self._first(len(self._firsts))
    epoch = bisect.bisect_right(self._firsts, index) - 1
    groups, ends = self._plan(epoch)
    index -= self._firsts[epoch]
    at = int(np.searchsorted(ends, index, side='right'))
    start = (index - (int(ends[at - 1]) if at else 0)) * self._length
    videos = groups[at]
    longest = int(self._sizes[videos[videos >= 0]].max())
    length = min(self._length, longest - start)
    return Step(tuple(videos.tolist()), start, length, longest)

  def __getstate__(self):
    state = self.__dict__.copy()
    del state['_plan']
    return state

  def __setstate__(self, state):
    self.__dict__.update(state)
    self._plan = functools.lru_cache(4)(self._plan_epoch)

  def _first(self, epoch: int) -> int:
    """Returns the first step of an epoch."""
    # Other threads may read the old list, so a new list replaces it.
    firsts = list(self._firsts)
    while len(firsts) <= epoch:
      _, ends = self._plan(len(firsts) - 1)
      firsts.append(firsts[-1] + int(ends[-1]))
    if len(firsts) > len(self._firsts):
      self._firsts = firsts
    return firsts[epoch]

  def _plan_epoch(
      self, epoch: int
  ) -> tuple[Int[np.ndarray, 'g b'], Int[np.ndarray, 'g']]:
    """Returns the groups of an epoch, and the number of steps up to their ends."""
    windows = -(-self._sizes // self._length)
    order = np.arange(len(windows))
    rng = np.random.default_rng([self._seed or 0, epoch])
    if self._seed is not None:
      order = rng.permutation(order)
    if self._buckets:
      # Longest first, so the group with padding rows has short videos.
      key = windows if self._seed is not None else self._sizes
      order = order[np.argsort(-key[order], kind='stable')]
    padding = -len(order) % self.rows
    groups = np.pad(order, (0, padding), constant_values=-1)
    groups = groups.reshape(-1, self.rows)
    if self._buckets and self._seed is not None:
      groups = rng.permutation(groups)
    steps = np.where(groups >= 0, windows[groups], 0).max(axis=-1)
    return groups, np.cumsum(steps)
