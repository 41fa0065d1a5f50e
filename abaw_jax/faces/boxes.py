"""Overlap of boxes, and non-maximum suppression."""

from jaxtyping import Float, Int
import numpy as np


def iou(
    a: Float[np.ndarray, 'n 4'], b: Float[np.ndarray, 'm 4']
) -> Float[np.ndarray, 'n m']:
  """Returns intersection over union of all pairs of boxes; 0 for empty ones."""
  start = np.maximum(a[:, None, :2], b[None, :, :2])
  stop = np.minimum(a[:, None, 2:], b[None, :, 2:])
  shared = np.clip(stop - start, 0, None).prod(-1)
  union = area(a)[:, None] + area(b)[None] - shared
  return shared / np.maximum(union, 1e-9)


def area(boxes: Float[np.ndarray, 'n 4']) -> Float[np.ndarray, 'n']:
  """Returns the areas of boxes; 0 if right is left of left."""
  return np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(-1)


def strongest(
    boxes: Float[np.ndarray, 'n 4'],
    scores: Float[np.ndarray, 'n'],
    max_iou: float,
) -> Int[np.ndarray, 'k']:
  """Returns the indices that greedy non-maximum suppression keeps.

  Args:
    boxes: left, top, right, bottom.
    scores: confidence of each box.
    max_iou: a box that overlaps more with a stronger one is dropped.

  Returns:
    Indices by falling score.
  """
  order = np.argsort(-scores, kind='stable')
  kept = []
  while order.size:
    kept.append(order[0])
    rest = order[1:]
    order = rest[iou(boxes[order[:1]], boxes[rest])[0] <= max_iou]
  return np.array(kept, int)
