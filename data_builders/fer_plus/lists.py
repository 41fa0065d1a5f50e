"""FER+: reads the votes of fer2013new.csv and the images of FER2013."""

import collections
from collections.abc import Iterator, Mapping
import pathlib
import string
from typing import NamedTuple

import cv2
import numpy as np

from abaw_jax.core import errors
from abaw_jax.data_builders import values
from abaw_jax.data_builders.fer_plus import votes as votes_lib
from abaw_jax.data_builders.labelled import listings, tables
from abaw_jax.data_builders.labelled import rows as rows_lib

VOTES, PIXELS = 'fer2013new.csv', 'fer2013.csv'
# Usage -> (split, folder of its PNG images).
USAGES = {
    'Training': ('train', 'FER2013Train'),
    'PublicTest': ('validation', 'FER2013Valid'),
    'PrivateTest': ('test', 'FER2013Test'),
}
NOT_A_FACE = 'not a face, according to the annotators'
_PLACES = ('.', 'data')
_SIDE = 48  # pixels
# Value of `emotion` in fer2013.csv -> class of FER+.
_EMOTIONS = dict(
    zip(
        '0123456',
        (
            'Anger', 'Disgust', 'Fear', 'Happiness', 'Sadness', 'Surprise',
            'Neutral',
        ),
        strict=True,
    )
)  # fmt: skip
# The emotion agrees with the top vote for 74 % of the rows of the release, and for
# 23 % if the rows are shuffled within their usage.
_LEAST_AGREEMENT = 0.5
_ROWS_TO_COMPARE = 500  # so that a shift of some rows is found, too
_TOO_FEW_ROWS = 30
_DIGITS = frozenset(f'{string.digits} \t')
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
  emotion: str  # the label of FER2013; '' if there is no such column


_NO_IMAGE = _Image(0, 'no such row', '', '')


def read(source: pathlib.Path) -> listings.Listing:
  """Returns every row that shows a face; its usage gives the split.

  The image comes from the same line of fer2013.csv, encoded without loss. If
  there is no such list, it is the PNG file with the name of the image.

  Raises:
    InputError: a file is missing, or the two lists have different rows, also if
      only their labels show it.
  """
  place = _place(source)
  listing = listings.Listing()
  for split, _ in USAGES.values():
    listing.open_split(split)
  columns, lines = tables.read(source / VOTES, _COLUMNS)
  pixels = _pixels(place / PIXELS) if (place / PIXELS).is_file() else None
  compared = collections.defaultdict(list)  # usage -> (line, labels agree)
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
          f' has {image.usage}; both need the same rows in the same order'
      )
    if image and image.emotion:
      emotion = _EMOTIONS.get(image.emotion)
      agrees = emotion == votes_lib.CLASSES[row.label]
      compared[usage].append((image.line, agrees))
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
        f'{place / PIXELS}: more rows than {VOTES}; both need the same rows'
    )
  for rows in compared.values():
    _check_agreement(place / PIXELS, rows)
  if pixels is not None and not compared:
    listing.notes.append(
        f'{PIXELS} has no column emotion, so nothing shows whether its rows have'
        f' the order of {VOTES}'
    )
  return listing


def _check_agreement(path: pathlib.Path, rows: list[tuple[int, bool]]) -> None:
  """Raises an InputError if the labels of a usage show another order of rows."""
  if len(rows) < _TOO_FEW_ROWS:
    return
  for part in np.array_split(rows, max(1, len(rows) // _ROWS_TO_COMPARE)):
    share = part[:, 1].mean()
    if share < _LEAST_AGREEMENT:
      raise errors.InputError(
          f'{path}:{part[0, 0]}: from here to line {part[-1, 0]} the emotion'
          f' agrees with the top vote of {VOTES} for {share:.0%} of'
          f' {len(part):,} rows, instead of about 74%; use both files with their'
          ' original rows and order'
      )


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
  """Returns (row, usage) of one line; raises ValueError with the reason."""
  usage = cells['usage']
  if usage not in USAGES:
    raise ValueError(f'usage {usage!r} is not one of {", ".join(USAGES)}')
  votes = tuple(
      values.integer(name, cells[name.lower()]) for name in votes_lib.CLASSES
  )
  if min(votes) < 0 or not any(votes):
    raise ValueError(f'votes {votes} are not counts of votes')
  name = cells['image name']
  if name:
    rows_lib.relative_path(name)
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
    yield _Image(
        line, named['usage'], named['pixels'], named.get('emotion', '')
    )


def _png(image: _Image) -> bytes:
  """Returns the image of a row as PNG; raises ValueError with the reason."""
  # NumPy parses the numbers fast, but accepts more than ASCII digits.
  if not _DIGITS.issuperset(image.pixels):
    raise ValueError('the pixels are not whole numbers')
  grey = np.array(image.pixels.split(), dtype=np.float64)
  if grey.size != _SIDE**2 or grey.max() > 255:
    raise ValueError(
        f'{grey.size} pixels are not {_SIDE}x{_SIDE} grey values of 0 to 255'
    )
  face = grey.astype(np.uint8).reshape(_SIDE, _SIDE)
  return cv2.imencode('.png', face)[1].tobytes()
