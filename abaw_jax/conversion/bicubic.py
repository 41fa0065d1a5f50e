"""Bicubic resampling as PyTorch does it, for tables of positions."""

from jaxtyping import Float
import numpy as np

_A = -0.75  # of Keys' kernel; image libraries take -0.5


def resize(
    grid: Float[np.ndarray, 'h w d'], *, size: int
) -> Float[np.ndarray, 's s d']:
  """Returns a grid of vectors at `size` x `size`, float32.

  `torch.nn.functional.interpolate(mode='bicubic', align_corners=False)` without
  antialiasing, with which MAE's fine-tuning fits positions to another image
  size. Computed in float64.
  """
  rows, columns = (_weights(n, size) for n in grid.shape[:2])
  out = np.einsum(
      'ih,jw,hwd->ijd', rows, columns, grid.astype(np.float64), optimize=True
  )
  return out.astype(np.float32)


def _weights(old: int, new: int) -> Float[np.ndarray, 'new old']:
  """Returns what each old place gives to each new one; rows sum to 1."""
  centres = (np.arange(new) + 0.5) * old / new - 0.5
  first = np.floor(centres).astype(int) - 1
  weights = np.zeros((new, old))
  for tap in range(4):
    place = first + tap
    # Beyond the border the outermost value goes on.
    np.add.at(
        weights,
        (np.arange(new), np.clip(place, 0, old - 1)),
        _kernel(np.abs(centres - place)),
    )
  return weights


def _kernel(x: Float[np.ndarray, 'n']) -> Float[np.ndarray, 'n']:
  """Returns Keys' cubic kernel at distances of 0 to 2."""
  near = ((_A + 2) * x - (_A + 3)) * x * x + 1
  far = _A * (((x - 5) * x + 8) * x - 4)
  return np.where(x <= 1, near, far)
