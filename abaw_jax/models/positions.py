"""Fixed sine-cosine positions of image patches and of frames."""

from jaxtyping import Float
import numpy as np


def sincos_1d(
    positions: Float[np.ndarray, 'n'], dim: int
) -> Float[np.ndarray, 'n d']:
  """Returns [sin | cos] codes of real positions, frequencies 10000^(-2i/dim)."""
  if dim % 2:
    raise ValueError(f'dim must be even, got {dim}')
  omega = 10000.0 ** -(np.arange(dim // 2, dtype=np.float64) / (dim / 2.0))
  angles = positions.astype(np.float64)[:, None] * omega
  codes = np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)
  return codes.astype(np.float32)


def sincos_2d(grid: int, dim: int) -> Float[np.ndarray, 'n d']:
  """Returns codes of a square grid of patches, row by row; n = grid**2 + 1.

  Row 0 is the cls token and is zero. As in MAE (He et al., 2022) the first half
  of the channels codes the column and the second half the row.
  """
  if dim % 4:
    raise ValueError(f'dim must be divisible by 4, got {dim}')
  rows, columns = np.indices((grid, grid)).astype(np.float64)
  codes = np.concatenate(
      [sincos_1d(columns.ravel(), dim // 2), sincos_1d(rows.ravel(), dim // 2)],
      axis=-1,
  )
  return np.concatenate([np.zeros((1, dim), np.float32), codes])


def sincos_time(length: int, dim: int) -> Float[np.ndarray, 't d']:
  """Returns codes of frames 0..length-1, sine and cosine interleaved.

  P[t, 2i] = sin(t / 10000^(2i/d)), P[t, 2i+1] = cos(t / 10000^(2i/d))
  (Vaswani et al., 2017).
  """
  codes = sincos_1d(np.arange(length, dtype=np.float64), dim)
  sine, cosine = np.split(codes, 2, axis=-1)
  return np.stack([sine, cosine], axis=-1).reshape(length, dim)
