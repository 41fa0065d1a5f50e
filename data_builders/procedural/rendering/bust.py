"""Paints the parts of a person that no action unit moves, once per video."""

import dataclasses

import numpy as np

from abaw_jax.data_builders.procedural.rendering import canvas, hair
from abaw_jax.data_builders.procedural.rendering import face as face_lib
from abaw_jax.data_builders.procedural.rendering import identity as identity_lib
from abaw_jax.data_builders.procedural.rendering import relief as relief_lib
from abaw_jax.data_builders.procedural.rendering import skin as skin_lib

_FRAMES = ((24, 22, 24), (70, 44, 30), (120, 110, 100), (60, 30, 40))


@dataclasses.dataclass(frozen=True)
class Bust:
  """Layers at the back and the front of the face, and the pattern of the skin."""

  who: identity_lib.Identity
  back: np.ndarray  # hair, neck, clothes, ears
  front: np.ndarray  # hair and glasses
  complexion: np.ndarray  # [GRID, GRID, 4] factors of the skin colour
  beard: np.ndarray | None  # uint8 [SIZE, SIZE], 255 where it covers the skin
  relief: relief_lib.Relief


def collar(who: identity_lib.Identity) -> np.ndarray:
  """Returns the right half of the collar and the shoulder [7, 2]."""
  wide = _neck_width(who)
  return canvas.curve(
      (0, 12, wide + 5, wide + 26, 66, 66, 0),
      (121, 116, 107, 113, 121, 130, 130),
  )


def _neck_width(who: identity_lib.Identity) -> float:
  return 17 * who.jaw_width + 3 * (1 - who.feminine)


def torso(image: np.ndarray, who: identity_lib.Identity) -> None:
  """Draws the neck and the collar."""
  skin, cloth = np.array(who.skin), np.array(who.cloth)
  wide = _neck_width(who)
  neck = canvas.curve(
      (3, wide, wide - 1, wide + 4, wide + 14, 3), (80, 80, 100, 110, 122, 124)
  )
  canvas.fill(image, 0.8 * skin, face_lib.smooth(face_lib.mirror(neck)))
  shadow = canvas.curve((3, wide - 1, wide - 3, 3), (88, 88, 104, 112))
  canvas.fill(image, 0.68 * skin, face_lib.smooth(face_lib.mirror(shadow)))
  cloth_edge = collar(who)
  for side, shade in ((-1, 0.92), (1, 1.0)):
    canvas.fill(image, shade * cloth, face_lib.half(cloth_edge, side))
    canvas.line(image, 0.7 * cloth, face_lib.half(cloth_edge[:3], side), 2)


def _ears(image: np.ndarray, who: identity_lib.Identity) -> None:
  skin = np.array(who.skin) * (0.97, 0.9, 0.88)
  x, e = 33.5 * who.face_width, who.ears
  rim = canvas.curve(
      (x - 2, x + 4 * e, x + 5.5 * e, x + 3.5 * e, x + 1, x - 3),
      (45, 44, 51, 60, 65, 63),
  )
  fold = canvas.curve(
      (x + 0.5, x + 3 * e, x + 3 * e, x + 1), (48, 48.5, 54, 59)
  )
  for side in (-1, 1):
    canvas.fill(image, skin, face_lib.smooth(face_lib.half(rim, side)))
    canvas.line(image, 0.75 * skin, face_lib.half(fold, side), 2)


def _glasses(
    image: np.ndarray, who: identity_lib.Identity, rng: np.random.Generator
) -> None:
  colour = np.array(_FRAMES[rng.integers(len(_FRAMES))], float)
  angle = np.linspace(0, 2 * np.pi, 25)
  x, y = np.cos(angle), np.sin(angle)
  if who.glasses == 'square':
    x, y = (
        11.6 * np.sign(x) * np.abs(x) ** 0.55,
        8.6 * np.sign(y) * np.abs(y) ** 0.55,
    )
  else:
    x, y = 10.6 * x, 9.6 * y
  gap = who.eye_gap
  for side in (-1, 1):
    rim = canvas.curve(16.5 + gap + x, 50.5 + y)
    temple = canvas.curve((28 + gap, 35), (48.5, 48))
    bridge = canvas.curve((6.5 + gap, 0), (49.5, 47.6))
    for part in (rim, temple, bridge):
      canvas.line(image, colour, face_lib.half(part, side), 2)
    eye = face_lib.CENTRE + side * (16.5 + gap)
    glare = canvas.curve((eye - 5, eye - 1.5), (48.5, 44.5))
    canvas.line(image, (255, 255, 255), glare, 1)


def build(who: identity_lib.Identity) -> Bust:
  """Returns the painted bust of a person."""
  rng = np.random.default_rng(who.texture_seed)
  back = hair.back(who, rng)
  torso(back, who)
  if who.hair_style not in ('long', 'scarf', 'fringe'):
    _ears(back, who)
  front = hair.front(who, rng)
  if who.glasses != 'none':
    _glasses(front, who, rng)
  return Bust(
      who=who,
      back=back,
      front=front,
      complexion=skin_lib.complexion(who, rng),
      beard=skin_lib.beard(who, rng),
      relief=relief_lib.build(who),
  )
