"""Paints hair and scarves at the back and the front of the head."""

import cv2
import numpy as np

from abaw_jax.data_builders.procedural.rendering import canvas
from abaw_jax.data_builders.procedural.rendering import face as face_lib
from abaw_jax.data_builders.procedural.rendering import identity as identity_lib

# Hair style -> (thickness of the hair on the skull, y of its end at the temples),
# in pixels.
_CAPS = {
    'short': (2.5, 54),
    'parted': (4.0, 56),
    'long': (3.5, 92),
    'fringe': (3.5, 74),
    'curly': (3.0, 50),
    'bun': (1.5, 52),
}


def _cap(
    image: np.ndarray,
    who: identity_lib.Identity,
    hairline: float,
    part: float,
) -> None:
  """Draws hair on the skull, from a parting at x = `part` to the temples."""
  w, colour = who.face_width, np.array(who.hair)
  v, down = _CAPS[who.hair_style]
  for side in (-1, 1):
    p = side * part
    outer = canvas.curve(
        (p, 17 * w, 29 * w + 0.7 * v, 35.5 * w + v, 36 * w + 0.7 * v, 35.5 * w),
        (3 - v, 4 - v, 15 - 0.5 * v, 32, 44, down),
    )
    inner = canvas.curve(
        (33 * w, 32 * w, 29.5 * w, 22 * w, 10 * w, p),
        (down, 42, hairline + 10, hairline + 3, hairline, hairline - 1),
    )
    lock = face_lib.half(np.concatenate([outer, inner]), side)
    canvas.fill(image, colour, face_lib.smooth(lock))
    # Rounded corners leave a gap at the parting; this fills it.
    crown = canvas.curve(
        (p, 12 * w, 12 * w, p), (2 - v, 3.5 - v, hairline, hairline)
    )
    canvas.fill(image, colour, face_lib.half(crown, side))


def _strands(
    image: np.ndarray, colour: np.ndarray, rng: np.random.Generator, count: int
) -> None:
  """Draws combed strands where `image` is opaque."""
  drawn = image.copy()
  for _ in range(count):
    if rng.random() < 0.4:
      side = rng.choice([-1, 1])
      x = rng.uniform(30, 44) + rng.normal(0, 1, 4).cumsum()
      strand = face_lib.half(
          canvas.curve(x, rng.uniform(30, 60) + np.arange(4) * 15), side
      )
    else:
      radius, start = rng.uniform(30, 62), rng.uniform(-np.pi, 0)
      angle = start + np.linspace(0, rng.uniform(0.15, 0.5), 5)
      strand = canvas.curve(
          face_lib.CENTRE + 0.72 * radius * np.cos(angle),
          50 + radius * np.sin(angle),
      )
    canvas.line(drawn, colour * rng.uniform(0.7, 1.35) + 4, strand, 1)
  _clip(image, drawn)


def _clip(image: np.ndarray, drawn: np.ndarray) -> None:
  """Copies the colours of `drawn` to `image` where it is opaque."""
  alpha = image[..., 3:].astype(np.uint16)
  image[..., :3] = (drawn[..., :3] * alpha // 255).astype(np.uint8)


def _curls(
    image: np.ndarray,
    who: identity_lib.Identity,
    colour: np.ndarray,
    rng: np.random.Generator,
    *,
    low: float,
    inner: float,
) -> None:
  """Draws curls around the head, down to an angle of `low` below the ears."""
  for _ in range(170):
    angle, r = rng.uniform(-np.pi - low, low), rng.uniform(inner, 1.0)
    x = face_lib.CENTRE + 43 * who.face_width * r * np.cos(angle)
    centre = np.array([x, 46 + 50 * r * np.sin(angle)])
    shade = colour * rng.uniform(0.82, 1.12) + 3
    canvas.disc(image, shade, centre, rng.uniform(2.5, 5))


def _fringe(
    image: np.ndarray, colour: np.ndarray, rng: np.random.Generator
) -> None:
  for x in np.arange(-27, 28, 3.0):
    end = 33 + rng.normal(0, 1.5) - 0.004 * x * x
    lock = canvas.curve(
        (0.8 * x - 4, 0.8 * x + 4, x + 2.6, x + 0.4, x - 2.6),
        (6, 6, end - 4, end, end - 4),
    )
    canvas.fill(image, colour * rng.uniform(0.85, 1.1), face_lib.half(lock, 1))


def _scarf(
    image: np.ndarray, cloth: np.ndarray, rng: np.random.Generator
) -> None:
  ring = canvas.curve((4, 24, 38, 41, 40, 34, 6), (-2, 2, 20, 50, 84, 122, 122))
  hole = canvas.curve(
      (5, 20, 29, 31, 30, 25, 16, 6), (17, 20, 34, 52, 72, 92, 108, 114)
  )
  ring, hole = (face_lib.smooth(face_lib.mirror(c)) for c in (ring, hole))
  canvas.fill(image, 1.08 * cloth, ring, hole)
  drawn = image.copy()
  for _ in range(9):
    x = rng.uniform(31, 40)
    fold = canvas.curve(
        (0.6 * x, x, 0.97 * x, 0.9 * x), (rng.uniform(2, 16), 40, 80, 116)
    )
    fold = face_lib.half(fold, rng.choice([-1, 1]))
    canvas.line(drawn, cloth * rng.uniform(0.75, 1.0), fold, 1)
  _clip(image, drawn)


def back(who: identity_lib.Identity, rng: np.random.Generator) -> np.ndarray:
  """Returns the canvas of the hair at the back of head and neck."""
  image = canvas.blank()
  colour = np.array(who.hair)
  if who.hair_style in ('long', 'fringe'):
    end = 118 if who.hair_style == 'long' else rng.uniform(84, 118)
    fall = canvas.curve(
        (3, 24, 38, 42, 43, 40, 8), (-3, 0, 16, 44, 76, end, end)
    )
    canvas.fill(image, 0.8 * colour, face_lib.smooth(face_lib.mirror(fall)))
    _strands(image, 0.8 * colour, rng, 60)
  elif who.hair_style == 'curly':
    _curls(image, who, 0.85 * colour, rng, low=0.9, inner=0.7)
  elif who.hair_style == 'bun':
    knot = np.array([face_lib.CENTRE + 3, 1])
    canvas.disc(image, 0.9 * colour, knot, 11)
    _strands(image, colour, rng, 20)
  elif who.hair_style == 'scarf':
    fall = canvas.curve(
        (4, 24, 39, 42, 42, 46, 8), (-3, 1, 20, 50, 80, 122, 122)
    )
    cloth = np.array(who.cloth)
    canvas.fill(image, cloth, face_lib.smooth(face_lib.mirror(fall)))
  return image


def front(who: identity_lib.Identity, rng: np.random.Generator) -> np.ndarray:
  """Returns the canvas of the hair that covers forehead and temples."""
  image = canvas.blank()
  style, colour = who.hair_style, np.array(who.hair)
  if style == 'bald':
    return image
  if style == 'scarf':
    _scarf(image, np.array(who.cloth), rng)
    return image
  hairline = rng.uniform(17, 22) + (4 if style == 'curly' else 0)
  part = rng.uniform(-12, 12) if style in ('parted', 'long') else 0.0
  _cap(image, who, hairline, part)
  if style == 'fringe':
    _fringe(image, colour, rng)
  if style == 'curly':
    _curls(image, who, colour, rng, low=0.15, inner=0.84)
  else:
    _strands(image, colour, rng, 110)
  return cv2.GaussianBlur(image, (3, 3), 0)
