"""Parses the list files of s-Aff-Wild2 into rows and bad lines."""

import re
from typing import NamedTuple

from abaw_jax.core import labels, text_files
from abaw_jax.data_builders import values as values_lib

# Image, valence, arousal, expression and AUs.
NUM_VALUES = 1 + 3 + labels.NUM_AUS
_OLD_NUM_VALUES = 1 + 3 + 8  # ABAW 2020: AUs 1, 2, 4, 6, 12, 15, 20, 25
_OLD_FILE = f'{_OLD_NUM_VALUES} values per line are an old file with 8 AUs'
_MAX_FRAME_DIGITS = 9  # always fits into int32
_FRAME = re.compile(r'(.*)\.jpe?g', re.IGNORECASE)


class Row(NamedTuple):
  """One line of a list: a frame of a video and its labels as written.

  Missing labels have the values of `core.labels`.
  """

  image: str  # '<video>/<frame>.jpg'
  video: str
  frame_id: int
  row: int  # 0-based, without the header
  line: int  # 1-based, including the header
  valence: float = labels.VA_MISSING
  arousal: float = labels.VA_MISSING
  expression: int = labels.EXPRESSION_MISSING
  au: tuple[int, ...] = (labels.AU_MISSING,) * labels.NUM_AUS

  # True for usable labels.
  va = property(values_lib.has_va)
  expr = property(values_lib.has_expression)

  @property
  def au_mask(self) -> bool:
    """True if the AUs are usable: the list has all 12."""
    return labels.AU_MISSING not in self.au


class Fault(NamedTuple):
  """A line that is not a valid row; `line` is 1-based, including the header."""

  line: int
  reason: str


def parse(content: bytes, *, labelled: bool) -> tuple[list[Row], list[Fault]]:
  """Returns the rows of a list file in its order, and the bad lines.

  A labelled line has an image and 15 values, an unlabelled line (test list) only
  the image. A comma may end the line, and the first line may be a header. UTF-16,
  CRLF and blank lines at the end are accepted. An empty file, an old file with 8
  AUs and a file that is not a text have one fault and no row.
  """
  # A broken byte becomes U+FFFD, which no value accepts.
  try:
    text = text_files.decode(content)
  except ValueError as error:
    return [], [Fault(1, str(error))]
  lines = text.replace('\r\n', '\n').rstrip('\n \t').split('\n')
  header = int(_is_header(lines[0]))
  body = lines[header:]
  if body in ([], ['']):
    return [], [Fault(header + 1, 'the list is empty')]
  if labelled and {len(_values(line)) for line in body} == {_OLD_NUM_VALUES}:
    return [], [Fault(header + 1, f'{_OLD_FILE}; get the files with 12 AUs')]
  rows, faults = [], []
  for row, line in enumerate(body):
    line_number = row + header + 1
    try:
      rows.append(_row(line, line_number, row, labelled))
    except ValueError as error:
      faults.append(Fault(line_number, str(error)))
  return rows, faults


def _values(line: str) -> list[str]:
  """Returns the stripped values of a line; a comma at its end is ignored."""
  values = [value.strip() for value in line.split(',')]
  return values[:-1] if values[-1] == '' else values


def _is_header(line: str) -> bool:
  return re.split('[,;\t]', line)[0].strip().lower() == 'image'


def _row(text: str, line: int, row: int, labelled: bool) -> Row:
  """Returns the row of one line; raises ValueError with the reason."""
  values = _values(text)
  if not values:
    raise ValueError('the line is blank')
  if _is_header(text):
    raise ValueError('the header is repeated')
  expected = NUM_VALUES if labelled else 1
  if len(values) != expected:
    hint = text_files.wrong_separator(text, expected)
    if labelled and len(values) == _OLD_NUM_VALUES:
      hint = f' ({_OLD_FILE})'
    raise ValueError(f'{len(values)} values instead of {expected}{hint}')
  image = values[0]
  video, frame_id = _video_and_frame(image)
  if not labelled:
    return Row(image, video, frame_id, row, line)
  return Row(
      image,
      video,
      frame_id,
      row,
      line,
      valence=values_lib.affect(
          'valence', values[1], missing=labels.VA_MISSING
      ),
      arousal=values_lib.affect(
          'arousal', values[2], missing=labels.VA_MISSING
      ),
      expression=_choice('expression', values[3], labels.NUM_EXPRESSIONS),
      au=tuple(
          _choice(name, value, 2)
          for name, value in zip(labels.AU_NAMES, values[4:], strict=True)
      ),
  )


def _video_and_frame(image: str) -> tuple[str, int]:
  parts = image.split('/')
  if image.startswith('/'):
    raise ValueError(f'image {image!r} is an absolute path')
  if '..' in parts:
    raise ValueError(f"image {image!r} leaves its folder with '..'")
  match = _FRAME.fullmatch(parts[-1])
  if len(parts) != 2 or parts[0] in ('', '.') or '\\' in image or not match:
    raise ValueError(f'image {image!r} is not <video>/<frame>.jpg')
  frame = match[1]
  if not (frame.isascii() and frame.isdecimal()):
    raise ValueError(f'image {image!r}: frame {frame!r} is not a number')
  if len(frame) > _MAX_FRAME_DIGITS:
    raise ValueError(f'image {image!r}: frame number out of range')
  return parts[0], int(frame)


def _choice(name: str, value: str, count: int) -> int:
  """Returns a class id below `count`, or -1 for a missing label."""
  number = values_lib.number(name, value)
  if number not in range(-1, count):
    raise ValueError(
        f'{name} {value} is out of range: 0..{count - 1}, or -1 where missing'
    )
  return int(number)
