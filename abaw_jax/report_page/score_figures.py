"""Scores of predictions with labels: table, confusion, F1, density."""

from collections.abc import Iterator, Sequence
import math

import numpy as np

from abaw_jax.core import labels
from abaw_jax.postprocessing import thresholds
from abaw_jax.report_page import drawing, inputs, parts, reliability
from abaw_jax.scoring import intervals, metrics

_MAIN = {
    'P_MTL': '', 'VA': 'va', 'CCC_valence': 'va', 'CCC_arousal': 'va',
    'EXPR': 'expr', 'accuracy': 'expr', 'AU': 'au',
}  # fmt: skip
_DENSITY_BINS = 40
_Scores = dict[str, intervals.Draws]


def section(
    found: Sequence[inputs.Prediction], resamples: int = intervals.RESAMPLES
) -> parts.Section:
  """Returns the scores of all predictions, side by side."""
  labelled = [one for one in found if one.rows.labelled]
  unlabelled = [one.name for one in found if not one.rows.labelled]
  items: list[parts.Part] = []
  if unlabelled:
    text = f'No labels, so no scores: {", ".join(unlabelled)}.'
    items.append(parts.Note(text))
  if not labelled:
    return parts.Section('Scores', items)
  scores = [
      intervals.bootstrap(one.rows, resamples=resamples) for one in labelled
  ]
  items.append(_table(labelled, scores))
  items += _expression_bars(labelled, scores)
  for one, values in zip(labelled, scores, strict=True):
    items += _au_bars(one, values)
  for one in labelled:
    items += _confusion(one)
  for one, values in zip(labelled, scores, strict=True):
    items += _densities(one, values)
  items += reliability.figures(labelled)
  return parts.Section('Scores', items)


def _table(
    found: Sequence[inputs.Prediction], scores: Sequence[_Scores]
) -> parts.Table:
  head = ['score']
  for one in found:
    head += [one.name, 'rows', 'recordings']
  rows = [head]
  for name, task in _MAIN.items():
    line = [name]
    for one, values in zip(found, scores, strict=True):
      draws = values[name]
      counts = one.rows.scorable().labelled_rows
      count = np.count_nonzero(counts[task]) if task else len(one.rows)
      line += [_with_interval(draws), f'{count:,}', f'{draws.recordings:,}']
    rows.append(line)
  return parts.Table(
      'Scores with 95% intervals',
      rows,
      'P_MTL = VA + EXPR + AU. Rows with labels of the task; intervals by '
      'resampling recordings.',
  )


def _with_interval(draws: intervals.Draws) -> str:
  low, high = draws.interval()
  text = drawing.number(draws.value, 4)
  if math.isnan(low):
    return text
  return f'{text} [{drawing.number(low)}, {drawing.number(high)}]'


def _expression_bars(
    found: Sequence[inputs.Prediction], scores: Sequence[_Scores]
) -> list[parts.Figure]:
  """Returns the F1 of every expression, a bar for each of the predictions."""
  traces, captions = [], []
  numbers = [('expression',)]
  numbers += [(name,) for name in labels.EXPRESSIONS]
  for i, (one, values) in enumerate(zip(found, scores, strict=True)):
    if not one.rows.expr.any():
      continue
    targets = one.rows.target_expression[one.rows.expr]
    counts = np.bincount(targets, minlength=labels.NUM_EXPRESSIONS)
    draws = [values[f'F1_{name}'] for name in labels.EXPRESSIONS]
    traces.append(
        _bars(labels.EXPRESSIONS, draws, one.name, i)
        | {
            'customdata': counts.tolist(),
            'hovertemplate': '%{x}: F1 %{y:.3f}, %{customdata} labels',
        }
    )
    captions.append(f'{one.name}: mean F1 {values["EXPR"].value:.4f}')
    for k, column in enumerate([(f'{one.name}: F1', 'labels')] + [
        (_with_interval(d), str(n)) for d, n in zip(draws, counts, strict=True)
    ]):  # fmt: skip
      numbers[k] = (*numbers[k], *column)
  if not traces:
    return []
  plot = drawing.layout(
      barmode='group', yaxis=drawing.axis('F1', range=[0, 1.02])
  )
  caption = f'{"; ".join(captions)}. Whiskers are 95% intervals.'
  return [
      parts.Figure(
          'F1 of expressions', caption, traces, plot, 360, numbers=numbers
      )
  ]


def _bars(names, draws: Sequence[intervals.Draws], name: str, i: int) -> dict:
  value = np.array([d.value for d in draws])
  low, high = np.array([d.interval() for d in draws]).T
  return {
      'type': 'bar', 'name': name, 'x': list(names), 'y': drawing.finite(value),
      'marker': {'color': drawing.COLORS[i % len(drawing.COLORS)]},
      'error_y': {
          'type': 'data', 'symmetric': False, 'thickness': 1, 'width': 3,
          'color': drawing.GREY,
          'array': drawing.finite(np.maximum(high - value, 0)),
          'arrayminus': drawing.finite(np.maximum(value - low, 0)),
      },
  }  # fmt: skip


def _au_bars(one: inputs.Prediction, scores: _Scores) -> list[parts.Figure]:
  """Returns the F1 of every AU at 0.5 and at its best threshold."""
  rows = one.rows.scorable()
  if not rows.au_mask.any():
    return []
  best = thresholds.fit(rows.au, rows.target_au, rows.au_mask)
  at_best = metrics.presence_f1(rows.au >= best, rows.target_au, rows.au_mask)
  draws = [scores[f'F1_{name}'] for name in labels.AU_NAMES]
  present = np.sum((rows.target_au == 1) & rows.au_mask, axis=0)
  known = rows.au_mask.sum(axis=0)
  traces = [
      _bars(labels.AU_NAMES, draws, 'threshold 0.5', 0)
      | {
          'customdata': np.stack([present, known], axis=-1).tolist(),
          'hovertemplate': (
              '%{x}: F1 %{y:.3f}, %{customdata[0]} of %{customdata[1]} present'
          ),
      },
      {
          'type': 'bar', 'name': 'best threshold, written above',
          'x': list(labels.AU_NAMES), 'y': drawing.finite(at_best),
          'marker': {'color': drawing.ORANGE, 'pattern': {'shape': '/'}},
          'text': [f'{t:.2f}' for t in best], 'textposition': 'outside',
          'textangle': -90, 'cliponaxis': False,
          'hovertemplate': '%{x}: F1 %{y:.3f} at %{text}',
      },
  ]  # fmt: skip
  numbers = [('AU', 'F1 at 0.5', 'best threshold', 'F1 there', 'present')]
  numbers += [
      (n, _with_interval(d), f'{t:.3f}', drawing.number(f), f'{p:,} of {k:,}')
      for n, d, t, f, p, k in zip(
          labels.AU_NAMES, draws, best, at_best, present, known, strict=True
      )
  ]
  plot = drawing.layout(
      barmode='group', yaxis=drawing.axis('F1', range=[0, 1.15])
  )
  caption = (
      f'Mean F1 {drawing.number(scores["AU"].value, 4)} at 0.5. The best '
      'thresholds are fitted to these rows, so their F1 is too high: use '
      'abaw-jax evaluate --tune for an honest one.'
  )
  title = f'F1 of action units: {one.name}'
  return [parts.Figure(title, caption, traces, plot, 360, numbers=numbers)]


def _confusion(one: inputs.Prediction) -> list[parts.Figure]:
  """Returns the confusion matrix; colours are shares of the labelled class."""
  rows = one.rows
  if not rows.expr.any():
    return []
  predicted = np.argmax(rows.expression, axis=-1)
  counts = metrics.confusion(predicted, rows.target_expression, rows.expr)
  total = counts.sum(axis=-1, keepdims=True)
  shares = np.where(total > 0, counts / np.maximum(total, 1), np.nan)
  names = list(labels.EXPRESSIONS)
  heat = {
      'type': 'heatmap', 'x': names, 'y': names, 'colorscale': drawing.SCALE,
      'z': [drawing.finite(row) for row in shares], 'zmin': 0, 'zmax': 1,
      'text': counts.tolist(), 'texttemplate': '%{text}', 'showscale': False,
      'hovertemplate': '%{y} predicted as %{x}: %{text} rows, %{z:.1%}<extra></extra>',
      'xgap': 1, 'ygap': 1,
  }  # fmt: skip
  plot = drawing.layout(
      showlegend=False,
      margin=drawing.MARGIN | {'t': 34},
      xaxis=drawing.axis('predicted'),
      yaxis=drawing.axis('label', autorange='reversed'),
  )
  accuracy = np.trace(counts) / counts.sum()
  caption = (
      f'Numbers are rows, colours are shares of a label. Accuracy '
      f'{accuracy:.4f} of {counts.sum():,} rows.'
  )
  numbers = [('label', *names)]
  numbers += [
      (name, *map(str, row)) for name, row in zip(names, counts, strict=True)
  ]
  title = f'Confusion of expressions: {one.name}'
  return [parts.Figure(title, caption, [heat], plot, 430, numbers=numbers)]


def _densities(
    one: inputs.Prediction, scores: _Scores
) -> Iterator[parts.Figure]:
  """Yields the densities of prediction against label."""
  rows = one.rows.scorable()
  if not rows.va.any():
    return
  edges = np.linspace(-1, 1, _DENSITY_BINS + 1)
  centres = (edges[1:] + edges[:-1]) / 2
  for name in ('valence', 'arousal'):
    pred, target = (
        getattr(rows, key)[rows.va] for key in (name, f'target_{name}')
    )
    counts = np.histogram2d(np.clip(pred, -1, 1), target, [edges, edges])[0]
    shown = np.where(counts > 0, np.log10(np.maximum(counts, 1)), np.nan)
    heat = {
        'type': 'heatmap', 'colorscale': drawing.SCALE,
        'x': drawing.packed(centres), 'y': drawing.packed(centres),
        'z': drawing.packed(shown), 'text': counts.astype(int).tolist(),
        'hovertemplate': (
            'label %{x:.2f}, prediction %{y:.2f}: %{text} rows<extra></extra>'
        ),
        # The smallest count must differ from a dark page.
        'zmin': -0.4 * float(np.log10(max(counts.max(), 2))),
        'colorbar': {'title': {'text': 'log10 rows'}, 'thickness': 10},
    }  # fmt: skip
    plot = drawing.layout(
        showlegend=False,
        margin=drawing.MARGIN | {'t': 34},
        xaxis=drawing.axis('label', range=[-1, 1]),
        yaxis=drawing.axis('prediction', range=[-1, 1]),
    )
    ideal = drawing.DIAGONAL | {'x': [-1, 1], 'y': [-1, 1]}
    ccc = scores[f'CCC_{name}'].value
    caption = (
        f'CCC {ccc:.4f} of {len(pred):,} rows. Mean of labels '
        f'{target.mean():.3f}, of predictions {pred.mean():.3f}; standard '
        f'deviations {target.std():.3f} and {pred.std():.3f}. Predictions '
        'outside -1 to 1 are in the bins at the edge.'
    )
    title = f'{name.capitalize()}, CCC {ccc:.3f}: {one.name}'
    yield parts.Figure(
        title, caption, [heat, ideal], plot, 380, first=name == 'valence'
    )
