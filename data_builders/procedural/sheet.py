"""Contact sheets: expressions and action units, or the pictures of a domain."""

import functools
import itertools
import pathlib

import cv2
import numpy as np

from abaw_jax.core import errors, files, labels
from abaw_jax.data_builders.procedural.rendering import bust as bust_lib
from abaw_jax.data_builders.procedural.rendering import (
    canvas,
    emotion,
    film,
    painter,
    video_plan,
)
from abaw_jax.data_builders.procedural.rendering import face as face_lib
from abaw_jax.data_builders.procedural.rendering import identity as identity_lib

PEOPLE = 6
_FACE = 96  # pixels of one face
_TITLE = 70  # width of the title of a row in pixels
_LAMP = np.array([-0.25, -0.35, 0.55, 0.44])
_PAPER = np.array([196.0, 204.0, 212.0])
_INK = (40, 40, 40)
_BASIC = labels.EXPRESSIONS[1:7]  # without Neutral and Other


def portrait(bust: bust_lib.Bust, units: np.ndarray) -> np.ndarray:
  """Returns a frontal face without noise, uint8 RGB [CROP, CROP, 3]."""
  face = face_lib.build(bust.who, units, np.zeros(2), 0.0)
  image = painter.paint(bust, face, units, _LAMP, np.ones(3))
  image = image[..., :3] + _PAPER * (1 - image[..., 3:] / 255)
  edge = int(canvas.MARGIN * canvas.SCALE)
  image = np.clip(image[edge:-edge, edge:-edge], 0, 255).astype(np.uint8)
  return cv2.resize(image, (canvas.CROP,) * 2, interpolation=cv2.INTER_AREA)


def _row(title: str, faces: list[np.ndarray], notes: list[str]) -> np.ndarray:
  """Returns a row of faces, with a title and a note on each face."""
  text = functools.partial(
      cv2.putText,
      fontFace=cv2.FONT_HERSHEY_SIMPLEX,
      fontScale=0.4,
      color=_INK,
      thickness=1,
      lineType=cv2.LINE_AA,
  )
  head = np.full((_FACE, _TITLE, 3), 255, np.uint8)
  text(head, title, (2, _FACE // 2))
  cells = [head]
  for face, note in zip(faces, notes, strict=True):
    cell = cv2.resize(face, (_FACE, _FACE), interpolation=cv2.INTER_AREA)
    if note:
      cell[:15, :38] = 255
      text(cell, note, (2, 11))
    cells.append(cell)
  return np.hstack(cells)


def make(seed: int) -> np.ndarray:
  """Returns the sheet, uint8 RGB: expressions of six people, then single AUs."""
  people = [
      bust_lib.build(identity_lib.sample(np.random.default_rng([seed, 99, i])))
      for i in range(PEOPLE)
  ]
  rows = []
  for expression in labels.EXPRESSIONS:
    faces = [portrait(b, emotion.prototype(expression)) for b in people]
    rows.append(_row(expression, faces, [''] * PEOPLE))
  alone = np.eye(len(emotion.AUS))
  for first in range(0, labels.NUM_AUS, PEOPLE):
    units = range(first, first + PEOPLE)
    faces = [portrait(people[i % PEOPLE], alone[i]) for i in units]
    rows.append(_row('One unit', faces, [labels.AU_NAMES[i] for i in units]))
  return np.vstack(rows)


def pictures(seed: int, domain: str) -> np.ndarray:
  """Returns uint8 RGB: basic expressions of six people as a domain shows them."""
  acted = np.stack([emotion.prototype(name) for name in _BASIC])
  plan = video_plan.make(
      6 * PEOPLE, 12, seed, domains=video_plan.in_domain(domain)
  )
  films = [
      itertools.islice(film.shoot(video, acted).pictures, len(acted))
      for video in plan[:PEOPLE]
  ]
  rows = zip(_BASIC, zip(*films, strict=True), strict=True)
  return np.vstack([
      _row(name, list(faces), [''] * PEOPLE) for name, faces in rows
  ])  # fmt: skip


def write(path: pathlib.Path, *, seed: int, domain: str | None = None) -> str:
  """Writes a sheet to a PNG file; returns a line about it.

  Args:
    path: file to write.
    seed: random seed.
    domain: one of scene.DOMAINS; None means the sheet of `make`.

  Raises:
    InputError: the file cannot be written there.
  """
  if path.suffix != '.png' or not path.parent.is_dir():
    raise errors.InputError(
        f'--sheet={path}: name a .png file in a folder that exists'
    )
  # Five bits per channel look the same and make the file three times smaller.
  image = (pictures(seed, domain) if domain else make(seed)) & 0xF8
  best = [cv2.IMWRITE_PNG_COMPRESSION, 9]
  _, encoded = cv2.imencode('.png', image[..., ::-1], best)
  files.write(path, encoded.tobytes())
  return f'{path}: {image.shape[1]}x{image.shape[0]} pixels'
