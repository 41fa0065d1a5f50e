r"""Trains all folds and seeds of a config, blends them, and says what that is worth.

  python -m abaw_jax.crossvalidate --config=configs/mtl.py --num_folds=5 \
      --seeds=0,1,2 --workdir=runs/cv --config.eval_epochs=0
  python -m abaw_jax.crossvalidate --config=configs/mtl.py --seeds=0,1,2 \
      --workdir=runs/seeds

Videos of train and validation are dealt into --num_folds; each run leaves one out
and predicts it. Without folds every run trains on train and predicts validation.
The same command goes on after an interruption: runs that have ended are not
repeated, and runs that another machine has trained are taken as they are.

Prints each run's scores, their mean and spread over seeds and folds; then, beside
the scores of each seed, those of the blend and of the blend with weights, smoothing,
thresholds and bias that were fitted to other videos (cross-fitting), with 95%
intervals over videos. Writes report.json, postprocessing.json and
predictions/out_of_fold.npz (validation.npz without folds). To predict the test set:

  python -m abaw_jax.predict --workdir=runs/cv --split=test \
      --postprocessing=runs/cv/postprocessing.json --submission=mtl.txt --list=LIST
"""

import pathlib

from absl import flags

from abaw_jax.core import cli, errors


def _define_flags() -> None:
  """Defines the flags; not at import, where other commands have theirs."""
  cli.define_config()
  cli.define_workdir('Folder of all runs.', required=True)
  flags.DEFINE_integer(
      'num_folds', 0, 'Folds; 0 = the official split.', lower_bound=0
  )
  flags.DEFINE_list('seeds', ['0'], 'Seeds of the runs.')
  flags.DEFINE_integer(
      'groups', 5, 'Groups of videos for cross-fitting.', lower_bound=2
  )
  flags.DEFINE_integer(
      'resamples', 1000, 'Resamples of videos for intervals.', lower_bound=100
  )


def main() -> None:
  """Trains what is not trained yet, and reports."""
  from abaw_jax.workflow import crossvalidation, procedural, stages

  args = flags.FLAGS
  root, num_folds = pathlib.Path(args.workdir), args.num_folds
  config = args.config.to_dict()
  arguments = cli.config_arguments()
  crossvalidation.check_arguments(arguments)
  planned = crossvalidation.plan(root, _seeds(args.seeds), num_folds)
  _check(config, num_folds)
  if procedural.is_asked_for(config['data']['name']):
    procedural.resolve(config)
    arguments += [
        f'--config.data.{key}={config["data"][key]}' for key in ('name', 'dir')
    ]
  _check_ended(config, planned, num_folds)
  # Before this process touches a device: one is not shared on every platform.
  stages.run(crossvalidation.stages(planned, arguments, num_folds))
  _report(config, root, planned, num_folds)


def _seeds(texts: list[str]) -> list[int]:
  if not all(text.strip().isdecimal() for text in texts):
    raise errors.InputError(
        f'--seeds={",".join(texts)}: give whole numbers, such as 0,1,2'
    )
  return [int(text) for text in texts]


def _check(config, num_folds: int) -> None:
  """Raises an InputError if this config cannot be cross-validated."""
  name, data = config['model']['name'], config['data']
  if name not in ('frame', 'temporal'):
    raise errors.InputError(
        f'config.model.name={name}: predicts no labels to blend; take a config '
        'of a frame or a temporal model'
    )
  if num_folds and 'num_folds' not in data:
    raise errors.InputError(
        f'--num_folds={num_folds}: a {name} model has no folds; give '
        '--num_folds=0, or a config of a temporal model'
    )
  if name == 'temporal' and data['full']:
    raise errors.InputError(
        'config.data.full: trains on the rows that are scored; leave it out'
    )


def _check_ended(config, planned, num_folds: int) -> None:
  """Raises an InputError if a run has ended that had another config."""
  from abaw_jax.checkpoints import runs

  for run in planned:
    fold = {} if run.fold is None else {
        'num_folds': num_folds, 'fold': run.fold
    }  # fmt: skip
    own = config | {'seed': run.seed, 'data': config['data'] | fold}
    changes = runs.check(run.workdir, own)
    if changes and runs.is_done(run.workdir):
      raise errors.InputError(
          f'{run.workdir}: has ended with another config: {"; ".join(changes)}; '
          'choose another --workdir or these settings'
      )


def _report(config, root: pathlib.Path, planned, num_folds: int) -> None:
  """Predicts what each run has left out; writes and says what it is worth."""
  from abaw_jax.core import files
  from abaw_jax.inference import evaluation
  from abaw_jax.postprocessing import postprocessing_files
  from abaw_jax.reports import crossvalidation as crossvalidate
  from abaw_jax.scoring import prediction_files
  from abaw_jax.tasks import inputs
  from abaw_jax.workflow import crossvalidation

  paths: dict[int, list[pathlib.Path]] = {}
  for run in planned:
    file = evaluation.file(run.workdir, 'validation')
    if not _is_newer(file.with_suffix('.json'), run.workdir / 'DONE'):
      evaluation.evaluate(run.workdir, 'validation')
    paths.setdefault(run.seed, []).append(file)
  official = ()
  if num_folds:
    official = inputs.make_source(config, 'validation').videos.names
  result = crossvalidate.run(
      paths,
      official=official,
      groups=flags.FLAGS.groups,
      resamples=flags.FLAGS.resamples,
  )
  name = 'out_of_fold' if num_folds else 'validation'
  out = root / 'predictions' / f'{name}.npz'
  prediction_files.write(out, result.rows)
  beside = root / 'postprocessing.json'
  postprocessing_files.write(beside, result.postprocessing)
  names = [run.workdir.name for run in planned]
  files.write_json(
      root / crossvalidation.REPORT, {'runs': names} | result.content
  )
  lines = list(result.lines)
  if config['eval_epochs']:
    lines.append(
        'each run kept its best checkpoint on the rows it is scored on, which '
        'flatters it; --config.eval_epochs=0 keeps the last one'
    )
  print('\n'.join([*lines, f'predictions: {out}', f'postprocessing: {beside}']))


def _is_newer(file: pathlib.Path, than: pathlib.Path) -> bool:
  return file.is_file() and file.stat().st_mtime >= than.stat().st_mtime


if __name__ == '__main__':
  _define_flags()
  cli.run(main, __doc__)
