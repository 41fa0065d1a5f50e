"""Reports of the command `evaluate`: intervals, postprocessing and tuning."""

from abaw_jax.core import errors
from abaw_jax.postprocessing import postprocess, tuning
from abaw_jax.reports import comparison
from abaw_jax.scoring import intervals, predictions

NETWORK = 'network'


def compare(
    rows: predictions.Predictions,
    postprocessing: postprocess.Postprocessing | None,
    *,
    with_intervals: bool,
    resamples: int = intervals.RESAMPLES,
) -> list[str]:
  """Returns the scores of a network, with and without postprocessing.

  Raises:
    InputError: the rows have no labels, or the postprocessing has several
      members.
  """
  _check(rows)
  before = comparison.bootstrap({NETWORK: rows}, resamples)
  if postprocessing is None:
    return comparison.table(before, with_intervals=with_intervals)
  after = intervals.bootstrap(postprocessing.apply([rows]), resamples=resamples)
  return [
      *comparison.table(
          {**before, 'postprocessed': after}, with_intervals=with_intervals
      ),
      comparison.gain(after, before, with_interval=with_intervals),
  ]


def tune(
    rows: predictions.Predictions,
    *,
    groups: int = 5,
    resamples: int = intervals.RESAMPLES,
) -> tuple[list[str], postprocess.Postprocessing]:
  """Returns a report of tuning on the reported rows, and the fitted parameters.

  Raises:
    InputError: the rows have no labels, or fewer recordings than groups.
  """
  _check(rows)
  settings = tuning.Settings()
  tuned = tuning.tune([rows], settings, groups=groups)
  lines = comparison.tuning_report(
      comparison.bootstrap({NETWORK: rows}, resamples),
      tuned,
      [step for step in settings.steps if step != 'weights'],
      resamples=resamples,
  )
  return lines, tuned.postprocessing


def _check(rows: predictions.Predictions) -> None:
  if not rows.labelled:
    raise errors.InputError(
        'these rows have no labels to score them with; abaw-jax predict_split '
        '--postprocessing=FILE applies a postprocessing without labels'
    )
