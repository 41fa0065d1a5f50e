"""FER+: the votes of fer2013new.csv, and the images of FER2013."""

from collections.abc import Iterator, Mapping
import pathlib
from typing import NamedTuple

import cv2
import numpy as np

from abaw_jax.core import errors
from abaw_jax.data_builders import values
from abaw_jax.data_builders.fer_plus import votes as votes_lib
from abaw_jax.data_builders.labelled import listings, tables
from abaw_jax.data_builders.labelled import rows as rows_lib

VOTES, PIXELS = 'fer2013new.csv', 'fer2013.csv'
# By usage: the split, and the folder that holds its images as PNG.
USAGES = {
    'Training': ('train', 'FER2013Train'),
    'PublicTest': ('validation', 'FER2013Valid'),
    'PrivateTest': ('test', 'FER2013Test'),
}
NOT_A_FACE = 'not a face, say the annotators'
_PLACES = ('.', 'data')
_SIDE = 48  # pixels
_COLUMNS = (
    'usage',
    'image name',
    *(name.lower() for name in votes_lib.CLASSES),
)


class _Image(NamedTuple):
  """A row of fer2013.csv."""

  line: int
  usage: str
  pixels: str  # 2304 grey values


_NO_IMAGE = _Image(0, 'no such row', '')


def read(source: pathlib.Path) -> listings.Listing:
  """Returns every row with a face, by usage.

  Its image is that of the same line of fer2013.csv, encoded without loss, or
  else the PNG file of that name.

  Raises:
    InputError: a file is missing, or the two lists have different rows.
  """
  place = _place(source)
  listing = listings.Listing()
  for split, _ in USAGES.values():
    listing.open_split(split)
  columns, lines = tables.read(source / VOTES, _COLUMNS)
  pixels = _pixels(place / PIXELS) if (place / PIXELS).is_file() else None
  for number, (line, cells) in enumerate(lines):
    image = None if pixels is None else next(pixels, _NO_IMAGE)
    try:
      row, usage = _row(tables.named(columns, cells), place, number, line)
    except ValueError as error:
      listing.fault(VOTES, line, error)
      continue
    if image and image.usage != usage:
      raise errors.InputError(
          f'{source / VOTES}:{line}: usage {usage}, but {PIXELS}:{image.line}'
          f' has {image.usage}; the two need the same rows in the same order'
      )
    split = USAGES[usage][0]
    if not row.name or votes_lib.majority(row.votes) == votes_lib.NOT_A_FACE:
      listing.leave_out(split, NOT_A_FACE)
      continue
    try:
      listing.add(split, row._replace(image=_png(image)) if image else row)
    except ValueError as error:
      listing.fault(PIXELS, image.line, error)
  if pixels is not None and next(pixels, None) is not None:
    raise errors.InputError(
        f'{place / PIXELS}: more rows than {VOTES}; the two need the same rows'
    )
  return listing


def _place(source: pathlib.Path) -> pathlib.Path:
  """Returns the folder of the images."""
  train = USAGES['Training'][1]
  for place in _PLACES:
    folder = source / place
    if (folder / PIXELS).is_file() or (folder / train).is_dir():
      return folder
  raise errors.InputError(
      f'{source}: no images; put {PIXELS} of FER2013 there, or the folders'
      f' {", ".join(folder for _, folder in USAGES.values())}'
  )


def _row(
    cells: Mapping[str, str], place: pathlib.Path, row: int, line: int
) -> tuple[rows_lib.Row, str]:
  """Returns the row of one line, and its usage."""
  usage = cells['usage']
  if usage not in USAGES:
    raise ValueError(f'usage {usage!r} is none of {", ".join(USAGES)}')
  votes = tuple(
      values.integer(name, cells[name.lower()]) for name in votes_lib.CLASSES
  )
  if min(votes) < 0 or not any(votes):
    raise ValueError(f'votes {votes} are no counts of votes')
  name = cells['image name']
  if name:
    rows_lib.inside(name)
  face = rows_lib.Row(
      name=name,
      image=place / USAGES[usage][1] / name,
      row=row,
      file=VOTES,
      line=line,
      label=votes_lib.top(votes),
      expression=votes_lib.expression(votes),
      votes=votes,
  )
  return face, usage


def _pixels(path: pathlib.Path) -> Iterator[_Image]:
  """Yields the rows of fer2013.csv."""
  columns, lines = tables.read(path, ('pixels', 'usage'))
  for line, cells in lines:
    try:
      named = tables.named(columns, cells)
    except ValueError as error:
      raise errors.InputError(
          f'{path}:{line}: {error}; copy the file again'
      ) from error
    yield _Image(line, named['usage'], named['pixels'])


def _png(image: _Image) -> bytes:
  """Returns the image of a row as PNG; raises ValueError if it is none."""
  try:
    grey = np.array(image.pixels.split(), dtype=np.int64)
  except ValueError:
    raise ValueError('the pixels are no numbers') from None
  if grey.size != _SIDE**2 or grey.min() < 0 or grey.max() > 255:
    raise ValueError(
        f'{grey.size} pixels are no {_SIDE}x{_SIDE} grey values of 0 to 255'
    )
  face = grey.astype(np.uint8).reshape(_SIDE, _SIDE)
  return cv2.imencode('.png', face)[1].tobytes()
