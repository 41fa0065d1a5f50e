"""Folds of cross-validation: whole videos, about as many frames in each."""

from jaxtyping import Int
import numpy as np


def assign(
    sizes: Int[np.ndarray, 'v'], *, num_folds: int, seed: int
) -> Int[np.ndarray, 'v']:
  """Returns the fold of each video, from 0.

  Each video goes to the fold that has fewest frames so far, those of more
  frames first, so two folds differ by one video at most. Videos of like size
  (within a factor of 2) come in an order drawn from the seed.

  Args:
    sizes: frames of each video.
    num_folds: at least 1.
    seed: of the draw, from 0; apart from the one that weights depend on, so that
      runs with several seeds have the same folds.
  """
  order = np.random.default_rng(seed).permutation(len(sizes))
  magnitude = np.floor(np.log2(sizes[order]))
  order = order[np.argsort(-magnitude, kind='stable')]
  frames = np.zeros(num_folds, np.int64)
  folds = np.zeros(len(sizes), np.int64)
  for video in order:
    folds[video] = np.argmin(frames)
    frames[folds[video]] += sizes[video]
  return folds
