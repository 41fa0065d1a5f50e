"""Timelines: valence, arousal, expressions and AUs of one face over time."""

from __future__ import annotations

import dataclasses
from typing import Any

from jaxtyping import Float
import numpy as np

from abaw_jax.core import labels
from abaw_jax.report_page import drawing


@dataclasses.dataclass(frozen=True, eq=False)
class Track:
  """Values of one face; NaN where there is none.

  Attributes:
    time: seconds or numbers of frames.
    valence: None if the model does not predict it.
    arousal: as valence.
    expressions: probabilities by name.
    aus: probabilities by name.
    labels: columns valence, arousal, expression id and 12 AUs; None without labels.
  """

  time: Float[np.ndarray, 'n']
  valence: Float[np.ndarray, 'n'] | None
  arousal: Float[np.ndarray, 'n'] | None
  expressions: dict[str, Float[np.ndarray, 'n']]
  aus: dict[str, Float[np.ndarray, 'n']]
  labels: Float[np.ndarray, 'n 15'] | None = None


def thin(track: Track, count: int) -> tuple[Track, int]:
  """Returns means of successive rows and how many rows a mean has.

  Labels are not averaged: the label of the first row of each mean is kept.
  """
  stride = drawing.stride(len(track.time), count)

  def mean(values):
    return None if values is None else drawing.thinned(values, count)

  return (
      Track(
          mean(track.time),
          mean(track.valence),
          mean(track.arousal),
          {k: mean(v) for k, v in track.expressions.items()},
          {k: mean(v) for k, v in track.aus.items()},
          None if track.labels is None else track.labels[::stride],
      ),
      stride,
  )


def draw(
    track: Track, x_title: str
) -> tuple[list[dict[str, Any]], dict[str, Any], int]:
  """Returns traces, layout and height; the plots share their x axis."""
  time = drawing.packed(track.time, 'f8')
  plots = []  # title of y, share of the height, its traces, its axis
  if track.valence is not None:
    axis = {'range': [-1.05, 1.05], 'zeroline': True}
    plots.append(('V, A', 1.3, _affect(track, time), axis))
  if track.expressions:
    axis = {'range': [0, 1.12], 'tickvals': [0, 0.5, 1]}
    plots.append(('expression', 1.0, _areas(track, time), axis))
  if track.aus:
    axis = {'autorange': 'reversed', 'type': 'category', 'dtick': 1}
    plots.append(('', 1.5, _heat(track, time), axis))
  traces, axes = [], {}
  domains = drawing.domains([share for _, share, _, _ in plots])
  for i, ((title, _, found, axis), domain) in enumerate(
      zip(plots, domains, strict=True)
  ):
    suffix = str(i + 1) if i else ''
    traces += [trace | {'yaxis': f'y{suffix}'} for trace in found]
    axes[f'yaxis{suffix}'] = drawing.axis(title, domain=domain, **axis)
  height = 150 + int(130 * sum(share for _, share, _, _ in plots))
  plot = drawing.layout(
      hovermode='x',
      hoverdistance=-1,
      xaxis=drawing.axis(x_title, anchor='free', position=0),
      **axes,
  )
  return traces, plot, height


def _affect(track: Track, time: Any) -> list[dict[str, Any]]:
  traces = []
  for i, name in enumerate(('valence', 'arousal')):
    hover = {'hovertemplate': '%{y:.2f}'}
    value = drawing.packed(getattr(track, name))
    traces.append(drawing.line(time, value, name, i, **hover))
    if track.labels is not None:
      label = drawing.packed(track.labels[:, i])
      style = {'color': drawing.COLORS[i], 'dash': 'dot', 'width': 1}
      traces.append(
          drawing.line(time, label, f'label of {name}', i, **hover)
          | {'line': style}
      )
  return traces


def _areas(track: Track, time: Any) -> list[dict[str, Any]]:
  """Returns the probabilities on top of each other, and a row of labels."""
  traces: list[dict[str, Any]] = [
      {
          'type': 'scatter', 'mode': 'lines', 'name': name, 'x': time,
          'y': drawing.packed(prob), 'stackgroup': 'expressions',
          'line': {'width': 0.5, 'color': color},
          'fillcolor': color, 'hovertemplate': '%{y:.0%}',
      }
      for name, prob in track.expressions.items()
      for color in (drawing.EXPRESSION_COLORS.get(name, drawing.GREY),)
  ]  # fmt: skip
  if track.labels is None:
    return traces
  ids = track.labels[:, 2]
  known = np.isfinite(ids)
  names = [labels.EXPRESSIONS[int(i)] for i in ids[known]]
  traces.append({
      'type': 'scatter', 'mode': 'markers', 'name': 'label (row above)',
      'x': drawing.packed(track.time[known], 'f8'),
      'y': [1.06] * int(known.sum()), 'text': names, 'showlegend': False,
      'marker': {
          'symbol': 'square', 'size': 6,
          'color': [drawing.EXPRESSION_COLORS[name] for name in names],
      },
      'hovertemplate': 'label %{text}',
  })  # fmt: skip
  return traces


def _heat(track: Track, time: Any) -> list[dict[str, Any]]:
  names = list(track.aus)
  traces: list[dict[str, Any]] = [{
      'type': 'heatmap', 'x': time, 'y': names, 'zmin': 0, 'zmax': 1,
      'z': drawing.packed(np.stack([*track.aus.values()])),
      'colorscale': drawing.SCALE, 'showscale': False, 'name': 'AU',
      'hovertemplate': '%{y}: %{z:.0%}<extra></extra>', 'hoverongaps': False,
  }]  # fmt: skip
  if track.labels is None:
    return traces
  present = track.labels[:, 3:] == 1
  at, column = np.nonzero(present)
  traces.append({
      'type': 'scatter', 'mode': 'markers', 'name': 'AU present in the label',
      'x': drawing.packed(track.time[at], 'f8'),
      'y': [labels.AU_NAMES[i] for i in column], 'hoverinfo': 'skip',
      'marker': {'symbol': 'line-ew-open', 'size': 6, 'color': drawing.RED},
  })  # fmt: skip
  return traces
