"""Paints the body of a person: neck, collar, shoulders, arms and clothes."""

import cv2
import numpy as np

from abaw_jax.data_builders.procedural.rendering import bust as bust_lib
from abaw_jax.data_builders.procedural.rendering import canvas
from abaw_jax.data_builders.procedural.rendering import face as face_lib
from abaw_jax.data_builders.procedural.rendering import identity as identity_lib

# The layer in crop pixels: its corner relative to the corner of a canvas, its size.
LEFT, WIDTH, HEIGHT = -64, 256, 480
_ROUND = 34.0  # crop pixels from the edge of a part to its flat middle


def _contours(who: identity_lib.Identity) -> tuple[np.ndarray, np.ndarray]:
  """Returns the right halves of the trunk and of the right arm, [n, 2]."""
  broad = 1.06 - 0.12 * who.feminine
  side = canvas.curve(
      (66, 79, 73, 66, 70, 72, 0), (121, 140, 190, 320, 400, 520, 520)
  )
  arm = canvas.curve(
      (52, 68, 81, 88, 93, 95, 92, 76, 70, 68, 62),
      (117, 121, 133, 156, 230, 320, 420, 420, 320, 220, 150),
  )
  collar = bust_lib.collar(who)[:4]
  return np.concatenate([collar, side * (broad, 1)]), arm * (broad, 1)


def _fixed(points: np.ndarray) -> np.ndarray:
  corner = np.array([LEFT - canvas.MARGIN, -canvas.MARGIN])
  return np.rint((points - corner) * canvas.SCALE * 16).astype(np.int32)


def _light(part: np.ndarray, light: np.ndarray) -> np.ndarray:
  """Returns the light [h, w] on a rounded part of the body, uint8 mask [h, w]."""
  reach = _ROUND * canvas.SCALE
  inside = cv2.distanceTransform((part > 127).astype(np.uint8), cv2.DIST_L2, 5)
  rim = 1 - np.minimum(inside / reach, 1)
  height = 0.55 * reach * np.sqrt(1 - 0.96 * rim * rim)
  height = cv2.GaussianBlur(height, (0, 0), 7)
  slope_y, slope_x = np.gradient(0.62 * height)
  dot = light[2] - slope_x * light[0] - slope_y * light[1]
  dot /= np.sqrt(1 + slope_x**2 + slope_y**2)
  return light[3] + np.maximum(dot, 0)


def _mask(shape: tuple[int, int], points: np.ndarray) -> np.ndarray:
  mask = np.zeros(shape, np.uint8)
  cv2.fillPoly(mask, [_fixed(points)], 255, cv2.LINE_AA, 4)
  return mask


def _neck(
    image: np.ndarray, who: identity_lib.Identity, shade: np.ndarray
) -> None:
  """Draws the neck as the canvas of the head has it."""
  layer = canvas.blank()
  bust_lib.torso(layer, who)
  lit = np.clip(layer * np.append(shade, 1.0), 0, 255)
  x = int(-LEFT * canvas.SCALE)
  image[: canvas.SIZE, x : x + canvas.SIZE] = lit


def paint(
    who: identity_lib.Identity, light: np.ndarray, tint: np.ndarray
) -> np.ndarray:
  """Returns the body, premultiplied uint8 RGBA, SCALE pixels per crop pixel.

  Args:
    who: the person.
    light: lamp and ambient light, see relief.Relief.shade.
    tint: [3] colour of the light, around 1.
  """
  rng = np.random.default_rng([who.texture_seed, 1])
  shape = int(HEIGHT * canvas.SCALE), int(WIDTH * canvas.SCALE)
  image = np.zeros((*shape, 4), np.float32)
  _neck(image, who, (light[2] + light[3]) * tint)
  folds = rng.normal(0, 1, (14, 18)).astype(np.float32)
  folds = 1 + 0.035 * cv2.resize(
      folds, shape[::-1], None, 0, 0, cv2.INTER_CUBIC
  )
  trunk, arm = _contours(who)
  head = canvas.curve((0, 30, 30, 0), (70, 70, 124, 124))
  parts = (
      (_smooth(face_lib.mirror(trunk)), face_lib.mirror(head), 1.0),
      (_smooth(face_lib.half(arm, -1)), None, 0.95),
      (_smooth(face_lib.half(arm, 1)), None, 0.98),
  )
  for points, above, shade in parts:
    mask = _mask(shape, points)
    # Light does not fall on the edge of the cloth at the neck.
    solid = mask if above is None else np.maximum(mask, _mask(shape, above))
    lit = shade * folds * _light(solid, light)
    cloth = np.array(who.cloth) * tint * lit[..., None]
    cloth = np.dstack([np.clip(cloth, 0, 255), np.full(shape, 255.0)])
    if above is None:  # an arm throws a soft shadow on the trunk
      soft = cv2.GaussianBlur(mask, (0, 0), 6)[..., None] / 255
      image[..., :3] *= 1 - 0.3 * soft
    part = mask[..., None] / np.float32(255)
    image = image * (1 - part) + cloth * part
  dark = 0.7 * np.array(who.cloth) * (light[2] + light[3]) * tint
  for side in (-1, 1):
    line = _fixed(face_lib.half(bust_lib.collar(who)[:3], side))
    colour = (*np.clip(dark, 0, 255).tolist(), 255)
    cv2.polylines(image, [line], False, colour, 2, cv2.LINE_AA, 4)
  return image.astype(np.uint8)


def _smooth(points: np.ndarray) -> np.ndarray:
  return face_lib.smooth(points, 1)
