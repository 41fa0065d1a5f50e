"""Colours, packed arrays, thinning and the layout that all figures share."""

import base64
import itertools
from typing import Any

from jaxtyping import Float, Num
import numpy as np

from abaw_jax.core import labels

# Okabe and Ito (2008), for readers with any colour vision; grey replaces black.
BLUE, RED, GREEN, PINK, ORANGE, SKY, YELLOW, GREY = (
    '#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9', '#F0E442',
    '#8c8c8c',
)  # fmt: skip
COLORS = (BLUE, RED, GREEN, PINK, ORANGE, SKY, GREY)
DASHES = ('solid', 'dash', 'dot', 'dashdot')
EXPRESSION_COLORS = dict(
    zip(
        labels.EXPRESSIONS,
        (GREY, RED, GREEN, PINK, YELLOW, BLUE, SKY, ORANGE),
        strict=True,
    )
)
MARGIN = {'l': 52, 'r': 14, 't': 12, 'b': 44}
SCALE = 'Cividis'  # readable with any colour vision, and in grey
# Where both axes are equal; it needs x and y.
DIAGONAL = {
    'type': 'scatter', 'mode': 'lines', 'name': 'ideal', 'hoverinfo': 'skip',
    'showlegend': False, 'line': {'color': GREY, 'width': 1, 'dash': 'dot'},
}  # fmt: skip


def packed(values: Num[np.ndarray, '*n'], dtype: str = 'f4') -> dict[str, Any]:
  """Returns an array as base64, which plotly reads; NaN is a gap."""
  array = np.ascontiguousarray(values, np.dtype(dtype).newbyteorder('<'))
  found = {'dtype': dtype, 'bdata': base64.b64encode(array.tobytes()).decode()}
  if array.ndim > 1:
    found['shape'] = ', '.join(map(str, array.shape))
  return found


def thinned(
    values: Float[np.ndarray, 'n *k'], count: int
) -> Float[np.ndarray, 'm *k']:
  """Returns means of successive rows, at most `count`; NaN is left out of means."""
  width = stride(len(values), count)
  if width == 1:
    return values
  missing = -len(values) % width
  pad = ((0, missing), *((0, 0),) * (values.ndim - 1))
  padded = np.pad(values, pad, constant_values=np.nan)
  parts = padded.reshape(-1, width, *values.shape[1:])
  known = np.isfinite(parts)
  total = np.where(known, parts, 0).sum(axis=1)
  number = known.sum(axis=1)
  return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def stride(length: int, count: int) -> int:
  """Returns how many successive rows `thinned` averages."""
  return max(1, -(-length // count))


def layout(**values: Any) -> dict[str, Any]:
  """Returns a layout; the page adds the colours of its scheme."""
  return {
      'margin': MARGIN,
      'showlegend': True,
      'legend': {
          'orientation': 'h',
          'y': 1.02,
          'yanchor': 'bottom',
          'x': 0,
          'traceorder': 'normal',
      },
      'hovermode': 'closest',
  } | values


def axis(title: str = '', **values: Any) -> dict[str, Any]:
  """Returns an axis."""
  return {'title': {'text': title}, 'automargin': True, 'zeroline': False} | (
      values
  )


def line(x: Any, y: Any, name: str, number: int = 0, **values: Any) -> dict:
  """Returns a line; colour and dash show its number, so colour is not needed."""
  style = {
      'color': COLORS[number % len(COLORS)],
      'dash': DASHES[number % len(DASHES)],
      'width': 2,
  }
  return {
      'type': 'scatter', 'mode': 'lines', 'name': name, 'x': x, 'y': y,
      'line': style,
  } | values  # fmt: skip


def finite(values: Any) -> list[float | None]:
  """Returns numbers for JSON, with None for NaN."""
  return [None if not np.isfinite(x) else float(x) for x in values]


def number(value: float, digits: int = 3) -> str:
  """Returns a number as text; a dash for NaN."""
  return f'{value:.{digits}f}' if np.isfinite(value) else '\N{EN DASH}'


def domains(heights: list[float], gap: float = 0.06) -> list[list[float]]:
  """Returns the parts of the height of stacked plots, from the top."""
  total = sum(heights)
  free = 1 - gap * (len(heights) - 1)
  tops = [0.0, *itertools.accumulate(h / total * free + gap for h in heights)]
  return [
      [max(0.0, 1 - top - h / total * free), min(1.0, 1 - top)]
      for top, h in zip(tops, heights, strict=False)
  ]
