"""Paints the rooms in which scenes take place."""

from collections.abc import Sequence

import cv2
import numpy as np

from abaw_jax.data_builders.procedural.scenes import story

BORDER = 12  # pixels on each side, so that the camera can move
_SIZE = (story.HEIGHT + 2 * BORDER, story.WIDTH + 2 * BORDER)


def _near(
    rng: np.random.Generator, colour: np.ndarray, spread: float
) -> list[float]:
  """Returns a random colour around `colour`."""
  light = rng.normal(0, spread)
  return np.clip(colour + light + rng.normal(0, spread / 3, 3), 8, 248).tolist()


def _box(
    image: np.ndarray,
    x: float,
    y: float,
    w: float,
    h: float,
    colour: Sequence[float],
) -> None:
  cv2.rectangle(image, (int(x), int(y)), (int(x + w), int(y + h)), colour, -1)


def _window(
    image: np.ndarray, x: float, wall: np.ndarray, rng: np.random.Generator
) -> None:
  w, h, y = rng.uniform(110, 170), rng.uniform(150, 200), rng.uniform(24, 50)
  frame = _near(rng, np.minimum(wall + 45, 235), 6)
  _box(image, x - 7, y - 7, w + 14, h + 14, frame)
  sky = np.array([206.0, 222.0, 238.0]) + rng.normal(0, 10, 3)
  _box(image, x, y, w, h, sky.tolist())
  view = image[int(y) : int(y + h), int(x) : int(x + w)]
  ground = int(h * rng.uniform(0.5, 0.7))
  green = np.array([112.0, 138.0, 104.0])
  view[ground:] = _near(rng, 0.9 * green, 8)
  for at in rng.uniform(0, w, 24).astype(int).tolist():
    radius = int(rng.uniform(8, 26))
    cv2.circle(view, (at, ground), radius, _near(rng, green, 10), -1)
  _box(image, x + w / 2 - 3, y, 6, h, frame)
  _box(image, x, y + h / 3, w, 5, frame)
  cloth = _near(rng, wall * 0.86, 14)
  for side in (x - 30, x + w - 12):
    for fold in range(6):
      shade = (np.array(cloth) * (0.9 + 0.1 * (fold % 2))).tolist()
      _box(image, side + 7 * fold, y - 16, 7, h + 110, shade)


def _shelf(
    image: np.ndarray, x: float, wall: np.ndarray, rng: np.random.Generator
) -> None:
  w, y = rng.uniform(120, 170), rng.uniform(30, 80)
  wood = np.array([122.0, 88.0, 60.0]) * rng.uniform(0.6, 1.3)
  _box(image, x, y, w, 330, (0.55 * wood).tolist())
  for row in range(4):
    top = y + 66 * row
    at = x + 5
    while at < x + w - 16:
      thick, tall = rng.uniform(5, 12), rng.uniform(36, 54)
      if rng.random() < 0.85:
        book = _near(rng, np.array([122.0, 100.0, 88.0]), 34)
        _box(image, at, top + 62 - tall, thick - 1, tall, book)
      at += thick
    _box(image, x, top + 61, w, 6, wood.tolist())
  for side in (x, x + w - 5):
    _box(image, side, y - 4, 5, 330, wood.tolist())


def _pictures(
    image: np.ndarray, x: float, wall: np.ndarray, rng: np.random.Generator
) -> None:
  for _ in range(int(rng.integers(1, 4))):
    w, h, y = rng.uniform(40, 80), rng.uniform(40, 80), rng.uniform(40, 120)
    _box(image, x, y, w, h, _near(rng, wall * 0.45, 12))
    _box(image, x + 4, y + 4, w - 8, h - 8, _near(rng, wall, 30))
    hill = y + h * rng.uniform(0.5, 0.8)
    _box(
        image, x + 4, hill, w - 8, y + h - 4 - hill, _near(rng, wall * 0.7, 25)
    )
    x += w + rng.uniform(14, 30)


def _door(
    image: np.ndarray, x: float, wall: np.ndarray, rng: np.random.Generator
) -> None:
  w, y = rng.uniform(105, 130), rng.uniform(20, 40)
  _box(image, x - 8, y - 8, w + 16, 400, _near(rng, wall * 0.9, 8))
  leaf = np.array(_near(rng, wall * 0.75, 22))
  _box(image, x, y, w, 400, leaf.tolist())
  for top in (y + 14, y + 150):
    _box(image, x + 14, top, w - 28, 116, (0.9 * leaf).tolist())
  cv2.circle(image, (int(x + w - 10), int(y + 168)), 4, (190, 180, 150), -1)


def _plant(
    image: np.ndarray, x: float, wall: np.ndarray, rng: np.random.Generator
) -> None:
  for _ in range(26):
    angle, far = rng.uniform(-2.9, -0.25), rng.uniform(40, 120)
    tip = (int(x + far * np.cos(angle)), int(300 + 1.3 * far * np.sin(angle)))
    green = _near(rng, np.array([66.0, 104.0, 62.0]), 18)
    cv2.line(image, (int(x), 300), tip, green, 3, cv2.LINE_AA)
    cv2.ellipse(image, tip, (13, 5), np.degrees(angle), 0, 360, green, -1)
  pot = _near(rng, np.array([150.0, 96.0, 70.0]), 20)
  _box(image, x - 26, 300, 52, 60, pot)


_THINGS = (_window, _shelf, _pictures, _door, _plant)


def paint(look: tuple[int, ...], view: int) -> np.ndarray:
  """Returns a room, uint8 RGB, BORDER pixels larger than a picture on each side.

  Args:
    look: seed of the room: its colours.
    view: the camera angle; each angle shows other parts of the room.
  """
  rng = np.random.default_rng([*look, 5])
  wall = rng.uniform(95, 205) + rng.normal(0, 16, 3)
  floor = np.array([120.0, 92.0, 70.0]) * rng.uniform(0.6, 1.3)
  rng = np.random.default_rng([*look, 5, view])
  height, width = _SIZE
  image = np.empty((height, width, 3), np.uint8)
  image[:] = np.clip(wall, 0, 255)
  edge = int(rng.uniform(318, 345))
  image[edge:] = np.clip(floor, 0, 255)
  _box(image, 0, edge - 12, width, 10, np.clip(wall * 0.8, 0, 255).tolist())
  places = np.arange(4) * 170 + rng.uniform(-60, 30) + rng.normal(0, 14, 4)
  things = [_THINGS[i] for i in rng.permutation(len(_THINGS))]
  for x, thing in zip(places, things, strict=False):
    thing(image, float(x), wall, rng)
  # A lamp on one side; the room is out of focus.
  x, y = np.arange(width), np.arange(height)[:, None]
  lamp = rng.uniform(0, width), rng.uniform(-100, 120)
  far = np.hypot(x - lamp[0], 1.3 * (y - lamp[1])) / width
  soft = cv2.GaussianBlur(image, (0, 0), rng.uniform(2.2, 4.5))
  return np.clip(soft * (1.12 - 0.42 * far)[..., None], 0, 255).astype(np.uint8)
