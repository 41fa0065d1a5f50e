"""Random masking of regions of aligned faces, as if they were occluded."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray, Real

# Top, left, bottom and right of each region / side of the image, for faces that are
# aligned to the five points of ArcFace (`faces/alignment.py`): there, the eyes are at
# a height of 0.46, the tip of the nose at 0.64 and the corners of the mouth at 0.82.
# The regions are symmetric, so mirrored images need no other ones.
REGIONS = {
    'upper': (0.0, 0.0, 0.64, 1.0),
    'lower': (0.64, 0.0, 1.0, 1.0),
    'eyes': (0.28, 0.12, 0.56, 0.88),
    'mouth': (0.70, 0.22, 0.96, 0.78),
}
# Random cells of a grid, for faces of any alignment.
BLOCKS = 'blocks'
NAMES = (*REGIONS, BLOCKS)
_GRID = 4  # cells per side
_BLOCK_SHARE = 0.25  # probability of a masked cell


def mask(
    key: PRNGKeyArray,
    images: Real[Array, 'b h w c'],
    *,
    probability: float,
    names: tuple[str, ...],
    fill: tuple[float, ...],
) -> Real[Array, 'b h w c']:
  """Returns the images; each has one masked region with this probability.

  Args:
    key: of all random numbers.
    images: full aligned images, before a crop.
    probability: of a masked image, in [0, 1].
    names: some of NAMES; one of them is drawn for each masked image.
    fill: colour of masked pixels.
  """
  choice_key, region_key, block_key = jax.random.split(key, 3)
  count, height, width, _ = images.shape
  rows, columns = ((jnp.arange(side) + 0.5) / side for side in (height, width))
  hidden = jax.random.bernoulli(block_key, _BLOCK_SHARE, (count, _GRID, _GRID))
  cells = [(x * _GRID).astype(jnp.int32) for x in (rows, columns)]
  blocks = hidden[:, cells[0]][:, :, cells[1]]  # [b, h, w]
  region = jax.random.randint(region_key, (count, 1, 1), 0, len(names))
  chosen = jax.random.bernoulli(choice_key, probability, (count, 1, 1))
  masked = jnp.zeros((count, height, width), bool)
  for i, name in enumerate(names):
    if name == BLOCKS:
      inside = blocks
    else:
      top, left, bottom, right = REGIONS[name]
      inside = ((rows >= top) & (rows < bottom))[:, None]
      inside &= ((columns >= left) & (columns < right))[None]
      inside = inside[None]
    masked |= (region == i) & inside
  colour = jnp.asarray(fill, images.dtype)[None, None, None]
  return jnp.where((chosen & masked)[..., None], colour, images)
