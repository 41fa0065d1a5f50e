"""JPEG compression on the device: the loss of the format, without its bits.

The steps are those of libjpeg: YCbCr, chroma of half the size (4:2:0), the DCT of
blocks of 8 x 8, quantisation, and back, with libjpeg's smooth upsampling of chroma.
Unlike there, values are not rounded to 8 bits between the steps. Real-ESRGAN's own
step repeats the pixels of chroma and does not round the tables.
"""

import functools

import jax.numpy as jnp
from jaxtyping import Array, Float
import numpy as np

from abaw_jax.augmentation import canvas, draws

_BLOCK = 8
# Quantisation of ITU-T T.81, annex K.1, for quality 50.
_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)
# ITU-R BT.601, as in JFIF, with chroma around 0.
_TO_YCC = np.float32(
    [
        (0.299, 0.587, 0.114),
        (-0.168735892, -0.331264108, 0.5),
        (0.5, -0.418687589, -0.081312411),
    ]
)
_TO_RGB = np.linalg.inv(_TO_YCC)
_DCT = np.array(
    [
        [
            np.sqrt((2 if u else 1) / _BLOCK)
            * np.cos((2 * x + 1) * u * np.pi / (2 * _BLOCK))
            for x in range(_BLOCK)
        ]
        for u in range(_BLOCK)
    ]
)
_DCT_2D = np.float32(np.kron(_DCT, _DCT))  # of the 64 pixels of a block


def compress(
    image: Float[Array, 'n n 3'],
    quality: draws.Number,
    length: draws.Integer,
) -> Float[Array, 'n n 3']:
  """Returns the image after JPEG compression, clipped to 0..1.

  Args:
    image: RGB in 0..1 on a canvas, see `canvas.py`.
    quality: of libjpeg, 1 to 100.
    length: side of the image.
  """
  side = image.shape[0]
  full = -(-side // (2 * _BLOCK)) * 2 * _BLOCK
  image = canvas.replicated(jnp.clip(image, 0.0, 1.0), length, full) * 255
  y, *chroma = (
      sum(weight * image[..., i] for i, weight in enumerate(row))
      for row in _TO_YCC
  )
  luma, table = tables(quality)
  small = jnp.stack(chroma).reshape(2, full // 2, 2, full // 2, 2).mean((2, 4))
  planes = [
      _quantized(y[None] - 128, luma)[0] + 128,
      *(
          _doubled(plane, (length + 1) // 2)
          for plane in _quantized(small, table)
      ),
  ]
  rgb = [
      sum(weight * plane for weight, plane in zip(row, planes, strict=True))
      for row in _TO_RGB
  ]
  return jnp.clip(jnp.stack(rgb, -1)[:side, :side] / 255, 0.0, 1.0)


def tables(
    quality: draws.Number,
) -> tuple[Float[Array, '8 8'], Float[Array, '8 8']]:
  """Returns the quantisation of luma and of chroma, as libjpeg."""
  factor = jnp.floor(jnp.where(quality < 50, 5000 / quality, 200 - 2 * quality))
  luma, chroma = (
      jnp.clip(jnp.floor((jnp.float32(table) * factor + 50) / 100), 1, 255)
      for table in (_LUMA, _CHROMA)
  )
  return luma, chroma


def _quantized(
    planes: Float[Array, 'c n n'], table: Float[Array, '8 8']
) -> Float[Array, 'c n n']:
  """Returns planes after quantisation of the DCT of their blocks."""
  count = planes.shape[1] // _BLOCK
  blocks = planes.reshape(-1, count, _BLOCK, count, _BLOCK).swapaxes(2, 3)
  shape, steps = blocks.shape, table.reshape(1, -1)
  multiply = functools.partial(jnp.matmul, precision='highest')
  found = jnp.round(multiply(blocks.reshape(-1, 64), _DCT_2D.T) / steps)
  blocks = multiply(found * steps, _DCT_2D).reshape(shape)
  return blocks.swapaxes(2, 3).reshape(planes.shape)


def _doubled(
    plane: Float[Array, 'n n'], length: draws.Integer
) -> Float[Array, 'm m']:
  """Returns a plane of twice the side; each pixel is 3/4 near and 1/4 next."""
  place = jnp.arange(plane.shape[0])
  for _ in range(2):
    before = plane[jnp.maximum(place - 1, 0)]
    after = plane[jnp.minimum(place + 1, length - 1)]
    pairs = jnp.stack([before, after], 1) + 3 * plane[:, None]
    plane = pairs.reshape(-1, plane.shape[1]).T / 4
  return plane
