"""Tables as lines of text, for a terminal or in Markdown."""

from collections.abc import Sequence

Rows = Sequence[Sequence[str]]


def aligned(rows: Rows, align: str = '<>') -> list[str]:
  """Returns a line for each row, with columns that are two spaces apart.

  Args:
    rows: of cells; the first row may hold the names of the columns.
    align: '<' (left) or '>' (right) for each column; the last character counts
      for all further columns.
  """
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  align = align.ljust(len(widths), align[-1])
  return [
      '  '.join(
          f'{cell:{side}{width}}'
          for cell, side, width in zip(row, align, widths, strict=False)
      ).rstrip()
      for row in rows
  ]


def markdown(rows: Rows) -> list[str]:
  """Returns a Markdown table; the first row holds the names of the columns."""
  lines = [f'| {" | ".join(row)} |' for row in rows]
  return [lines[0], '|' + ' --- |' * len(rows[0]), *lines[1:]]
