"""Bicubic resampling of position embeddings, with the values of PyTorch."""

from jaxtyping import Float
import numpy as np

_A = -0.75  # of Keys' kernel; image libraries use -0.5


def resize(
    grid: Float[np.ndarray, 'h w d'], *, size: int
) -> Float[np.ndarray, 's s d']:
  """Returns a grid of vectors, resampled to `size` x `size`, float32.

  Equals `torch.nn.functional.interpolate(mode='bicubic', align_corners=False)`
  without antialiasing, which facebookresearch/mae uses for fine-tuning at
  another image size. Computes in float64.
  """
  rows, columns = (_weights(n, size) for n in grid.shape[:2])
  out = np.einsum(
      'ih,jw,hwd->ijd', rows, columns, grid.astype(np.float64), optimize=True
  )
  return out.astype(np.float32)


def _weights(old: int, new: int) -> Float[np.ndarray, 'new old']:
  """Returns the weight of each old position in each new one; rows sum to 1."""
  centres = (np.arange(new) + 0.5) * old / new - 0.5
  first = np.floor(centres).astype(int) - 1
  weights = np.zeros((new, old))
  for tap in range(4):
    position = first + tap
    # Outside of the grid, the value at the border repeats.
    np.add.at(
        weights,
        (np.arange(new), np.clip(position, 0, old - 1)),
        _kernel(np.abs(centres - position)),
    )
  return weights


def _kernel(x: Float[np.ndarray, 'n']) -> Float[np.ndarray, 'n']:
  """Returns Keys' cubic kernel at distances from 0 to 2."""
  near = ((_A + 2) * x - (_A + 3)) * x * x + 1
  far = _A * (((x - 5) * x + 8) * x - 4)
  return np.where(x <= 1, near, far)
