"""The contact sheet: what the expressions and the action units look like."""

import pathlib

import cv2
import numpy as np

from abaw_jax import errors, labels
from data_builders.procedural import bust as bust_lib
from data_builders.procedural import canvas, emotion, painter
from data_builders.procedural import face as face_lib
from data_builders.procedural import identity as identity_lib

PEOPLE = 8
_LAMP = np.array([-0.25, -0.35, 0.55, 0.44])
_PAPER = np.array([196.0, 204.0, 212.0])
_TITLE = 66  # pixels left of a row of expressions
_STRIP = 6  # action units in a row


def portrait(bust: bust_lib.Bust, units: np.ndarray) -> np.ndarray:
  """Returns one clean frontal face, uint8 RGB [CROP, CROP, 3]."""
  face = face_lib.build(bust.who, units, np.zeros(2), 0.0)
  image = painter.paint(bust, face, units, _LAMP, np.ones(3))
  image = image[..., :3] + _PAPER * (1 - image[..., 3:] / 255)
  edge = int(canvas.MARGIN * canvas.SCALE)
  image = image[edge:-edge, edge:-edge].astype(np.uint8)
  return cv2.resize(image, (canvas.CROP,) * 2, interpolation=cv2.INTER_AREA)


def _write_text(image: np.ndarray, text: str, x: int, y: int) -> None:
  cv2.putText(
      image,
      text,
      (x, y),
      cv2.FONT_HERSHEY_SIMPLEX,
      0.4,
      (40, 40, 40),
      1,
      cv2.LINE_AA,
  )


def make(seed: int) -> np.ndarray:
  """Returns the sheet, uint8 RGB: expressions by people, then single units."""
  people = [
      bust_lib.build(identity_lib.sample(np.random.default_rng([seed, 99, i])))
      for i in range(PEOPLE)
  ]
  rows = []
  for expression in labels.EXPRESSIONS:
    title = np.full((canvas.CROP, _TITLE, 3), 255, np.uint8)
    _write_text(title, expression, 2, canvas.CROP // 2)
    units = emotion.prototype(expression)
    rows.append(np.hstack([title, *(portrait(b, units) for b in people)]))
  cells = []
  for i, name in enumerate(labels.AU_NAMES):
    units = np.zeros(len(emotion.AUS))
    units[i] = 1
    cell = portrait(people[i % PEOPLE], units)
    _write_text(cell, name, 2, 12)
    cells.append(cell)
  width = rows[0].shape[1]
  for i in range(0, len(cells), PEOPLE):
    strip = np.full((canvas.CROP, width, 3), 255, np.uint8)
    row = np.hstack(cells[i : i + PEOPLE])
    strip[:, _TITLE : _TITLE + row.shape[1]] = row
    rows.append(strip)
  return np.vstack(rows)


def write(path: pathlib.Path, *, seed: int) -> str:
  """Returns one line about the sheet after writing it to a PNG file."""
  if path.suffix != '.png' or not path.parent.is_dir():
    raise errors.InputError(
        f'--sheet={path}: name a .png file in a folder that exists'
    )
  image = make(seed)
  cv2.imwrite(str(path), image[..., ::-1])
  return f'{path}: {image.shape[1]}x{image.shape[0]} pixels'
