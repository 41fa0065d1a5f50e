"""Readers of the challenge's text files: lists, labels and submissions.

A row is a line after the header, counted from 0.
"""

from collections.abc import Callable, Sequence
import dataclasses

from jaxtyping import Float
import numpy as np

from abaw_jax.core import errors, labels, numbers, text_files
from abaw_jax.core import files as file_lib

LSD = tuple(labels.NATIVE_EXPRESSIONS['lsd'].values())
_HEADER = 'image'  # possible first value of a list


@dataclasses.dataclass(frozen=True)
class Column:
  """A column of a file, with the range of its values."""

  name: str
  low: int
  high: int
  is_integer: bool
  missing: float | int  # value of a missing label

  @property
  def expected(self) -> str:
    """The allowed values, for a message."""
    if self.is_integer:
      return f'a whole number in {self.low}..{self.high}'
    return f'a number in [{self.low}, {self.high}]'

  def parse(self, text: str, *, label: bool) -> float | None:
    """Returns the value of a text; None if the column does not allow it.

    A `label` may be missing, and its whole number may be written as 3.0.
    """
    try:
      value = numbers.number(text)
    except ValueError:
      return None
    if label and value == self.missing:
      return value
    if not self.low <= value <= self.high:
      return None
    if self.is_integer and not (
        value.is_integer() if label else text.isdigit()
    ):
      return None
    return value


def _expression(count: int) -> Column:
  missing = labels.EXPRESSION_MISSING
  return Column('expression', 0, count - 1, True, missing)


# The header and the columns after the image, by challenge: multi-task learning
# (mtl) and learning from synthetic data (lsd).
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


def read_list(path: file_lib.Path) -> list[str]:
  """Returns the images of a list, in its order, repeats included.

  Only the first value of each line is used, so a list with labels is accepted. A
  comma at the end of a line, a header, CRLF and blank lines at the end are
  accepted, too.

  Raises:
    InputError: the list is empty, or a line has no image.
  """
  images = [line.split(',')[0] for line in _lenient(path)]
  if not images:
    raise errors.InputError(f'{path}: the list is empty; give the test list')
  if '' in images:
    raise errors.InputError(
        f'{path}: row {images.index("")}: image is missing; correct the list'
    )
  return images


def read_labels(
    path: file_lib.Path, task: str
) -> tuple[list[str], Float[np.ndarray, 'n k']]:
  """Returns images and labels by column; a missing label is `Column.missing`.

  Lines may be written as `read_list` accepts them. An InputError names the first
  wrong row and column, and the expected value.
  """
  return _parse(path, _lenient(path), TASKS[task][1], label=True)


def read_submission(
    path: file_lib.Path, task: str
) -> tuple[list[str], Float[np.ndarray, 'n k']]:
  """Returns the images and values of a submission; the format must be exact.

  An InputError names the first wrong row and column, and the expected value.
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
        f'{path}: row {max(len(lines) - 1, 0)}: the file ends inside it; expected '
        'a newline after the last row'
    )
  return _parse(path, lines[:-1], columns, label=False)


def _parse(
    path: file_lib.Path,
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
    for i, (column, text) in enumerate(zip(columns, values, strict=True)):
      value = column.parse(text, label=label)
      if value is None:
        raise errors.InputError(
            f'{path}: row {row} ({image}): {column.name} is {text!r}; expected '
            f'{column.expected}'
        )
      table[row, i] = value
  return images, table


def _lenient(path: file_lib.Path) -> list[str]:
  """Returns the lines after a header, without spaces and a final comma."""
  text = _read(path, text_files.encoding).rstrip()
  lines = [
      ','.join(value.strip() for value in line.split(',')).removesuffix(',')
      for line in text.split('\n')
  ]
  has_header = lines[0].split(',')[0].lower() in (_HEADER, '')
  return lines[has_header:]


def _read(
    path: file_lib.Path, encoding: Callable[[bytes], str] = lambda _: 'utf-8'
) -> str:
  """Returns the text of a file in the encoding that its first bytes show."""
  try:
    content = path.read_bytes()
    return content.decode(encoding(content[:4096]))
  except FileNotFoundError as e:
    raise errors.InputError(
        f'{path}: there is no such file; give another path'
    ) from e
  except (IsADirectoryError, ValueError) as e:
    raise errors.InputError(
        f'{path}: it is not a text file: {e}; give another path'
    ) from e
