"""Fixed position codes of image patches and of frames."""

import jax.numpy as jnp
from jaxtyping import Array, Float
import numpy as np

from abaw_jax.core import errors


def sincos_1d(
    positions: Float[np.ndarray, 'n'], dim: int
) -> Float[np.ndarray, 'n d']:
  """Returns [sin | cos] codes of positions; frequencies are 10000^(-2i/dim)."""
  if dim % 2:
    raise ValueError(f'dim must be even, got {dim}')
  omega = 10000.0 ** -(np.arange(dim // 2, dtype=np.float64) / (dim / 2.0))
  angles = positions.astype(np.float64)[:, None] * omega
  codes = np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)
  return codes.astype(np.float32)


def sincos_2d(grid: int, dim: int) -> Float[np.ndarray, 'n d']:
  """Returns codes of a square grid of patches, row by row, n = grid**2 + 1.

  Row 0 is the code of the cls token, which is 0. As in MAE (He et al., 2022)
  the first half of the channels encodes the column and the second half the row.
  """
  if dim % 4:
    raise ValueError(f'dim must be divisible by 4, got {dim}')
  rows, columns = np.indices((grid, grid)).astype(np.float64)
  codes = np.concatenate(
      [sincos_1d(columns.ravel(), dim // 2), sincos_1d(rows.ravel(), dim // 2)],
      axis=-1,
  )
  return np.concatenate([np.zeros((1, dim), np.float32), codes])


def interleaved_sincos(count: int, dim: int) -> Float[np.ndarray, 'n d']:
  """Returns codes of `count` tokens in their order, as `sincos_at`, in float64.

  They are those of VideoMAE (Tong et al., arXiv 2203.12602).
  """
  omega = 10000.0 ** -(np.arange(0, dim, 2, dtype=np.float64) / dim)
  angles = np.arange(count, dtype=np.float64)[:, None] * omega
  codes = np.stack([np.sin(angles), np.cos(angles)], axis=-1)
  return codes.reshape(count, dim).astype(np.float32)


def sincos_at(times: Float[Array, '*b t'], dim: int) -> Float[Array, '*b t d']:
  """Returns codes of frame times, with interleaved sine and cosine.

  P[t, 2i] = sin(t / 10000^(2i/d)), P[t, 2i+1] = cos(t / 10000^(2i/d))
  (Vaswani et al., 2017).
  """
  angles = _angles(times, dim)
  codes = jnp.stack([jnp.sin(angles), jnp.cos(angles)], axis=-1)
  return codes.reshape(*times.shape, dim)


def rotate(
    x: Float[Array, 'b t h d'], times: Float[Array, '#b t']
) -> Float[Array, 'b t h d']:
  """Returns queries or keys with rotary positions (Su et al., 2104.09864).

  Channels i and i + d/2 form a point, rotated by the angle time / 10000^(2i/d).
  So products of queries and keys depend only on time differences.
  """
  return rotate_by(x, _angles(times, x.shape[-1]))


def rotate_by(
    x: Float[Array, 'b t h d'], angles: Float[Array, '#b t a']
) -> Float[Array, 'b t h d']:
  """Returns queries or keys whose channels i and i + d/2 are a rotated point."""
  angles = angles[:, :, None]
  cos, sin = jnp.cos(angles).astype(x.dtype), jnp.sin(angles).astype(x.dtype)
  first, second = jnp.split(x, 2, axis=-1)
  return jnp.concatenate(
      [first * cos - second * sin, first * sin + second * cos], axis=-1
  )


def axial_angles(grid: int, dim: int) -> Float[np.ndarray, 'n a']:
  """Returns rotary angles of a square grid of patches, row by row, n = grid**2.

  As in DINOv3 (Simeoni et al., arXiv 2508.10104): the centres of the patches are
  between -1 and 1. The first half of the angles is for the row and the second for
  the column. Periods grow from 1 to 100.

  Args:
    grid: patches along a side of the image.
    dim: width of a head; a multiple of 4.
  """
  centres = (np.indices((grid, grid)).reshape(2, -1).T + 0.5) / grid * 2 - 1
  periods = 100.0 ** (np.arange(dim // 4) / (dim // 4))
  angles = 2 * np.pi * centres[:, :, None] / periods
  return angles.reshape(len(centres), -1).astype(np.float32)


def _angles(times, dim):
  """Returns the angles times / 10000^(2i/dim), shape [..., dim/2]."""
  check_even(dim)
  omega = 10000.0 ** -(np.arange(0, dim, 2, dtype=np.float64) / dim)
  omega = omega.astype(np.float32).reshape((1,) * times.ndim + (-1,))
  return times.astype(jnp.float32)[..., None] * omega


def check_even(dim: int) -> None:
  """Raises an InputError if `dim` is odd: sine and cosine need equal halves."""
  if dim % 2:
    raise errors.InputError(
        'config.model.positions: sine and rotary positions need an even width, '
        f'not {dim}; change the width, the number of heads or the positions'
    )
