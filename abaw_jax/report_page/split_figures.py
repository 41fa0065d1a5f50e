"""Timelines of the videos of a split, with their labels."""

from collections.abc import Iterator, Sequence

import numpy as np

from abaw_jax.core import labels
from abaw_jax.report_page import inputs, parts, timelines
from abaw_jax.scoring import predictions

_POINTS = 600


def section(
    found: Sequence[inputs.Prediction], num_videos: int
) -> parts.Section:
  """Returns the videos with the most labelled rows of each of the predictions."""
  return parts.Section(
      'Timelines of videos',
      [figure for one in found for figure in _figures(one, num_videos)],
  )


def _figures(one: inputs.Prediction, count: int) -> Iterator[parts.Figure]:
  names, at, rows = np.unique(
      one.rows.video, return_inverse=True, return_counts=True
  )
  masks = one.rows.scorable().labelled_rows.values()
  labelled = np.bincount(at, np.sum([*masks], axis=0), minlength=len(names))
  order = np.lexsort((names, -rows, -labelled))[:count]
  for i in order:
    part = one.rows.take(at == i)
    part = part.take(np.argsort(part.frame_id, kind='stable'))
    track, stride = timelines.thin(_track(part), _POINTS)
    traces, plot, height = timelines.draw(track, 'frame')
    if rows[i] < 2:  # a line needs two points
      continue
    caption = (
        f'{len(part):,} rows, {len(names):,} videos in the split. Dotted lines, '
        'squares above the expressions and dashes on the AUs are labels.'
    )
    if stride > 1:
      caption += f' Each point is the mean of {stride} rows.'
    yield parts.Figure(
        f'{names[i]}: {one.name}', caption, traces, plot, height, wide=True
    )


def _track(rows: predictions.Predictions) -> timelines.Track:
  def known(values, mask):
    return np.where(mask, values.astype(np.float64), np.nan)

  targets = None
  if rows.labelled:
    targets = np.column_stack(
        [
            known(rows.target_valence, rows.va),
            known(rows.target_arousal, rows.va),
            known(rows.target_expression, rows.expr),
            known(rows.target_au, rows.au_mask),
        ]
    )
  has_va, has_au = rows.predicts('va'), rows.predicts('au')
  return timelines.Track(
      rows.frame_id.astype(np.float64),
      rows.valence if has_va else None,
      rows.arousal if has_va else None,
      dict(zip(labels.EXPRESSIONS, rows.expression.T, strict=True)),
      dict(zip(labels.AU_NAMES, rows.au.T, strict=True)) if has_au else {},
      targets,
  )
