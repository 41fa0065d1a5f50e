"""Paints objects between the camera and the face."""

import numpy as np

from abaw_jax.data_builders.procedural.rendering import canvas
from abaw_jax.data_builders.procedural.rendering import face as face_lib


def _hand(image: np.ndarray, x: float, y: float, skin: np.ndarray) -> None:
  left, top = 14 + 14 * x, 84 + 6 * y
  palm = canvas.curve(
      (left - 14, left + 20, left + 40, left - 6), (top + 12, top + 4, 132, 132)
  )
  canvas.fill(image, 0.86 * skin, face_lib.half(palm, 1))
  for k in range(4):
    root = left - 12 + 8.5 * k
    finger = canvas.curve(
        (root + 8, root, root - 7),
        (top + 22, top, top - 16 + 3 * abs(k - 1.5)),
    )
    finger = face_lib.half(finger, 1)
    for width, shade in ((15, 0.7), (12, 0.9), (8, 0.97)):
      canvas.line(image, shade * skin, finger, width)


def _microphone(
    image: np.ndarray, x: float, y: float, skin: np.ndarray
) -> None:
  del skin
  left, top = 10 * x, 93 + 5 * y
  stick = canvas.curve(
      (left - 5, left + 5, left + 9, left - 1), (top, top, 132, 132)
  )
  canvas.fill(image, (30, 30, 34), face_lib.half(stick, 1))
  head = np.array([face_lib.CENTRE + left, top])
  canvas.disc(image, (50, 50, 54), head, 10)
  canvas.disc(image, (66, 66, 70), head - 1.5, 7)
  canvas.disc(image, (104, 104, 110), head - 3.5, 2.5)


def _border(image: np.ndarray, x: float, y: float, skin: np.ndarray) -> None:
  """Paints the black area that alignment leaves outside of the video frame."""
  del skin
  edge = 24 - 6 * abs(y)
  if x > 0:
    side = canvas.curve(
        (-70, 70, 70, -70), (112 - edge / 2, 114 - edge / 2, 130, 130)
    )
  else:
    side = canvas.curve((-70, edge - 52, edge - 55, -70), (-20, -20, 130, 130))
  canvas.fill(image, (14, 14, 16), face_lib.half(side, 1))


def _lock(image: np.ndarray, x: float, y: float, skin: np.ndarray) -> None:
  left, end = 20 * x, 60 + 8 * y
  lock = canvas.curve(
      (left - 6, left + 8, left + 13, left + 10, left + 5, left + 2),
      (0, 0, 0.7 * end, end, end - 6, 0.6 * end),
  )
  lock = face_lib.smooth(face_lib.half(lock, 1))
  canvas.fill(image, 0.28 * skin, lock)


KINDS = {
    'hand': _hand,
    'microphone': _microphone,
    'border': _border,
    'lock': _lock,
}


def paint(
    image: np.ndarray, kind: str, place: np.ndarray, skin: np.ndarray
) -> None:
  """Draws an occluder on a canvas.

  Args:
    image: RGBA canvas of the head, changed in place.
    kind: a key of KINDS.
    place: [2] position of the occluder, about -1 to 1.
    skin: [3] skin colour of the person.
  """
  KINDS[kind](image, float(place[0]), float(place[1]), skin)
