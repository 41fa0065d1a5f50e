"""Paints one frontal face: skin, nose, eyes, mouth, brows, then the light."""

import cv2
import numpy as np

from abaw_jax.data_builders.procedural.rendering import bust as bust_lib
from abaw_jax.data_builders.procedural.rendering import canvas
from abaw_jax.data_builders.procedural.rendering import face as face_lib

_WHITE = np.array([236.0, 234.0, 230.0])
_TEETH = np.array([252.0, 248.0, 238.0])
_CAVITY = np.array([58.0, 20.0, 22.0])
_TONGUE = np.array([151.0, 71.0, 71.0])
_UNIT = 128  # light of strength 1, in 8 bits
_HINGE, _CHIN = 84, 114  # y range of the beard that moves with the jaw


def _between(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
  return np.concatenate([top, bottom[::-1]])


def _eye(image: np.ndarray, eye: face_lib.Eye, bust: bust_lib.Bust) -> None:
  who = bust.who
  skin, iris = np.array(who.skin), np.array(who.iris)
  fold = skin * (0.66, 0.58, 0.55)
  opening = _between(eye.upper, eye.lower[1:-1])
  ball = np.empty_like(image)
  canvas.fill(ball, _WHITE, canvas.box(opening, 4))
  canvas.disc(ball, iris * 0.45, eye.iris, eye.radius)
  canvas.disc(ball, iris, eye.iris, eye.radius * 0.86)
  canvas.disc(
      ball, iris * 1.45 + 12, np.add(eye.iris, (0, 0.9)), eye.radius * 0.55
  )
  canvas.disc(ball, (12, 10, 12), eye.iris, eye.radius * 0.45)
  canvas.line(ball, _WHITE * 0.68, np.add(eye.upper, (0, 0.6)), 3)
  inner = eye.upper[0 if eye.side > 0 else -1] + (0.9 * eye.side, 0.2)
  canvas.disc(ball, (206, 140, 130), inner, 1.0)
  canvas.disc(ball, (255, 255, 255), np.add(eye.iris, (-1.3, -1.5)), 0.85)
  view = canvas.window(opening, 2)
  cover = canvas.mask(opening)[view]
  image[view] = canvas.blend(image[view], ball[view], cover)
  canvas.line(image, fold, eye.crease, 1)
  canvas.line(image, skin * (0.82, 0.74, 0.72), eye.lower, 1)
  lash = np.minimum(skin * 0.3, 46 - 30 * who.makeup)
  canvas.line(image, lash, eye.upper, 2)
  if who.feminine > 0.5:
    outer = eye.upper[-1 if eye.side > 0 else 0]
    tip = np.add(outer, (1.6 * eye.side, -1.3))
    canvas.line(image, lash, np.stack([outer, tip]), 2)


def _nose(image: np.ndarray, face: face_lib.Face, bust: bust_lib.Bust) -> None:
  skin = np.array(bust.who.skin)
  x, y = face.nose
  hole = canvas.curve((2.2, 3.4, 5.2, 5.4, 3.6), (0.6, -0.6, -0.3, 0.9, 1.3))
  wing = canvas.curve((6.8, 8.6, 8.2, 6.2), (-4.2, -1.6, 1.0, 1.6))
  base = canvas.curve((0, 2.4), (2.5, 1.8))
  for side in (-1, 1):
    place, wide = np.array([x, y]), (side * bust.who.nose_width, 1)
    canvas.fill(image, skin * (0.4, 0.3, 0.28), hole * wide + place)
    canvas.line(image, skin * (0.74, 0.66, 0.63), wing * wide + place, 1)
    canvas.line(image, skin * (0.7, 0.62, 0.6), base * wide + place, 1)


def _mouth(
    image: np.ndarray, mouth: face_lib.Mouth, bust: bust_lib.Bust
) -> None:
  lips = np.array(bust.who.lips)
  skin = np.array(bust.who.skin)
  ui, li = mouth.upper_inner, mouth.lower_inner
  edge = 0.5 * lips + 0.5 * skin
  rim = _between(mouth.upper_outer, mouth.lower_outer)
  canvas.line(image, edge, np.concatenate([rim, rim[:1]]), 2)
  if mouth.gap > 0:
    canvas.fill(image, _CAVITY, _between(ui, li))
    if mouth.gap > 4.5:
      top = np.maximum(li[:, 1] - 0.42 * (li[:, 1] - ui[:, 1]), ui[:, 1])
      tongue = canvas.curve(li[:, 0], top)
      canvas.fill(image, _TONGUE, _between(tongue[3:-3], li[3:-3]))
    room = np.minimum(mouth.teeth, 0.8 * (li[:, 1] - ui[:, 1]))
    teeth = canvas.curve(ui[:, 0], ui[:, 1] + room)
    canvas.fill(image, _TEETH, _between(ui[2:-2], teeth[2:-2]))
  canvas.fill(image, lips * (0.9, 0.84, 0.85), _between(mouth.upper_outer, ui))
  canvas.fill(image, lips, _between(li, mouth.lower_outer))
  thick = mouth.lower_outer[:, 1] - li[:, 1]
  if thick[8] > 2.2:
    shine = canvas.curve(li[:, 0], li[:, 1] + 0.4 * thick)
    canvas.line(image, lips * 0.8 + 50, shine[5:12], 2)
  dark = lips * (0.45, 0.32, 0.34)
  canvas.line(image, dark, ui, 1)
  for corner in (ui[0], ui[-1]):
    canvas.disc(image, dark, corner, 0.9)


def _beard(
    image: np.ndarray, face: face_lib.Face, bust: bust_lib.Bust
) -> np.ndarray:
  """Returns the canvas with the beard, which moves with the jaw."""
  cover = bust.beard
  rows = np.arange(canvas.SIZE, dtype=np.float32)
  y = rows / canvas.SCALE - canvas.MARGIN
  pull = face.jaw * np.clip((y - _HINGE) / (_CHIN - _HINGE), 0, 1)
  source = np.repeat((rows - pull * canvas.SCALE)[:, None], canvas.SIZE, 1)
  across = np.repeat(rows[None], canvas.SIZE, 0)
  cover = cv2.remap(cover, across, source, cv2.INTER_LINEAR)
  # The beard stays inside the outline of the head.
  cover = cv2.multiply(cover, image[..., 3], scale=1 / 255)
  hairs = np.empty_like(image)
  hairs[:] = (*(int(0.9 * c) for c in bust.who.hair), 255)
  return canvas.blend(image, hairs, cover)


def paint(
    bust: bust_lib.Bust,
    face: face_lib.Face,
    units: np.ndarray,
    light: np.ndarray,
    tint: np.ndarray,
) -> np.ndarray:
  """Returns a premultiplied RGBA canvas, uint8 [SIZE, SIZE, 4].

  Args:
    bust: parts of the person that do not move.
    face: curves of this frame.
    units: intensities of emotion.AUS from which `face` was built.
    light: lamp and ambient light, see relief.Relief.shade.
    tint: [3] colour of the light, around 1.
  """
  image = bust.back.copy()
  skin = np.array(bust.who.skin)
  canvas.fill(image, skin * (0.8, 0.74, 0.72), np.add(face.outline, (0, 0.7)))
  canvas.fill(image, skin, face.outline)
  if bust.beard is not None:
    image = _beard(image, face, bust)
  _nose(image, face, bust)
  for eye in face.eyes:
    _eye(image, eye, bust)
  _mouth(image, face.mouth, bust)
  brow = 0.75 * np.array(bust.who.hair) + 0.08 * skin
  for curve in face.brows:
    canvas.fill(image, 0.55 * brow + 0.45 * skin, np.add(curve, (0, 0.3)))
    canvas.fill(image, brow, curve)
  image = canvas.over(image, bust.front)
  shade = bust.relief.shade(units, light) * bust.complexion
  # 8 bits of light are four times faster than floats, and finer than the noise.
  shade = cv2.multiply(shade, (*(_UNIT * tint), 0.0), dtype=cv2.CV_8U)
  shade[..., 3] = _UNIT  # light does not change alpha
  shade = cv2.resize(shade, (canvas.SIZE, canvas.SIZE))
  return cv2.multiply(image, shade, scale=1 / _UNIT)
