"""Synthetic predictions that are better than chance."""

import numpy as np

from abaw_jax.scoring import predictions

NUM_VIDEOS = 12


def make(
    *,
    videos: int = NUM_VIDEOS,
    frames: int = 40,
    seed: int = 0,
    skill: float = 1.0,
) -> predictions.Predictions:
  """Returns rows in a random order, with gaps, repeats and missing labels.

  The labels depend only on `videos` and `frames`, the predictions also on `seed`.
  A higher `skill` gives better predictions.
  """
  truth, noise = np.random.default_rng(7), np.random.default_rng(seed)
  n = videos * frames
  video = np.repeat([f'video{i}' for i in range(videos)], frames)
  gaps = truth.choice([0, 1, 2, 30], [videos, frames], p=[0.1, 0.5, 0.3, 0.1])
  frame_id = 1 + np.cumsum(gaps, axis=-1).ravel()
  target_va = np.tanh(truth.normal(size=[2, videos, 1]) + 0.1 * truth.normal(
      size=[2, videos, frames]
  )).reshape(2, n)  # fmt: skip
  target_expression = np.minimum(truth.geometric(0.3, n) - 1, 7)
  rate = np.linspace(0.05, 0.6, 12)
  target_au = (truth.random([n, 12]) < rate).astype(int)
  va = 0.6 * skill * target_va + 0.2 + noise.normal(0, 0.3, [2, n])
  logits = noise.normal(size=[n, 8]) + skill * np.eye(8)[target_expression]
  powers = np.exp(logits)
  au = noise.normal(size=[n, 12]) + skill * target_au - 1
  order = truth.permutation(n)
  return predictions.Predictions(
      video=video,
      frame_id=frame_id,
      row=np.arange(n),
      valence=va[0],
      arousal=va[1],
      expression=powers / powers.sum(axis=-1, keepdims=True),
      au=1 / (1 + np.exp(-au)),
      target_valence=target_va[0],
      target_arousal=target_va[1],
      target_expression=target_expression,
      target_au=target_au,
      va=truth.random(n) < 0.7,
      expr=truth.random(n) < 0.6,
      au_mask=np.repeat(truth.random([n, 1]) < 0.7, 12, axis=-1),
  ).take(order)
