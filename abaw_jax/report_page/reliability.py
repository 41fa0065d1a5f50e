"""Reliability diagrams: how often predictions of some probability are true."""

from collections.abc import Sequence

from jaxtyping import Bool, Float, Int
import numpy as np

from abaw_jax.report_page import drawing, inputs, parts
from abaw_jax.scoring import predictions

_BINS = 10


def figures(found: Sequence[inputs.Prediction]) -> list[parts.Figure]:
  """Returns reliability diagrams of expressions and of AUs."""
  kinds = {
      'Reliability of expressions': (
          _expression_confidence,
          'probability of the predicted class',
          'share of correct rows',
      ),
      'Reliability of action units': (
          _au_confidence,
          'probability of presence, all AUs',
          'share of present AUs',
      ),
  }
  drawn = []
  for title, (read, x_title, y_title) in kinds.items():
    traces, captions = [drawing.DIAGONAL | {'x': [0, 1], 'y': [0, 1]}], []
    numbers = [('prediction', 'mean probability', 'share', 'count')]
    for i, one in enumerate(found):
      prob, true = read(one.rows.scorable())
      if not prob.size:
        continue
      mean, share, count = bins(prob, true)
      error = float(np.sum(count * np.abs(mean - share)) / count.sum())
      sizes = 6 + 16 * np.sqrt(count / count.max())
      traces.append(
          drawing.line(drawing.finite(mean), drawing.finite(share), one.name, i)
          | {
              'mode': 'lines+markers', 'marker': {'size': sizes.tolist()},
              'customdata': count.tolist(),
              'hovertemplate': '%{x:.3f}: %{y:.3f}, %{customdata} values',
          }
      )  # fmt: skip
      captions.append(f'{one.name}: expected calibration error {error:.4f}')
      numbers += [
          (one.name, f'{m:.3f}', f'{s:.3f}', f'{c:,}')
          for m, s, c in zip(mean, share, count, strict=True)
      ]
    plot = drawing.layout(
        xaxis=drawing.axis(x_title, range=[0, 1.03]),
        yaxis=drawing.axis(y_title, range=[0, 1.05]),
    )
    caption = (
        f'{"; ".join(captions)} ({_BINS} bins). Larger points have more values.'
    )
    if captions:
      drawn.append(
          parts.Figure(title, caption, traces, plot, 360, numbers=numbers)
      )
  return drawn


def _expression_confidence(rows: predictions.Predictions):
  prob = rows.expression[rows.expr]
  return prob.max(axis=-1), prob.argmax(axis=-1) == (
      rows.target_expression[rows.expr]
  )


def _au_confidence(rows: predictions.Predictions):
  return rows.au[rows.au_mask], rows.target_au[rows.au_mask] == 1


def bins(
    prob: Float[np.ndarray, 'n'], true: Bool[np.ndarray, 'n']
) -> tuple[
    Float[np.ndarray, 'k'], Float[np.ndarray, 'k'], Int[np.ndarray, 'k']
]:
  """Returns mean probability, share of true values, and count of each used bin.

  The bins have the same width in [0, 1] (Guo et al., 2017).
  """
  at = np.minimum((prob * _BINS).astype(int), _BINS - 1)
  count = np.bincount(at, minlength=_BINS)
  used = count > 0
  mean, share = (
      np.bincount(at, x, minlength=_BINS)[used] / count[used]
      for x in (prob, true)
  )
  return mean, share, count[used]
