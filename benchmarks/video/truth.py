"""The truth of rendered scenes, and which found face belongs to which person."""

from collections.abc import Iterator, Sequence
import csv
import itertools
import pathlib
from typing import NamedTuple

import numpy as np
from scipy import optimize

from abaw_jax.core import labels
from abaw_jax.data_builders.procedural.scenes import writer
from abaw_jax.faces import boxes as box_lib
from abaw_jax.faces import face as face_lib

MIN_IOU = 0.3
# A face must be found if at least this part of it is visible.
VISIBLE = 0.5


class Person(NamedTuple):
  """A person of a frame: the face, and the labels of all tasks."""

  shot: int
  person: int
  visible: float
  face: face_lib.Face
  valence: float
  arousal: float
  expression: int
  au: tuple[int, ...]


def read(clip: pathlib.Path) -> Iterator[list[Person]]:
  """Yields the people of each frame of a rendered clip."""
  with writer.truth_path(clip).open() as file:
    rows = list(csv.DictReader(file))
  for _, group in itertools.groupby(rows, lambda row: int(row['frame'])):
    yield [_person(row) for row in group]


def _person(row: dict[str, str]) -> Person:
  place = [float(row[name]) for name in writer.PLACE]
  return Person(
      shot=int(row['shot']),
      person=int(row['person']),
      visible=float(row['visible']),
      face=face_lib.Face(
          np.float32(place[:4]), np.float32(place[4:]).reshape(5, 2), 1.0
      ),
      valence=float(row['valence']),
      arousal=float(row['arousal']),
      expression=labels.EXPRESSIONS.index(row['expression']),
      au=tuple(int(row[f'AU{number:02d}']) for number in labels.AU_NUMBERS),
  )


def match(
    people: Sequence[Person], boxes: Sequence[np.ndarray]
) -> dict[int, int]:
  """Returns the position of the found box of each person, by position."""
  if not people or not boxes:
    return {}
  overlap = box_lib.iou(np.stack([p.face.box for p in people]), np.stack(boxes))
  pairs = zip(*optimize.linear_sum_assignment(-overlap), strict=True)
  return {int(i): int(j) for i, j in pairs if overlap[i, j] >= MIN_IOU}
