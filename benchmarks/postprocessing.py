r"""What each step that follows the network is worth, over the seeds of models.

  python -m benchmarks.postprocessing --model=runs/gru \
      --blend=encoders=runs/lstm,runs/gru --blend=features=runs/gru,runs/gru_mae

Each folder is of `abaw-jax crossvalidate --seeds=...`: the same seeds on
the same rows. The steps are tuned cross-fitted, as `abaw_jax.ensemble` does it: no
video is processed by what was fitted to it. Prints P_MTL, mean and standard
deviation over seeds, and the gain over the same seed of --model as it is; then of
each blend, once for each seed; then of all seeds of a model together, which is one
value, against the mean of its seeds. `+ all steps` tunes weights, smoothing,
thresholds and bias at once; `fitted to the same rows` is what that would claim
without cross-fitting, and no result.
"""

from collections.abc import Callable, Sequence
import dataclasses
import pathlib

from absl import flags
import numpy as np

from abaw_jax.core import cli, errors
from abaw_jax.postprocessing import blending, pipeline, tuning
from abaw_jax.scoring import prediction_files, predictions

flags.DEFINE_string('model', None, 'Folder of one model.', required=True)
flags.DEFINE_multi_string('blend', [], 'NAME=FOLDER,FOLDER: models to blend.')
flags.DEFINE_string('split', 'validation', 'Whose predictions are processed.')
flags.DEFINE_integer('groups', 5, 'Groups of videos for cross-fitting.')

Members = Sequence[predictions.Predictions]


@dataclasses.dataclass(frozen=True)
class Steps:
  """Tunes some steps, cross-fitted or, which is no result, in sample."""

  steps: tuple[str, ...]
  in_sample: bool = False

  def __call__(self, members: Members) -> float:
    """Returns the P_MTL of the members after the steps."""
    tuned = tuning.tune(
        members,
        tuning.Settings(steps=self.steps),
        groups=flags.FLAGS.groups,
    )
    rows = tuned.in_sample if self.in_sample else tuned.cross_fitted
    return rows.scores()['P_MTL']


def equal(members: Members) -> float:
  """Returns the P_MTL of the members with equal weights."""
  how = pipeline.Postprocessing.plain(len(members), expr='logits', au='logits')
  return pipeline.apply(how, members).scores()['P_MTL']


SINGLE = {
    'as it is': equal,
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


def read(folder: str) -> dict[str, predictions.Predictions]:
  """Returns the predictions of a model by seed.

  Raises:
    InputError: if there are none, or a file is wrong.
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


def main() -> None:
  """Prints the table."""
  args = flags.FLAGS
  model = read(args.model)
  base = {seed: equal([rows]) for seed, rows in model.items()}
  print('| model | step | P_MTL | gain |\n| --- | --- | --- | --- |')
  _print(args.model, SINGLE, {seed: [x] for seed, x in model.items()}, base)
  for text in args.blend:
    name, sign, folders = text.partition('=')
    if not sign:
      raise errors.InputError(f'--blend={text}: give NAME=FOLDER,FOLDER')
    parts = {folder: read(folder) for folder in folders.split(',')}
    for folder, part in parts.items():
      if part.keys() != model.keys():
        raise errors.InputError(
            f'{folder}: has {", ".join(part)}; {args.model} has '
            f'{", ".join(model)}: blends need the same seeds'
        )
    members = {
        seed: blending.align(
            [part[seed] for part in parts.values()], list(parts)
        )
        for seed in model
    }
    _print(name, BLENDS, members, base)
  together = {'all': blending.align(list(model.values()), list(model))}
  _print(
      'seeds', BLENDS, together, {'all': float(np.mean(list(base.values())))}
  )


def _print(
    name: str,
    steps: dict[str, Callable[[Members], float]],
    members: dict[str, Members],
    base: dict[str, float],
) -> None:
  """Prints the lines of some steps."""
  for step, score in steps.items():
    values = [score(rows) for rows in members.values()]
    gains = np.subtract(values, [base[seed] for seed in members])
    cells = [
        f'{np.mean(x):{sign}.4f}'
        + (f' +- {np.std(x, ddof=1):.4f}' if len(members) > 1 else '')
        for x, sign in ((values, ''), (gains, '+'))
    ]
    print(f'| {name} | {step} | {" | ".join(cells)} |', flush=True)


if __name__ == '__main__':
  cli.run(main, __doc__)
