"""Repeats, contradictions and overlaps between the rows of all splits.

A row of a split is a leak if a later split (validation, test) has the same image.
Rows of one split contradict each other if they give the same image different
labels. Both are problems. Identical files under different names are only noted,
because published datasets have some, unless a split seems to be a copy.
"""

import collections
from collections.abc import Iterator, Sequence
from concurrent import futures
import hashlib
import itertools
import pathlib
import posixpath
from typing import Any, NamedTuple

from abaw_jax.core import labels
from abaw_jax.data_builders import problems

_COPIED_SHARE = 0.25  # of the images of a split


class Face(NamedTuple):
  """A row of a list.

  Attributes:
    split: its split.
    name: its image.
    group: its video, or its image if there are no videos.
    image: file of the image, or its bytes; None if they are not compared.
    row: its labels, with the fields of `s_aff_wild2.annotations.Row`, and `label`
      and `votes` if there are any; or the name of the person.
    file: path of the list, relative to the source.
    line: 1-based line of the list, or None.
    box: box of the face if an image can have several faces.
  """

  split: str
  name: str
  group: str
  image: pathlib.Path | bytes | None
  row: Any
  file: str
  line: int | None
  box: Any = None

  def __str__(self) -> str:
    return self.file if self.line is None else f'{self.file}:{self.line}'

  def problem(self, reason: str) -> problems.Problem:
    """Returns a problem of the row."""
    return problems.Problem(
        self.file, self.line, f'image {self.name}: {reason}'
    )


def find(
    faces: Sequence[Face], noun: str
) -> tuple[dict[int, problems.Problem], list[str]]:
  """Returns the problems by index of the face, in order, and notes.

  Args:
    faces: rows of all splits, split by split, from training to test.
    noun: name of the groups in the plural, for the notes.
  """
  splits = list(dict.fromkeys(face.split for face in faces))
  reasons, notes = {}, list(_shared_groups(faces, splits, noun))
  repeats = collections.Counter()
  keys = ((posixpath.normpath(face.name), face.box) for face in faces)
  for members in _equal(keys):
    last = max(members, key=lambda i: splits.index(faces[i].split))
    rest = [i for i in members if faces[i].split == faces[last].split]
    for i in set(members) - set(rest):
      reasons[i] = f'also in {faces[last].split} ({faces[last]})'
    pair = _contradiction(faces, rest)
    for i in rest if pair else ():
      one, other = (faces[k] for k in pair)
      reasons[i] = f'its labels differ between {one} and {other}'
    if not pair and len(rest) > 1:
      repeats[faces[last].split] += len(rest) - 1
  if repeats:
    counts = ', '.join(f'{split} {n:,}' for split, n in repeats.items())
    notes.append(f'rows that repeat the image of another row: {counts}')
  for (one, other), pairs in _same_bytes(faces).items():
    example = f'such as {faces[pairs[0][0]].name} and {faces[pairs[0][1]].name}'
    if one == other:
      count = sum(_contradiction(faces, pair) is not None for pair in pairs)
      notes.append(
          f'{one}: {len(pairs):,} images are identical to another one, {count:,}'
          f' of them with other labels, {example}'
      )
      continue
    notes.append(
        f'{len(pairs):,} images of {one} are identical to one of {other},'
        f' {example}'
    )
    sizes = [len({f.name for f in faces if f.split == s}) for s in (one, other)]
    if len({k for _, k in pairs}) > _COPIED_SHARE * min(sizes):
      copies = {faces[i].name: faces[k].name for i, k in pairs}
      for i, face in enumerate(faces):
        if face.split == one and face.name in copies:
          reasons.setdefault(i, f'identical to {copies[face.name]} of {other}')
  return {i: faces[i].problem(reasons[i]) for i in sorted(reasons)}, notes


def _shared_groups(
    faces: Sequence[Face], splits: Sequence[str], noun: str
) -> Iterator[str]:
  """Yields a note for every two splits that have a group in common."""
  groups = {split: set() for split in splits}
  for face in faces:
    groups[face.split].add(face.group)
  for one, other in itertools.combinations(splits, 2):
    if both := groups[one] & groups[other]:
      yield (
          f'{len(both):,} {noun} are in {one} and in {other}, such as {min(both)}'
      )


def _equal(keys: Iterator[Any]) -> list[list[int]]:
  """Returns the positions of every key that occurs several times."""
  found = collections.defaultdict(list)
  for i, key in enumerate(keys):
    found[key].append(i)
  return [members for members in found.values() if len(members) > 1]


def _contradiction(
    faces: Sequence[Face], members: Sequence[int]
) -> tuple[int, int] | None:
  """Returns two faces that have different known labels, or None."""
  known = {}  # position of the label -> (value, face)
  for i in members:
    for k, value in enumerate(_labels(faces[i].row)):
      if value is not None:
        first = known.setdefault(k, (value, i))
        if first[0] != value:
          return first[1], i
  return None


def _labels(row: Any) -> tuple[Any, ...]:
  """Returns all labels of a row, None for missing ones."""
  if isinstance(row, str):
    return (row or None,)
  codes = (row.expression, getattr(row, 'label', -1), *row.au)
  return (
      *(
          None if v == labels.VA_MISSING else v
          for v in (row.valence, row.arousal)
      ),
      *(None if code == -1 else code for code in codes),
      getattr(row, 'votes', None) or None,
  )


def _same_bytes(
    faces: Sequence[Face],
) -> dict[tuple[str, str], list[tuple[int, int]]]:
  """Returns pairs of images with other names and equal bytes, by their splits.

  The first image is from the earlier split, and in one pair for each split.
  """
  images = {
      (face.split, face.name): i
      for i, face in enumerate(faces)
      if face.image is not None
  }
  chosen = list(images.values())
  by_size = _equal(_size(faces[i].image) for i in chosen)
  # Only files of equal size are read.
  read = sorted(chosen[k] for members in by_size for k in members)
  with futures.ThreadPoolExecutor() as pool:
    hashes = list(pool.map(lambda i: _hash(faces[i].image), read))
  pairs = collections.defaultdict(list)
  for members in _equal(iter(hashes)):
    by_split = collections.defaultdict(list)
    for i in (read[k] for k in members):
      by_split[faces[i].split].append(i)
    for one, other in itertools.combinations_with_replacement(by_split, 2):
      k = by_split[other][0]
      for i in by_split[one]:
        if faces[i].name != faces[k].name:
          pairs[one, other].append((i, k))
  return pairs


def _size(image: pathlib.Path | bytes) -> int:
  return len(image) if isinstance(image, bytes) else image.stat().st_size


def _hash(image: pathlib.Path | bytes) -> bytes:
  data = image if isinstance(image, bytes) else image.read_bytes()
  return hashlib.blake2b(data, digest_size=16).digest()
