"""Turns rows into records: sorts them by time, makes arrays and masks."""

from collections.abc import Iterator, Sequence
import itertools
from typing import TypeVar

import numpy as np

from abaw_jax.core import labels
from abaw_jax.data_builders.s_aff_wild2 import annotations

# A row with video, frame_id and row.
Row = TypeVar('Row')


def sequences(
    rows: Sequence[Row], frames_per_example: int
) -> Iterator[tuple[str, int, tuple[Row, ...]]]:
  """Yields (video, chunk, rows) with up to `frames_per_example` rows.

  The rows of a video are sorted by (frame_id, row); repeated rows are kept.
  `chunk` counts the sequences of a video from 0.
  """
  ordered = sorted(rows, key=lambda row: (row.video, row.frame_id, row.row))
  for video, group in itertools.groupby(ordered, lambda row: row.video):
    run = tuple(group)
    for chunk, start in enumerate(range(0, len(run), frames_per_example)):
      yield video, chunk, run[start : start + frames_per_example]


def columns(rows: Sequence[annotations.Row]) -> dict[str, np.ndarray]:
  """Returns the labels and masks of n rows; the keys are labels.FRAME_COLUMNS.

  frame_id, row and expression are int32 [n], valence and arousal float32 [n],
  au int8 [n, 12]; missing labels keep the values of `core.labels`. The masks va,
  expr [n] and au_mask [n, 12] are bool, True for usable labels. If one AU of a
  row is missing, its 12 AUs are unusable. Valence and arousal are usable only
  together.
  """
  au_mask = np.array([row.au_mask for row in rows], bool)
  return {
      'frame_id': np.array([row.frame_id for row in rows], np.int32),
      'row': np.array([row.row for row in rows], np.int32),
      'valence': np.array([row.valence for row in rows], np.float32),
      'arousal': np.array([row.arousal for row in rows], np.float32),
      'expression': np.array([row.expression for row in rows], np.int32),
      'au': np.array([row.au for row in rows], np.int8),
      'va': np.array([row.va for row in rows], bool),
      'expr': np.array([row.expr for row in rows], bool),
      'au_mask': np.repeat(au_mask[:, None], labels.NUM_AUS, axis=1),
  }
