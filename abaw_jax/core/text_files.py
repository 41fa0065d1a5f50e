"""Text files that users have: their encoding, and the separator of their values."""

import codecs
import io
import pathlib
import re

from abaw_jax.core import errors

_MARKS = {  # UTF-32 first: its mark begins with the mark of UTF-16
    codecs.BOM_UTF8: 'utf-8-sig',
    codecs.BOM_UTF32_LE: 'utf-32',
    codecs.BOM_UTF32_BE: 'utf-32',
    codecs.BOM_UTF16_LE: 'utf-16',
    codecs.BOM_UTF16_BE: 'utf-16',
}
_SEPARATORS = {
    ';': 'semicolons', '\t': 'tabs', '|': 'vertical bars', ',': 'commas',
}  # fmt: skip


def open_text(path: pathlib.Path, newline: str | None = None) -> io.TextIOBase:
  """Opens a text file in UTF-8, UTF-16 or UTF-32, with or without a mark.

  Bytes that are not UTF-8 become surrogates, so a file name keeps its bytes.

  Args:
    path: the file.
    newline: as for the built-in `open`.

  Raises:
    InputError: it is not a text file.
    OSError: it cannot be read.
  """
  with path.open('rb') as file:
    start = file.read(4096)
  try:
    name = encoding(start)
  except ValueError as error:
    raise errors.InputError(f'{path}: {error}') from error
  fallback = 'surrogateescape' if name.startswith('utf-8') else 'replace'
  return path.open(encoding=name, errors=fallback, newline=newline)


def decode(content: bytes) -> str:
  """Returns a text; bytes that are not valid become U+FFFD.

  Raises:
    ValueError: it is not a text.
  """
  return content.decode(encoding(content[:4096]), errors='replace')


def encoding(start: bytes) -> str:
  """Returns the encoding of a text that starts with these bytes.

  Raises:
    ValueError: it is not a text.
  """
  for mark, name in _MARKS.items():
    if start.startswith(mark):
      return name
  zeros = [half.count(0) for half in (start[::2], start[1::2])]
  if not any(zeros):
    return 'utf-8'
  # In UTF-16 every second byte of ASCII characters is zero.
  if zeros[0] == 0 and zeros[1] > len(start) / 4:
    return 'utf-16-le'
  if zeros[1] == 0 and zeros[0] > len(start) / 4:
    return 'utf-16-be'
  raise ValueError('it has zero bytes, so it is not a text; copy it again')


def wrong_separator(line: str, count: int) -> str:
  """Returns a hint for a line without `count` values, or ''.

  Args:
    line: the line.
    count: number of values that the line should have.
  """
  for separator, name in _SEPARATORS.items():
    if count > 1 and line.count(separator) == count - 1:
      return f'; they are separated by {name} ({separator!r})'
  return ''


def wrong_encoding(name: str) -> str:
  """Returns a hint for a file name that a list has in another encoding, or ''."""
  if not re.search('[\ud800-\udfff\ufffd]', name):
    return ''
  return ' (the name is not UTF-8, perhaps Latin-1; save the list as UTF-8)'
