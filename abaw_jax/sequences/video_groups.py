"""Which videos stand side by side at each update, and how far they have come."""

import bisect
from collections.abc import Sequence
import functools
from typing import NamedTuple

from jaxtyping import Int
import numpy as np


class Step(NamedTuple):
  """One window over a group of videos: what an update sees."""

  videos: tuple[int, ...]  # one per row; -1 where there are too few
  start: int  # frame of each video at which the window begins
  length: int  # frames of the window up to the end of the longest video
  longest: int  # frames of that video


class Groups:
  """Groups of videos, all cut into windows at the same frames.

  A group goes on until its longest video has ended; the rows of the others are
  empty from their end on. Each epoch has every video once; its last group may
  have rows without one. Step i is a function of (seed, i).

  Reference: AIM3, which takes videos as they are shuffled and pads them to the
  longest of their batch. With `buckets` a group has videos that are cut into
  about as many windows, so fewer rows are empty.
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
    """Plans nothing yet.

    Args:
      sizes: frames of each video, at least 1.
      rows: videos per group.
      length: frames per window.
      buckets: whether videos of like length are grouped.
      seed: from 0; None takes videos, and groups, in one order in every epoch:
        as given, or with `buckets` the longest first.
    """
    self.rows = rows
    self._sizes = np.array(sizes)
    self._length = length
    self._buckets = buckets
    self._seed = seed
    self._firsts = [0]  # the first step of each epoch, as far as known
    self._plan = functools.lru_cache(4)(self._plan_epoch)

  def with_seed(self, seed: int) -> 'Groups':
    """Returns the same groups in the endless order of a seed."""
    return Groups(
        self._sizes.tolist(),
        rows=self.rows,
        length=self._length,
        buckets=self._buckets,
        seed=seed,
    )

  def num_steps(self, epochs: float | int) -> int:
    """Returns the steps of so many epochs, exactly; a part is rounded."""
    whole = int(epochs)
    first, after = self._first(whole), self._first(whole + 1)
    return first + round((epochs - whole) * (after - first))

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
    # A list of its own: other threads may read the old one meanwhile.
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
    """Returns the groups of an epoch, and the steps up to the end of each."""
    windows = -(-self._sizes // self._length)
    order = np.arange(len(windows))
    rng = np.random.default_rng([self._seed or 0, epoch])
    if self._seed is not None:
      order = rng.permutation(order)
    if self._buckets:
      # Longest first: the group that lacks videos is of short ones.
      key = windows if self._seed is not None else self._sizes
      order = order[np.argsort(-key[order], kind='stable')]
    lacking = -len(order) % self.rows
    groups = np.pad(order, (0, lacking), constant_values=-1)
    groups = groups.reshape(-1, self.rows)
    if self._buckets and self._seed is not None:
      groups = rng.permutation(groups)
    steps = np.where(groups >= 0, windows[groups], 0).max(axis=-1)
    return groups, np.cumsum(steps)
