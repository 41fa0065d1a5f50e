"""Folds of recordings, with about as many frames in each."""

from collections.abc import Sequence

from jaxtyping import Int, Shaped
import numpy as np

from abaw_jax.core import labels


def assign(
    videos: Sequence[str] | Shaped[np.ndarray, 'v'],
    sizes: Int[np.ndarray, 'v'],
    *,
    num_folds: int,
    seed: int | None = None,
) -> Int[np.ndarray, 'v']:
  """Returns the fold of each video, from 0.

  Each recording goes to the fold that has fewest frames so far. Large recordings
  go first, so two folds differ by one recording at most. Videos of one recording
  share a fold.

  Args:
    videos: names; a name may be repeated.
    sizes: frames of each entry of `videos`.
    num_folds: at least 1.
    seed: recordings of similar size (within a factor of 2) are shuffled with this
      seed; None keeps the exact order by size. It is not the seed of the weights,
      so runs with different seeds have the same folds.
  """
  recording = labels.recording_ids(videos)
  totals = np.zeros(recording.max(initial=-1) + 1, np.int64)
  np.add.at(totals, recording, sizes)
  if seed is None:
    order = np.argsort(-totals, kind='stable')
  else:
    order = np.random.default_rng(seed).permutation(len(totals))
    magnitude = np.floor(np.log2(totals[order]))
    order = order[np.argsort(-magnitude, kind='stable')]
  frames = np.zeros(num_folds, np.int64)
  folds = np.zeros(len(totals), np.int64)
  for one in order:
    folds[one] = np.argmin(frames)
    frames[folds[one]] += totals[one]
  return folds[recording]
