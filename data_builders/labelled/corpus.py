"""Reads the labelled faces of a source, splits them and verifies their images."""

import collections
from concurrent import futures
import dataclasses
import os
from typing import Any

from abaw_jax.core import errors, progress_bars
from abaw_jax.data_builders import arguments, overlaps
from abaw_jax.data_builders import problems as problems_lib
from abaw_jax.data_builders.face_images import holdout
from abaw_jax.data_builders.labelled import listings, pixels
from abaw_jax.data_builders.labelled import rows as rows_lib


@dataclasses.dataclass(frozen=True)
class Corpus:
  """The rows of a source folder by split, and the problems of that folder."""

  rows: dict[str, list[rows_lib.Row]]  # in the order of the list
  good: dict[str, list[rows_lib.Row]]  # only the rows with a good image
  problems: list[problems_lib.Problem]  # bad lines and bad images
  notes: list[str]  # lines for the user that are not problems
  options: dict[str, Any]  # options of the build

  def usable(self, split: str) -> list[rows_lib.Row]:
    """Returns the rows whose image is good, in the order of the list."""
    return self.good[split]

  def metadata(self) -> dict[str, Any]:
    """Returns the metadata of a dataset of the usable rows, for JSON."""
    return {
        **self.options,
        'notes': self.notes,
        'rows': {split: len(rows) for split, rows in self.good.items()},
        'skipped': [problem._asdict() for problem in self.problems],
    }


def read(
    source_dir: str | os.PathLike[str],
    layout: listings.Layout,
    *,
    max_examples: int | None,
    **options: Any,
) -> Corpus:
  """Returns the corpus in `source_dir`; bad lines become problems.

  Args:
    source_dir: folder in the given layout; only read.
    layout: layout of that folder.
    max_examples: keep only the first rows of each split; None keeps all.
    **options: further options; all are stored in the metadata, and
      `validation_share` is used here.

  Raises:
    InputError: a list is missing, or no line of a split can be used.
  """
  listing = layout.read(arguments.source_folder(source_dir))
  divided = divide(listing, layout, options.get('validation_share'))
  rows, good, bad = {}, {}, []
  for split, members in divided.items():
    if not members:
      raise errors.InputError(
          f'{source_dir}: no line of {split} can be used; run'
          f' `abaw-jax check` to see why\n'
          f'{problems_lib.listing(listing.problems)}'.rstrip()
      )
    rows[split] = _number_faces(members)[:max_examples]
    good[split], problems = verify(rows[split], decode=True, title=split)
    bad += problems
  good, conflicts, overlapping = consistent(good)
  bad += conflicts
  options = {'max_examples': max_examples, **options}
  return Corpus(
      rows,
      good,
      sorted_problems(listing.problems + bad),
      notes(listing) + overlapping,
      options,
  )


def notes(listing: listings.Listing) -> list[str]:
  """Returns the notes of a listing, with the number of rows left out."""
  found = list(listing.notes)
  for split, reasons in listing.left_out.items():
    found += [
        f'{split}: {count:,} rows left out: {reason}'
        for reason, count in reasons.items()
    ]
  return found


def consistent(
    rows: dict[str, list[rows_lib.Row]],
) -> tuple[
    dict[str, list[rows_lib.Row]], list[problems_lib.Problem], list[str]
]:
  """Returns rows without contradictions, the problems of the others, and notes."""
  faces = [
      overlaps.Face(
          split,
          row.name,
          row.video or row.name,
          row.image,
          row,
          row.file,
          row.line,
          row.box,
      )
      for split, members in rows.items()
      for row in members
  ]
  videos = any(row.video for members in rows.values() for row in members)
  noun = 'videos' if videos else 'images'
  found, notes_ = overlaps.find(faces, noun)
  kept = {split: [] for split in rows}
  for i, face in enumerate(faces):
    if i not in found:
      kept[face.split].append(face.row)
  return kept, list(found.values()), notes_


def verify(
    rows: list[rows_lib.Row], *, decode: bool, title: str
) -> tuple[list[rows_lib.Row], list[problems_lib.Problem]]:
  """Returns the rows with a good image, and the problems of the other rows."""
  good, bad = [], []
  # Threads: decoding releases the GIL, and reads can overlap.
  with futures.ThreadPoolExecutor() as pool:
    reasons = progress_bars.make(
        pool.map(lambda row: pixels.problem(row, decode=decode), rows),
        desc=f'Verifying {title}',
        total=len(rows),
        unit='images',
    )
    for row, reason in zip(rows, reasons, strict=True):
      if reason is None:
        good.append(row)
      else:
        bad.append(row.problem(reason))
  return good, bad


def sorted_problems(
    problems: list[problems_lib.Problem],
) -> list[problems_lib.Problem]:
  """Returns the problems in the order of file and line."""
  return sorted(problems, key=lambda p: (p.file, p.line or 0, p.reason))


def divide(
    listing: listings.Listing, layout: listings.Layout, share: float | None
) -> dict[str, list[rows_lib.Row]]:
  """Returns the rows of each split; held-out rows follow a hash of the group."""
  share = layout.validation_share if share is None else share
  divided = {}
  for split, origin in layout.splits.items():
    members = listing.rows.get(origin, [])
    if share is not None and origin == layout.splits['train']:
      held_out = holdout.names((row.group for row in members), share)
      members = [
          row
          for row in members
          if (row.group in held_out) == (split == 'validation')
      ]
    divided[split] = members
  if share == 0:
    del divided['validation']
  return divided


def _number_faces(rows: list[rows_lib.Row]) -> list[rows_lib.Row]:
  """Returns the rows with `face` set: the number of the face in its image or video."""
  seen = collections.Counter()
  numbered = []
  for row in rows:
    place = row.video or row.name
    numbered.append(row._replace(face=seen[place]))
    seen[place] += 1
  return numbered
