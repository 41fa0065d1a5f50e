"""Finds images that lists name several times, in one split or in several."""

import array
from collections.abc import Iterable
import posixpath

import numpy as np

from abaw_jax.data_builders import overlaps, problems
from abaw_jax.data_builders.face_images import holdout
from abaw_jax.data_builders.face_images.sources import entries


class Repeats:
  """Collects the hashes of the names in lists: 8 bytes for each image."""

  def __init__(self):
    self._hashes = array.array('Q')

  def add(self, entry: entries.Entry) -> None:
    """Adds an image; only an image of a list can be repeated."""
    if entry.line is not None:
      self._hashes.append(_hash(entry))

  def find(
      self, listed: Iterable[entries.Entry]
  ) -> tuple[list[problems.Problem], list[str]]:
    """Returns the contradictions between lines of lists, and notes.

    Args:
      listed: the same images again; only read if a name is repeated.
    """
    values, counts = np.unique(np.asarray(self._hashes), return_counts=True)
    repeated = set(values[counts > 1].tolist())
    if not repeated:
      return [], []
    faces = [
        overlaps.Face(
            entry.split or '', entry.name, entry.name, None, entry.group,
            *entry.line,
        )
        for entry in listed
        if entry.line is not None and _hash(entry) in repeated
    ]  # fmt: skip
    splits = ('', 'train', 'validation', 'test')
    faces.sort(key=lambda face: splits.index(face.split))
    found, notes = overlaps.find(faces, 'images')
    return list(found.values()), notes


def _hash(entry: entries.Entry) -> int:
  return holdout.hash_of(posixpath.normpath(entry.name))
