"""The relief of the skin: a height field and creases, both under a lamp.

Both are linear in the action units, so a weighted sum per frame gives the slopes
of the height field and the shadow of the creases.
"""

import dataclasses

import cv2
import numpy as np

from abaw_jax.data_builders.procedural.rendering import canvas, emotion
from abaw_jax.data_builders.procedural.rendering import face as face_lib
from abaw_jax.data_builders.procedural.rendering import identity as identity_lib

_AXIS_Y = np.arange(canvas.GRID) - canvas.MARGIN + 0.5
_AXIS_X = _AXIS_Y - face_lib.CENTRE  # symmetric: the middle is at 0
_X, _Y = np.meshgrid(_AXIS_X, _AXIS_Y)

# Bumps of each unit: (x, y, horizontal and vertical sigma, height). x is relative
# to the middle; a bump with x > 0 is mirrored to the other side.
_BUMPS = {
    1: ((0, 31, 9, 4, 1.0),),
    2: ((19, 32, 7, 4, 1.0),),
    4: ((4.5, 40, 3, 3, 1.4), (0, 43, 1.6, 4, -1.2)),
    5: (),
    6: ((18, 60, 8, 4.5, 2.6), (18, 54.5, 7, 1.6, -0.8)),
    7: ((16, 54.5, 7, 1.6, 0.9),),
    9: ((0, 47, 4, 3, 1.2), (7, 64, 3, 4, 1.4), (0, 52, 5, 1.2, -0.9)),
    10: ((10, 69, 4, 5, 1.6), (16, 74, 3, 6, -0.7)),
    12: ((18, 67, 7, 6, 3.0), (20.5, 80, 2.6, 5, -0.9)),
    15: ((13, 92, 4, 3, 1.2), (16, 89, 2, 4, -1.1)),
    17: ((0, 96, 6, 4, 2.0), (0, 91.5, 8, 1.4, -1.0)),
    20: ((19, 86, 3, 5, -1.0),),
    23: ((0, 77, 8, 2.5, 0.9), (0, 91, 8, 2.5, 0.9), (13, 83, 2.5, 4, 0.9)),
    24: (
        (0, 77.5, 10, 2.5, 1.6),
        (0, 90.5, 10, 2.5, 1.5),
        (16, 83, 2, 3, -1.2),
    ),
    25: (),
    26: ((21, 80, 5, 9, -1.8), (0, 96, 7, 3, -2.0), (0, 104, 8, 3, 2.6)),
}

# Creases of each unit: (strength, blur, points of a line); all are mirrored.
_CREASES = {
    1: (
        (0.5, 0.8, ((0, 27), (8, 27.6), (13, 29))),
        (0.45, 0.8, ((0, 32), (7, 32.4), (11, 33.6))),
    ),
    2: (
        (0.5, 0.8, ((12, 29), (20, 27), (27, 29))),
        (0.45, 0.8, ((13, 33.5), (20, 31), (27, 33))),
    ),
    4: (
        (1.1, 0.7, ((2.6, 45), (2.4, 41), (3.2, 36))),
        (0.5, 2.0, ((0, 38), (0, 45))),
    ),
    5: (),
    6: (
        (0.6, 0.7, ((25.5, 48), (31, 45))),
        (0.6, 0.7, ((26, 50), (32, 50))),
        (0.6, 0.7, ((25.5, 52), (31, 55))),
        (0.7, 1.1, ((8, 54), (13, 57), (20, 56.6), (25, 54))),
    ),
    7: ((0.7, 0.9, ((8.5, 52), (13, 54.6), (19, 54.4), (24, 52))),),
    9: (
        (0.9, 0.7, ((2, 47), (5.5, 50))),
        (0.9, 0.7, ((1.6, 50), (6, 54.5))),
        (0.7, 0.7, ((0, 44), (4, 44.6))),
        (0.9, 1.2, ((7, 60), (11, 64), (14, 71))),
    ),
    10: ((1.1, 1.1, ((7.5, 63), (12, 67), (17, 76), (18, 81))),),
    12: (
        (0.85, 1.4, ((8.5, 66), (14, 70), (19.5, 77), (20.5, 83))),
        (0.6, 1.0, ((17.5, 76), (19, 80))),
    ),
    15: (
        (0.7, 1.2, ((13.5, 87), (16, 91), (16, 95))),
        (0.4, 1.2, ((9, 67), (14, 75), (16, 84))),
    ),
    17: (
        (1.0, 1.0, ((0, 91.6), (6, 92), (10, 94.5))),
        (0.5, 0.6, ((2, 95), (3.5, 98))),
        (0.5, 0.6, ((5, 96), (6, 98))),
    ),
    20: ((0.9, 1.0, ((18.5, 79), (20, 84), (18.5, 90))),),
    23: (
        (0.3, 0.5, ((3, 75), (2.6, 78))),
        (0.3, 0.5, ((7, 76), (6, 79))),
        (0.3, 0.5, ((3, 92), (2.6, 89))),
        (0.3, 0.5, ((7, 91), (6, 88.5))),
        (0.6, 0.9, ((12.5, 80), (14, 83), (12.5, 86))),
    ),
    24: (
        (1.2, 1.0, ((14, 80), (16.5, 83), (15, 87))),
        (0.6, 1.0, ((0, 92), (7, 91.5))),
    ),
    25: (),
    26: ((0.5, 2.0, ((22, 72), (22, 84), (17, 94))),),
}

# Permanent lines: (strength at age 0, added strength at age 1, blur, points).
_LASTING = (
    (0.1, 0.8, 1.2, ((8.5, 66), (14, 71), (17.5, 79), (17, 84))),
    (0.0, 0.5, 0.8, ((0, 28), (12, 28.4), (22, 31))),
    (0.0, 0.5, 0.8, ((0, 33), (10, 33.6), (18, 36))),
    (0.0, 0.5, 0.7, ((26, 50), (31, 50))),
    (0.0, 0.5, 0.7, ((25.5, 52), (30, 54.5))),
    (0.15, 0.6, 1.0, ((9, 54.5), (14, 57.5), (20, 56.5))),
    (0.0, 0.5, 1.0, ((14, 87), (15.5, 93))),
    (0.35, 0.1, 2.0, ((0, 91), (6, 90.6))),
    (0.25, 0.0, 1.2, ((0, 73), (0, 77))),
)


def bump(x: float, y: float, wide: float, tall: float) -> np.ndarray:
  """Returns a Gaussian [GRID, GRID] at x from the middle; mirrored if x > 0."""
  across = np.exp(-(((_AXIS_X - x) / wide) ** 2) / 2)
  if x > 0:
    across += across[::-1]
  return np.outer(np.exp(-(((_AXIS_Y - y) / tall) ** 2) / 2), across)


def _crease(blur: float, points: tuple[tuple[float, float], ...]) -> np.ndarray:
  """Returns a line of depth about 1 in its middle, with its mirror image."""
  curve = np.array(points, float)
  grid = np.zeros((canvas.GRID, canvas.GRID), np.uint8)
  for side in (-1, 1):
    place = curve * (side, 1) + (face_lib.CENTRE + canvas.MARGIN, canvas.MARGIN)
    fixed = np.rint(place * 16).astype(np.int32)
    cv2.polylines(grid, [fixed], False, 255, 1, cv2.LINE_AA, 4)
  soft = cv2.GaussianBlur(grid.astype(np.float32) / 255, (0, 0), blur)
  return soft / max(float(soft.max()), 1e-6)


def _skull(who: identity_lib.Identity) -> np.ndarray:
  """Returns the heights [GRID, GRID] of the head at rest, in crop pixels."""
  n = who.nose_length
  round_off = (_X / (40 * who.face_width)) ** 2 + ((_Y - 56) / 58) ** 2
  height = 34 * np.sqrt(np.clip(1 - round_off, 0.05, 1))
  for x, y, wide, tall, amount in (
      (0, 55 + n / 2, 3.2, 8, 3.6),
      (0, 65.5 + n, 4.2 * who.nose_width, 4, 6.5),
      (6.8 * who.nose_width, 67.5 + n, 2.6, 2.4, 3.0),
      (16, 48, 8, 5, -4.0),
      (8, 50, 3, 4, -1.5),
      (15, 39, 10, 3, 1.8),
      (22, 61, 8, 6, 2.0 + who.cheeks),
      (0, 83, 11, 4, 2.2),
      (0, 91, 8, 2, -1.5),
      (0, 98, 7, 4, 2.8),
      (21, 78, 6, 8, -1.2 + who.cheeks),
  ):
    height += amount * bump(x, y, wide, tall)
  return height


@dataclasses.dataclass(frozen=True)
class Relief:
  """Relief of one person; row 0 is the face at rest, then one row per unit."""

  # [1 + units, 3, GRID * GRID]: slopes to the right and down, and the fraction of
  # the light that creases absorb.
  surface: np.ndarray
  depth: np.ndarray  # [GRID, GRID] heights at rest, for parallax

  def shade(self, units: np.ndarray, light: np.ndarray) -> np.ndarray:
    """Returns the light on the skin [GRID, GRID, 4], about 1 on flat skin.

    The channels are red, green, blue and an unused one.

    Args:
      units: intensities of emotion.AUS.
      light: [4] direction to the lamp (right, down, to the viewer; its length is
        the strength of the lamp) and the strength of the ambient light.
    """
    surface = self.surface[0].copy()
    for row, unit in enumerate(units.tolist(), start=1):
      if unit > 0.01:
        cv2.scaleAdd(self.surface[row], unit, surface, surface)
    x, y, folds = surface
    light = light.astype(np.float32)
    dot = light[2] - x * light[0] - y * light[1]
    dot /= np.sqrt(1 + x * x + y * y)
    bright = light[3] + np.maximum(dot, 0)
    absorbed = bright * np.minimum(folds, 0.8)
    # Light from a crease went through skin, so it is red.
    blue = bright - absorbed
    red = bright - 0.72 * absorbed
    return cv2.merge([red, blue, blue, blue]).reshape(
        canvas.GRID, canvas.GRID, 4
    )


def build(who: identity_lib.Identity) -> Relief:
  """Returns the relief of a person."""
  heights, folds = [_skull(who)], []
  lasting = sum(
      (base + who.age * old) * _crease(blur, points)
      for base, old, blur, points in _LASTING
  )
  folds.append(0.4 * who.texture * lasting)
  depth_of_lines = who.texture * (0.22 + 0.24 * who.age)
  nothing = np.zeros_like(_X)
  for unit in emotion.AUS:
    heights.append(
        sum((b[4] * bump(*b[:4]) for b in _BUMPS[unit]), start=nothing)
    )
    folds.append(
        depth_of_lines
        * sum((s * _crease(b, p) for s, b, p in _CREASES[unit]), start=nothing)
    )
  slopes_y, slopes_x = np.gradient(np.stack(heights), axis=(1, 2))
  surface = np.stack([0.62 * slopes_x, 0.62 * slopes_y, np.stack(folds)], 1)
  return Relief(
      surface=surface.reshape(len(heights), 3, -1).astype(np.float32),
      depth=heights[0].astype(np.float32),
  )
