"""The text files of the challenge, line by line: lists, labels, submissions.

A row is a line behind the header, counted from 0.
"""

from collections.abc import Sequence
import dataclasses
import pathlib

from jaxtyping import Float
import numpy as np

from abaw_jax.core import errors, labels

LSD = tuple(labels.NATIVE_EXPRESSIONS['lsd'].values())
_HEADER = 'image'  # how the first line of a list may begin


@dataclasses.dataclass(frozen=True)
class Column:
  """A column of a file: its name and what it may hold."""

  name: str
  low: int
  high: int
  whole: bool
  missing: float | int  # what the labels write where there is none

  @property
  def expected(self) -> str:
    """What a message says it may hold."""
    if self.whole:
      return f'a whole number in {self.low}..{self.high}'
    return f'a number in [{self.low}, {self.high}]'

  def fits(self, text: str, *, label: bool) -> bool:
    """Returns whether a text may stand in it.

    A label may be missing, and may write a whole number as 3.0.
    """
    value = number(text)
    if label and value == self.missing:
      return True
    if not self.low <= value <= self.high:
      return False
    if self.whole:
      return (
          value.is_integer() if label else text.isascii() and text.isdecimal()
      )
    return True


def _expression(count: int) -> Column:
  missing = labels.EXPRESSION_MISSING
  return Column('expression', 0, count - 1, True, missing)


# The header and the columns behind the image, by challenge: multi-task learning
# and learning from synthetic data.
TASKS: dict[str, tuple[str, tuple[Column, ...]]] = {
    'mtl': (
        'image,valence,arousal,expression,aus',
        (
            Column('valence', -1, 1, False, labels.VA_MISSING),
            Column('arousal', -1, 1, False, labels.VA_MISSING),
            _expression(labels.NUM_EXPRESSIONS),
            *(
                Column(name, 0, 1, True, labels.AU_MISSING)
                for name in labels.AU_NAMES
            ),
        ),
    ),
    'lsd': ('image,expression', (_expression(len(LSD)),)),
}


def read_list(path: pathlib.Path) -> list[str]:
  """Returns the images of a list, in its order, repeats included.

  The first value of each line counts: lists with labels will do, and lines may
  end with a comma. Headers, CRLF and blank lines at the end are accepted.
  """
  images = [line.split(',')[0] for line in _lenient(path)]
  if not images:
    raise errors.InputError(f'{path}: the list is empty; name the test list')
  if '' in images:
    raise errors.InputError(
        f'{path}: row {images.index("")}: image is missing; mend the list'
    )
  return images


def read_labels(
    path: pathlib.Path, task: str
) -> tuple[list[str], Float[np.ndarray, 'n k']]:
  """Returns images and labels by column, missing ones as `Column.missing`.

  What `read_list` accepts is accepted.

  Raises:
    InputError: naming the first wrong row and column, and what was expected.
  """
  return _parse(path, _lenient(path), TASKS[task][1], label=True)


def read_submission(
    path: pathlib.Path, task: str
) -> tuple[list[str], Float[np.ndarray, 'n k']]:
  """Returns the images and values of a submission, strictly as asked for.

  Raises:
    InputError: naming the first wrong row and column, and what was expected.
  """
  header, columns = TASKS[task]
  first, *lines = _read(path).split('\n')
  if first != header:
    raise errors.InputError(
        f'{path}: header: it is {first[:60]!r}; expected {header!r} and a plain '
        'newline'
    )
  if lines[-1:] != ['']:
    raise errors.InputError(
        f'{path}: row {max(len(lines) - 1, 0)}: the file ends in it; expected a '
        'newline behind the last row'
    )
  return _parse(path, lines[:-1], columns, label=False)


def number(text: str) -> float:
  """Returns the number in a text without spaces around it, NaN if none."""
  try:
    return float(text) if text == text.strip() else np.nan
  except ValueError:
    return np.nan


def _parse(
    path: pathlib.Path,
    lines: Sequence[str],
    columns: Sequence[Column],
    *,
    label: bool,
) -> tuple[list[str], Float[np.ndarray, 'n k']]:
  images, table = [], np.empty([len(lines), len(columns)])
  for row, line in enumerate(lines):
    image, *values = line.split(',')
    if len(values) != len(columns):
      raise errors.InputError(
          f'{path}: row {row}: it has {len(values) + 1} values; expected '
          f'{len(columns) + 1}: image, {", ".join(c.name for c in columns)}'
      )
    images.append(image)
    for column, text in zip(columns, values, strict=True):
      if not column.fits(text, label=label):
        raise errors.InputError(
            f'{path}: row {row} ({image}): {column.name} is {text!r}; expected '
            f'{column.expected}'
        )
    table[row] = [number(text) for text in values]
  return images, table


def _lenient(path: pathlib.Path) -> list[str]:
  """Returns the lines behind a header, less spaces and a comma at the end."""
  text = _read(path).removeprefix('\ufeff').rstrip()
  lines = [
      ','.join(value.strip() for value in line.split(',')).removesuffix(',')
      for line in text.split('\n')
  ]
  has_header = lines[0].split(',')[0].lower() in (_HEADER, '')
  return lines[has_header:]


def _read(path: pathlib.Path) -> str:
  try:
    return path.read_bytes().decode()
  except FileNotFoundError as e:
    raise errors.InputError(f'{path}: there is no such file; name one') from e
  except (IsADirectoryError, UnicodeDecodeError) as e:
    raise errors.InputError(f'{path}: it is no text file: {e}; name one') from e
