"""Reads the annotations of Aff-Wild2's uni-task challenges, one file per video."""

import collections
from collections.abc import Callable, Iterator, Sequence
import os
import pathlib
import re

from abaw_jax.core import errors, labels, text_files
from abaw_jax.data_builders import values
from abaw_jax.data_builders.labelled import listings
from abaw_jax.data_builders.labelled import rows as rows_lib

_FOLDER = re.compile(r'(VA|EXPR|AU)_.*')
_SETS = {'Train_Set': 'train', 'Validation_Set': 'validation'}
_NO_FACE = 'their frame has no image in cropped_aligned'


def folders(source: pathlib.Path) -> list[tuple[str, pathlib.Path]]:
  """Returns the (task, folder) of the challenges in a source, maybe none."""
  top = source / 'Annotations'
  if not top.is_dir():
    return []
  return [
      (match[1], path)
      for path in sorted(top.iterdir())
      if (match := _FOLDER.fullmatch(path.name)) and path.is_dir()
  ]


def read(source: pathlib.Path) -> listings.Listing:
  """Returns the frames that have a label and an image, with the labels of all tasks.

  Line i after the header belongs to the frame i, from 1. A video that is in the
  validation set of any task is in validation for all of them.

  Raises:
    InputError: a folder is missing, or a file has other columns.
  """
  roots = sorted(p for p in source.glob('cropped_aligned*') if p.is_dir())
  if not roots:
    raise errors.InputError(
        f'{source}: no folder cropped_aligned; unpack the aligned faces there'
    )
  listing = listings.Listing()
  videos = collections.defaultdict(dict)  # video -> task -> (split, file)
  for task, folder in folders(source):
    for name, split in _SETS.items():
      for path in sorted((folder / name).glob('*.txt')):
        videos[path.stem][task] = (split, path)
  if not videos:
    raise errors.InputError(
        f'{source}: no Train_Set/*.txt or Validation_Set/*.txt in the folders of'
        ' Annotations; unpack them again'
    )
  number, moved = 0, 0
  for video, tasks in sorted(videos.items()):
    given = {split for split, _ in tasks.values()}
    split = 'validation' if 'validation' in given else 'train'
    moved += len(given) > 1
    listing.open_split(split)
    images = {
        int(path.stem): path
        for root in roots
        for path in sorted((root / video).glob('*.jpg'))
        if path.stem.isdecimal()
    }
    for frame, row in sorted(_video(source, video, tasks, listing).items()):
      number += 1
      if frame not in images:
        listing.leave_out(split, _NO_FACE)
        continue
      image = images[frame]
      name = f'{video}/{image.name}'
      listing.add(split, row._replace(image=image, name=name, row=number - 1))
  if moved:
    listing.notes.append(
        f'{moved:,} videos are in the training set of one task and in the'
        ' validation set of another: all their frames are in validation'
    )
  return listing


def _video(
    source: pathlib.Path,
    video: str,
    tasks: dict[str, tuple[str, pathlib.Path]],
    listing: listings.Listing,
) -> dict[int, rows_lib.Row]:
  """Returns frame -> labels of one video; bad lines become problems."""
  found = {}
  for task, (_, path) in tasks.items():
    width, fields = _FIELDS[task]
    file = os.path.relpath(path, source)
    for frame, line, cells in _lines(path, task):
      try:
        if len(cells) != width:
          hint = text_files.wrong_separator(','.join(cells), width)
          raise ValueError(f'{len(cells)} values instead of {width}{hint}')
        row = found.get(frame) or rows_lib.Row(
            name='', image=path, row=0, file=file, line=line, video=video,
            frame=frame,
        )  # fmt: skip
        found[frame] = row._replace(**fields(cells))
      except ValueError as error:
        listing.fault(file, line, error)
  return found


def _lines(
    path: pathlib.Path, task: str
) -> Iterator[tuple[int, int, list[str]]]:
  """Yields (frame, line, cells); raises InputError if the header is wrong."""
  expected = _HEADERS[task]
  with text_files.open_text(path) as file:
    header = [cell for cell in file.readline().strip().split(',') if cell]
    if len(header) != expected:
      raise errors.InputError(
          f'{path}:1: {len(header)} columns instead of {expected}; get the files'
          ' with 8 expressions and 12 action units'
      )
    for frame, line in enumerate(file, start=1):
      if line.strip():
        yield frame, frame + 1, [cell.strip() for cell in line.split(',')]


def _va(cells: Sequence[str]) -> dict[str, float]:
  return {
      name: values.affect(name, cell, missing=labels.VA_MISSING)
      for name, cell in zip(('valence', 'arousal'), cells, strict=True)
  }


def _expression(cells: Sequence[str]) -> dict[str, int]:
  return {'expression': _code('expression', cells[0], labels.NUM_EXPRESSIONS)}


def _units(cells: Sequence[str]) -> dict[str, tuple[int, ...]]:
  pairs = zip(labels.AU_NAMES, cells, strict=True)
  return {'au': tuple(_code(name, cell, 2) for name, cell in pairs)}


def _code(name: str, text: str, count: int) -> int:
  value = values.integer(name, text)
  if value not in range(-1, count):
    raise ValueError(
        f'{name} {text} is out of range: 0..{count - 1}, or -1 where missing'
    )
  return value


# Task -> (values per line, function that reads them).
_FIELDS: dict[str, tuple[int, Callable[[Sequence[str]], dict]]] = {
    'VA': (2, _va),
    'EXPR': (1, _expression),
    'AU': (labels.NUM_AUS, _units),
}
# Task -> names in the first line.
_HEADERS = {'VA': 2, 'EXPR': labels.NUM_EXPRESSIONS, 'AU': labels.NUM_AUS}
