"""What `evaluate` says beside a network's scores: intervals, and what tuning does."""

from abaw_jax.core import errors
from abaw_jax.postprocessing import pipeline
from abaw_jax.postprocessing import tuning as tuning_lib
from abaw_jax.reports import comparison
from abaw_jax.scoring import intervals, predictions

NETWORK = 'network'


def compare(
    rows: predictions.Predictions,
    how: pipeline.Postprocessing | None,
    *,
    whole: bool,
    resamples: int = intervals.RESAMPLES,
) -> list[str]:
  """Returns the scores of a network, with and without a postprocessing.

  Args:
    rows: predictions of the network.
    how: of a single member, fitted to other rows; None for none.
    whole: whether intervals over videos are given, too.
    resamples: of the videos.

  Raises:
    InputError: if the rows have no labels, or it is of several members.
  """
  _check(rows)
  before = intervals.bootstrap(rows, resamples=resamples)
  if how is None:
    return comparison.table({NETWORK: before}, whole=whole)
  after = intervals.bootstrap(pipeline.apply(how, [rows]), resamples=resamples)
  gain = after['score'].minus(before['score'])
  text = comparison.signed(gain) if whole else f'{gain.value:+.4f}'
  return [
      *comparison.table({NETWORK: before, 'postprocessed': after}, whole=whole),
      f'gain over the {NETWORK}: {text}',
  ]


def tune(
    rows: predictions.Predictions,
    *,
    groups: int = 5,
    resamples: int = intervals.RESAMPLES,
) -> tuple[list[str], pipeline.Postprocessing]:
  """Returns a report of tuning on the reported rows, and what was fitted.

  The report has the score of these rows cross-fitted, that in sample, and their
  difference: the optimism.

  Raises:
    InputError: if the rows have no labels, or fewer videos than groups.
  """
  _check(rows)
  settings = tuning_lib.Settings()
  tuned = tuning_lib.tune([rows], settings, groups=groups)
  before = intervals.bootstrap(rows, resamples=resamples)
  steps = [step for step in settings.steps if step != 'weights']
  lines = comparison.tuning(
      {NETWORK: before}, tuned, steps, resamples=resamples
  )
  return lines, tuned.postprocessing


def _check(rows: predictions.Predictions) -> None:
  if not rows.labelled:
    raise errors.InputError(
        'these rows have no labels to compare with; abaw_jax.predict '
        '--postprocessing=FILE writes what it makes of them'
    )
