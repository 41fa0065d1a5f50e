"""Bicubic resampling of position embeddings, with the values of PyTorch."""

from jaxtyping import Float
import numpy as np

_A = -0.75  # of Keys' kernel; with antialiasing PyTorch uses -0.5


def resize(
    grid: Float[np.ndarray, 'h w d'],
    *,
    size: int,
    offset: float = 0.0,
    antialias: bool = False,
) -> Float[np.ndarray, 's s d']:
  """Returns a grid of vectors, resampled to `size` x `size`, float32.

  Equals `torch.nn.functional.interpolate(mode='bicubic', align_corners=False)`.
  Without antialiasing, it is what facebookresearch/mae uses for fine-tuning at
  another image size. Computes in float64.

  Args:
    grid: vectors of a square.
    size: new side.
    offset: added to the new side for the scale, 0.1 in DINOv2's own code.
    antialias: as in PyTorch; wants no offset.
  """
  rows, columns = (
      _smooth_weights(n, size) if antialias else _weights(n, size, offset)
      for n in grid.shape[:2]
  )
  out = np.einsum(
      'ih,jw,hwd->ijd', rows, columns, grid.astype(np.float64), optimize=True
  )
  return out.astype(np.float32)


def _smooth_weights(old: int, new: int) -> Float[np.ndarray, 'new old']:
  """Returns the weights of `_weights` with antialiasing."""
  scale = old / new
  centres = (np.arange(new) + 0.5) * scale
  distances = np.abs(np.arange(old) + 0.5 - centres[:, None]) / max(scale, 1)
  weights = np.where(distances < 2, _kernel(distances, -0.5), 0)
  return weights / weights.sum(axis=1, keepdims=True)


def _weights(old: int, new: int, offset: float) -> Float[np.ndarray, 'new old']:
  """Returns the weight of each old position in each new one; rows sum to 1."""
  centres = (np.arange(new) + 0.5) * old / (new + offset) - 0.5
  first = np.floor(centres).astype(int) - 1
  weights = np.zeros((new, old))
  for tap in range(4):
    position = first + tap
    # Outside of the grid, the value at the border repeats.
    np.add.at(
        weights,
        (np.arange(new), np.clip(position, 0, old - 1)),
        _kernel(np.abs(centres - position), _A),
    )
  return weights


def _kernel(x: Float[np.ndarray, '*n'], a: float) -> Float[np.ndarray, '*n']:
  """Returns Keys' cubic kernel at distances from 0 to 2."""
  near = ((a + 2) * x - (a + 3)) * x * x + 1
  far = a * (((x - 5) * x + 8) * x - 4)
  return np.where(x <= 1, near, far)
