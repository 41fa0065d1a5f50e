"""The pattern of the skin: blotches, blush, freckles, make-up and beard."""

import cv2
import numpy as np

from abaw_jax.data_builders.procedural.rendering import canvas, relief
from abaw_jax.data_builders.procedural.rendering import face as face_lib
from abaw_jax.data_builders.procedural.rendering import identity as identity_lib

_COVER = {'stubble': 0.38, 'moustache': 0.9, 'full': 0.9}


def _noise(rng: np.random.Generator, cells: int) -> np.ndarray:
  """Returns smooth unit noise [GRID, GRID, 1] from a grid of `cells` x `cells`."""
  noise = rng.normal(0, 1, (cells, cells)).astype(np.float32)
  side = (canvas.GRID, canvas.GRID)
  return cv2.resize(noise, side, interpolation=cv2.INTER_CUBIC)[..., None]


def _freckles(rng: np.random.Generator) -> np.ndarray:
  """Returns the strength of freckles [GRID, GRID, 1], 0 to 0.6."""
  dots = np.zeros((canvas.GRID, canvas.GRID), np.float32)
  x = rng.normal(face_lib.CENTRE, 15, 90) + canvas.MARGIN
  y = rng.normal(61, 6, 90) + canvas.MARGIN
  x = np.clip(x, 0, canvas.GRID - 1)
  np.add.at(dots, (y.astype(int), x.astype(int)), 1.0)
  return np.minimum(cv2.GaussianBlur(dots, (0, 0), 0.7), 0.6)[..., None]


def complexion(
    who: identity_lib.Identity, rng: np.random.Generator
) -> np.ndarray:
  """Returns factors of the skin colour, float32 [GRID, GRID, 4]; alpha is 1."""
  tone = np.ones((canvas.GRID, canvas.GRID, 3))
  for cells, amount in ((64, 0.012), (24, 0.012), (8, 0.015)):
    tone *= 1 + amount * who.texture * _noise(rng, cells)
  rose = np.array([0.02, -0.09, -0.08])
  shadow = rng.uniform(-0.25, 0.0, 3) * who.makeup
  for colour, place in (
      ((0.7 + 0.8 * who.makeup) * rose, (20, 66, 8, 6)),  # cheeks
      (0.7 * rose, (0, 67, 5, 4)),  # nose
      ((-0.07, -0.09, -0.07), (14, 52, 7, 5)),  # below the eyes
      (shadow, (17, 45.5, 6, 2.2)),  # upper lids
  ):
    tone += np.asarray(colour) * relief.bump(*place)[..., None]
  brown = who.freckles * np.array([0.3, 0.5, 0.6])
  tone *= 1 - brown * _freckles(rng)
  return np.pad(tone, ((0, 0), (0, 0), (0, 1)), constant_values=1).astype(
      np.float32
  )


def beard(
    who: identity_lib.Identity, rng: np.random.Generator
) -> np.ndarray | None:
  """Returns the cover of the beard, uint8 [SIZE, SIZE]; None without a beard.

  The jaw is closed; 255 hides the skin.
  """
  if who.beard == 'none':
    return None
  w, j = who.face_width, who.jaw_width * who.face_width
  shapes = [
      canvas.curve((2, 8, 14, 16.5, 13, 8, 2), (73, 73, 77, 83, 82, 79, 79))
  ]
  if who.beard != 'moustache':
    shapes.append(
        canvas.curve(
            (
                2,
                9,
                14,
                16,
                25 * w,
                30 * w,
                36 * w,
                33 * w,
                30 * j,
                23 * j,
                12 * j,
                2,
            ),
            (91, 90, 86, 79, 73, 60, 56, 74, 86, 98, 107, 109),
        )
    )
  cover = sum(
      canvas.mask(face_lib.mirror(s), blur=2.0).astype(np.float32)
      for s in shapes
  )
  hairs = rng.uniform(0.55, 1.2, (canvas.SIZE, canvas.SIZE)).astype(np.float32)
  hairs = cv2.GaussianBlur(hairs, (1, 5), 0)
  cover = np.clip(cover * hairs * _COVER[who.beard], 0, 242)
  return cover.astype(np.uint8)
