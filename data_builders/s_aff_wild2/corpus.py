"""Reads and verifies a source folder of s-Aff-Wild2."""

from collections.abc import Iterable
from concurrent import futures
import dataclasses
import os
import pathlib
from typing import Any

from abaw_jax.core import errors, progress_bars, text_files
from abaw_jax.data_builders import images, overlaps
from abaw_jax.data_builders import problems as problems_lib
from abaw_jax.data_builders.s_aff_wild2 import annotations, layout


@dataclasses.dataclass(frozen=True)
class Corpus:
  """The rows of a source folder, their images, and its problems."""

  rows: dict[str, list[annotations.Row]]  # by split, in the order of the list
  images: dict[str, dict[str, pathlib.Path]]  # good images by split and name
  problems: list[problems_lib.Problem]  # bad lines and bad images
  notes: list[str]  # lines for the user that are not problems
  max_videos: int | None  # option of the build
  # Numbers of the rows that contradict another row, by split.
  contradictory: dict[str, set[int]]

  def usable(self, split: str) -> list[annotations.Row]:
    """Returns the rows that can be used, in the order of the list."""
    good, bad = self.images[split], self.contradictory.get(split, ())
    return [
        row
        for row in self.rows[split]
        if row.image in good and row.row not in bad
    ]

  def metadata(self) -> dict[str, Any]:
    """Returns the metadata of a dataset of the usable rows, for JSON."""
    return {
        'max_videos': self.max_videos,
        'notes': self.notes,
        'rows': {split: len(self.usable(split)) for split in self.rows},
        'skipped': [problem._asdict() for problem in self.problems],
    }


def read(
    source_dir: str | os.PathLike[str],
    *,
    decode: bool = True,
    max_videos: int | None = None,
) -> Corpus:
  """Returns the corpus in `source_dir`; bad lines become problems.

  Args:
    source_dir: folder with the lists and the images, in the released layout.
    decode: decode every image; otherwise an image only has to exist.
    max_videos: keep only the first videos of each split, in the order of the
      list; None keeps all.

  Raises:
    InputError: a list is missing, or none of its lines can be read.
  """
  corpus = Corpus({}, {}, [], [], max_videos, {})
  lists = layout.find(source_dir)
  for split, found in lists.items():
    file = os.path.relpath(found.path, source_dir)
    rows, faults = annotations.parse(
        found.path.read_bytes(), labelled=split != 'test'
    )
    if not rows:
      line, reason = faults[0]
      raise errors.InputError(
          f'{found.path}:{line}: {reason}; no line of this list can be used'
      )
    rows = _first_videos(rows, max_videos)
    corpus.images[split], bad_images = _verify(split, rows, found, decode)
    corpus.problems.extend(
        sorted(
            [problems_lib.Problem(file, *fault) for fault in faults]
            + [
                problems_lib.Problem(
                    file,
                    row.line,
                    f'image {row.image}: {bad_images[row.image]}',
                )
                for row in rows
                if row.image in bad_images
            ]
        )
    )
    corpus.rows[split] = rows
  files = {
      split: os.path.relpath(found.path, source_dir)
      for split, found in lists.items()
  }
  faces = [
      overlaps.Face(
          split, row.image, row.video, corpus.images[split][row.image], row,
          files[split], row.line,
      )
      for split, rows in corpus.rows.items()
      for row in corpus.usable(split)
  ]  # fmt: skip
  wrong, notes = overlaps.find(faces, 'videos')
  corpus.problems.extend(wrong.values())
  corpus.notes.extend(notes)
  for i in wrong:
    face = faces[i]
    corpus.contradictory.setdefault(face.split, set()).add(face.row.row)
  if 'test' not in lists:
    corpus.notes.append(
        f'no test split: no {" or ".join(layout.TEST_LISTS)} in {source_dir} or'
        ' in its folders named *test*'
    )
  return corpus


def _first_videos(
    rows: list[annotations.Row], max_videos: int | None
) -> list[annotations.Row]:
  kept = set(list(dict.fromkeys(row.video for row in rows))[:max_videos])
  return [row for row in rows if row.video in kept]


def _verify(
    split: str,
    rows: Iterable[annotations.Row],
    found: layout.ListFile,
    decode: bool,
) -> tuple[dict[str, pathlib.Path], dict[str, str]]:
  """Returns name -> path of good images, and name -> reason of bad images."""

  def verify(name: str) -> tuple[pathlib.Path | None, str | None]:
    path = found.image(name)
    if path is None:
      roots = ', '.join(root.name for root in found.image_roots)
      hint = text_files.wrong_encoding(name)
      return None, f'missing{hint}; looked in {roots}'
    return path, images.file_problem(path) if decode else None

  names = list(dict.fromkeys(row.image for row in rows))
  good, bad = {}, {}
  # Threads: decoding releases the GIL, and reads can overlap.
  with futures.ThreadPoolExecutor() as pool:
    results = progress_bars.make(
        pool.map(verify, names),
        desc=f'Verifying {split}',
        total=len(names),
        unit='images',
    )
    for name, (path, reason) in zip(names, results, strict=True):
      if reason is None:
        good[name] = path
      else:
        bad[name] = reason
  return good, bad
