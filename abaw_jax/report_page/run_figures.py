"""Figures of runs: learning curves, speed and where the time went."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from abaw_jax.report_page import drawing, inputs, parts

_POINTS = 800
_TRAIN = {
    'loss': ('Training loss', ''),
    'grad_norm': ('Gradient norm', ''),
    'lr': ('Learning rate', ''),
    'items_per_s': ('Throughput', 'items/s'),
    'data_wait': ('Share of time waiting for data', ''),
    'mfu': ('Share of the peak FLOP/s (MFU)', ''),
}
_SCORES = ('P_MTL', 'score', 'VA', 'EXPR', 'AU')
_TIMES = {
    'steps_s': 'steps', 'init_s': 'init', 'compile_s': 'compile',
    'data_wait_s': 'data wait', 'evaluation_s': 'evaluation',
    'checkpoint_s': 'checkpoint', 'plots_s': 'plots', 'profile_s': 'profile',
    'lost_s': 'lost',
}  # fmt: skip


def section(runs: Sequence[inputs.Run]) -> parts.Section:
  """Returns the learning curves of all runs, side by side in each figure."""
  if not runs:
    return parts.Section('Training', [])
  found = [_summary(runs)]
  for key, (title, unit) in _TRAIN.items():
    found += _curve(runs, 'train', key, title, unit)
  for key in _validation_keys(runs):
    found += _curve(runs, 'validation', key, f'Validation {key}', '')
  found += _goodput(runs)
  return parts.Section('Training', found)


def _summary(runs: Sequence[inputs.Run]) -> parts.Table:
  head = (
      'run',
      'task',
      'updates',
      'last loss',
      'items/s',
      'data wait',
      'hours',
  )
  rows = [head]
  for run in runs:
    last = _values(run, 'train', 'loss')
    speed, wait = (
        np.asarray(_values(run, 'train', key)[1], float)
        for key in ('items_per_s', 'data_wait')
    )
    wall = _values(run, 'goodput', 'wall_s')[1]
    rows.append(
        (
            run.name,
            str(run.config['model'].get('name', '')),
            f'{last[0][-1]:,}' if last[0] else '\N{EN DASH}',
            drawing.number(last[1][-1] if last[1] else np.nan, 4),
            drawing.number(np.median(speed) if speed.size else np.nan, 1),
            f'{np.median(wait):.1%}' if wait.size else '\N{EN DASH}',
            drawing.number(wall[-1] / 3600 if wall else np.nan, 2),
        )
    )
  return parts.Table(
      'Runs', rows, 'Items/s and data wait are medians over the log lines.'
  )


def _validation_keys(runs: Sequence[inputs.Run]) -> list[str]:
  """Returns the scores to draw: those of labels, or all of another task."""
  keys = dict.fromkeys(
      key
      for run in runs
      for line in run.lines
      if line['split'] == 'validation'
      for key in line
      if key not in ('step', 'split')
  )
  if any(_values(run, 'validation', 'P_MTL')[1] for run in runs):
    keys.pop('score', None)
  chosen = [key for key in _SCORES if key in keys]
  others = [k for k in keys if not k.startswith(('n_', 'F1_', 'CCC_'))]
  return chosen or others[:6]


def _curve(
    runs: Sequence[inputs.Run], split: str, key: str, title: str, unit: str
) -> list[parts.Figure]:
  """Returns one figure with a line for each run; [] if no run has the key."""
  traces, last, width = [], [], 1
  for i, run in enumerate(runs):
    steps, values = _values(run, split, key)
    if not values:
      continue
    width = max(width, drawing.stride(len(values), _POINTS))
    points = np.stack([steps, values], axis=-1).astype(np.float64)
    x, y = drawing.thinned(points, _POINTS).T
    few = {'mode': 'lines+markers'} if len(x) < 30 else {}
    traces.append(
        drawing.line(
            drawing.packed(x, 'f8'), drawing.packed(y), run.name, i, **few
        )
    )
    last.append(f'{run.name}: {values[-1]:.4g} at update {steps[-1]:,}')
  if not traces:
    return []
  caption = '; '.join(last) + '.'
  if width > 1:
    caption += f' Points are means of up to {width} log lines.'
  plot = drawing.layout(
      xaxis=drawing.axis('update'), yaxis=drawing.axis(unit or key)
  )
  return [parts.Figure(title, caption, traces, plot)]


def _goodput(runs: Sequence[inputs.Run]) -> list[parts.Figure]:
  """Returns the shares of the wall time, one bar per run."""
  ends: list[tuple[str, dict[str, Any]]] = []
  for run in runs:
    lines = [line for line in run.lines if line['split'] == 'goodput']
    if lines:
      ends.append((run.name, lines[-1]))
  if not ends:
    return []
  names = [name for name, _ in ends]
  colors = (*drawing.COLORS, drawing.YELLOW, drawing.SKY)
  traces, numbers = [], [('seconds', *names)]
  for (key, label), color in zip(_TIMES.items(), colors, strict=True):
    seconds = [float(line.get(key) or 0.0) for _, line in ends]
    numbers.append((label, *(f'{s:.1f}' for s in seconds)))
    if any(seconds):
      traces.append({
          'type': 'bar', 'orientation': 'h', 'name': label, 'x': seconds,
          'y': names, 'marker': {'color': color},
      })  # fmt: skip
  shares = [f'{name}: {line["goodput"] or 0:.0%}' for name, line in ends]
  plot = drawing.layout(
      barmode='stack',
      xaxis=drawing.axis('seconds'),
      yaxis=drawing.axis(autorange='reversed'),
  )
  caption = f'Share of the wall time spent on updates: {"; ".join(shares)}.'
  height = 180 + 40 * len(names)
  return [
      parts.Figure(
          'Where the time went', caption, traces, plot, height, numbers=numbers
      )
  ]


def _values(run: inputs.Run, split: str, key: str) -> tuple[list, list]:
  """Returns steps and values of a key; lines without a number are left out."""
  found = [
      (line['step'], line[key])
      for line in run.lines
      if line['split'] == split and isinstance(line.get(key), (int, float))
  ]
  return [step for step, _ in found], [value for _, value in found]
