"""Scores of the runs of a bundle, from the predictions that they have on disk."""

from __future__ import annotations

from collections.abc import Collection, Sequence
import json
import math
from typing import Any

from abaw_jax.core import errors, files
from abaw_jax.postprocessing import postprocess
from abaw_jax.reports import predictions as report
from abaw_jax.scoring import intervals

# Outputs that a score measures.
_MEASURED = {
    'P_MTL': {'valence', 'arousal', 'expression', 'au'},
    'VA': {'valence', 'arousal'},
    'EXPR': {'expression'},
    'AU': {'au'},
}
_SPLIT = 'validation'


def scores(
    runs: Sequence[files.Path],
    postprocessing: postprocess.Postprocessing,
    outputs: Collection[str],
) -> dict[str, Any]:
  """Returns scores on the validation split, with intervals if rows are known.

  Args:
    runs: workdirs whose predictions are blended, or a folder of weights.
    postprocessing: of the bundle.
    outputs: those that were trained; scores of others are left out.

  Returns:
    `split`, `rows` and `scores`: [value, low, high] by name, with None for an
    unknown limit. Empty without predictions.
  """
  names = [k for k, needed in _MEASURED.items() if needed <= set(outputs)]
  paths = [run / 'predictions' / f'{_SPLIT}.npz' for run in runs]
  if all(path.is_file() for path in paths):
    try:
      rows = report.blend(paths, postprocessing)
    except errors.InputError:
      rows = None  # single images, which are in no video
    if rows is not None and rows.labelled:
      found = intervals.bootstrap(rows)
      values = {
          name: [found[name].value, *found[name].interval()] for name in names
      }
      return {'split': _SPLIT, 'rows': len(rows), 'scores': _known(values)}
  path = paths[0].with_suffix('.json')
  if len(runs) > 1 or not path.is_file():
    return {}
  stored = json.loads(path.read_text())
  values = {name: [stored.get(name), None, None] for name in names}
  return {'split': _SPLIT, 'scores': _known(values)}


def _known(values):
  """Returns the scores that exist, with None for NaN."""
  plain = {
      name: [
          None if x is None or math.isnan(x) else round(x, 4) for x in numbers
      ]
      for name, numbers in values.items()
  }
  return {
      name: numbers for name, numbers in plain.items() if numbers[0] is not None
  }
