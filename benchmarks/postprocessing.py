r"""Measures the gain of each post-processing step over several seeds.

  python -m benchmarks.postprocessing --model=runs/gru \
      --blend=encoders=runs/lstm,runs/gru --blend=features=runs/gru,runs/gru_mae

Each folder is a workdir of `abaw-jax crossvalidate --seeds=...`, with the same seeds
and rows. Tuning is cross-fitted, as in `abaw-jax ensemble`: each video is processed
with parameters tuned on other videos. The table has the P_MTL, as mean and standard
deviation over seeds, and the gain over the same seed of --model without
post-processing: first for --model, then for each --blend, then for the blend of all
seeds of --model, compared with the mean of its seeds. `+ all steps` tunes weights,
smoothing, thresholds and bias together. `fitted to the same rows` is the score
without cross-fitting: it is too optimistic and not a result.
"""

from collections.abc import Callable, Iterator, Sequence
import dataclasses
import pathlib

from absl import flags
import numpy as np

from abaw_jax.core import cli, errors
from abaw_jax.postprocessing import blending, postprocess, tuning
from abaw_jax.scoring import prediction_files, predictions
from benchmarks import harness

flags.DEFINE_string('model', None, 'Folder of the model.', required=True)
flags.DEFINE_multi_string('blend', [], 'NAME=FOLDER,FOLDER: models to blend.')
flags.DEFINE_string('split', 'validation', 'Split of the predictions.')
flags.DEFINE_integer('groups', 5, 'Groups of videos for cross-fitting.')

Members = Sequence[predictions.Predictions]


@dataclasses.dataclass(frozen=True)
class Steps:
  """Tunes some steps, cross-fitted or in sample (too optimistic)."""

  steps: tuple[str, ...]
  in_sample: bool = False

  def __call__(self, members: Members) -> float:
    """Returns the P_MTL of the blend after the steps."""
    tuned = tuning.tune(
        members,
        tuning.Settings(steps=self.steps),
        groups=flags.FLAGS.groups,
    )
    rows = tuned.in_sample if self.in_sample else tuned.cross_fitted
    return rows.scores()['P_MTL']


def equal(members: Members) -> float:
  """Returns the P_MTL of the blend with equal weights."""
  blend = postprocess.Postprocessing.equal_weights(len(members))
  return blend.apply(members).scores()['P_MTL']


SINGLE = {
    'no step': equal,
    'smoothing': Steps(('smoothing',)),
    'AU thresholds': Steps(('thresholds',)),
    'EXPR bias': Steps(('bias',)),
    'thresholds, bias': Steps(('thresholds', 'bias')),
    'smoothing, thresholds, bias': Steps(('smoothing', 'thresholds', 'bias')),
    'fitted to the same rows': Steps(
        ('smoothing', 'thresholds', 'bias'), in_sample=True
    ),
}
BLENDS = {
    'equal weights': equal,
    'tuned weights': Steps(('weights',)),
    '+ all steps': Steps(tuning.STEPS),
    'fitted to the same rows': Steps(tuning.STEPS, in_sample=True),
}


def read_seeds(folder: str) -> dict[str, predictions.Predictions]:
  """Returns the predictions of a model by seed.

  Raises:
    InputError: if there are none, or a file is invalid.
  """
  files = sorted(
      pathlib.Path(folder).glob(f'seed*/predictions/{flags.FLAGS.split}.npz')
  )
  if not files:
    raise errors.InputError(
        f'{folder}: no seed*/predictions/{flags.FLAGS.split}.npz; give a workdir '
        'of abaw-jax crossvalidate --seeds=...'
    )
  return {file.parts[-3]: prediction_files.read(file) for file in files}


def make_rows() -> Iterator[list[str]]:
  """Yields the rows of the table."""
  args = flags.FLAGS
  model = read_seeds(args.model)
  base = {seed: equal([rows]) for seed, rows in model.items()}
  members = {seed: [rows] for seed, rows in model.items()}
  yield from _make_rows(args.model, SINGLE, members, base)
  for text in args.blend:
    name, sign, folders = text.partition('=')
    if not sign:
      raise errors.InputError(f'--blend={text}: give NAME=FOLDER,FOLDER')
    parts = {folder: read_seeds(folder) for folder in folders.split(',')}
    for folder, part in parts.items():
      if part.keys() != model.keys():
        raise errors.InputError(
            f'{folder}: has {", ".join(part)}, but {args.model} has '
            f'{", ".join(model)}; blend folders with the same seeds'
        )
    members = {
        seed: blending.align(
            [part[seed] for part in parts.values()], list(parts)
        )
        for seed in model
    }
    yield from _make_rows(name, BLENDS, members, base)
  members = {'all': blending.align(list(model.values()), list(model))}
  base = {'all': float(np.mean(list(base.values())))}
  yield from _make_rows('seeds', BLENDS, members, base)


def main() -> None:
  """Prints the table."""
  harness.print_table(('model', 'step', 'P_MTL', 'gain'), make_rows())


def _make_rows(
    name: str,
    steps: dict[str, Callable[[Members], float]],
    members: dict[str, Members],
    base: dict[str, float],
) -> Iterator[list[str]]:
  """Yields a row for each step."""
  for step, score in steps.items():
    values = [score(rows) for rows in members.values()]
    gains = np.subtract(values, [base[seed] for seed in members])
    cells = [
        f'{np.mean(x):{sign}.4f}'
        + (f' +- {np.std(x, ddof=1):.4f}' if len(members) > 1 else '')
        for x, sign in ((values, ''), (gains, '+'))
    ]
    yield [name, step, *cells]


if __name__ == '__main__':
  cli.run(main, __doc__)
