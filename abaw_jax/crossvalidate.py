r"""Trains the folds and seeds of a config, blends them, and scores the blend.

  abaw-jax crossvalidate --config=mtl --num_folds=5 --seeds=0,1,2 \
      --workdir=runs/cv --config.eval_epochs=0
  abaw-jax crossvalidate --config=mtl --seeds=0,1,2 --workdir=runs/seeds

--num_folds divides the videos of train and validation into folds. Each run holds
out one fold and predicts it. Without folds, every run trains on train and predicts
validation. Run the same command again after an interruption: finished runs are not
repeated. Runs that another machine trained in the same folder are used as well.

Prints the scores of each run, with their mean and standard deviation over seeds and
folds. Then prints the scores of each seed, of the blend, and of the calibrated
blend, with 95% intervals over videos. Calibration means blending weights, smoothing,
thresholds and biases; they are fitted on other videos than those that are scored
(cross-fitting). Writes report.json, postprocessing.json and
predictions/out_of_fold.npz (validation.npz without folds). To predict the test set:

  abaw-jax predict_split --workdir=runs/cv --split=test \
      --postprocessing=runs/cv/postprocessing.json --submission=mtl.txt --list=LIST
"""

import itertools

from absl import flags

from abaw_jax.core import cli, errors, files

cli.define_config()
cli.define_workdir('Folder of all runs.', required=True)
cli.define_seeds()
cli.define_folds()
cli.define_tuning()


def main() -> None:
  """Trains the runs that have not ended, and reports."""
  from abaw_jax.postprocessing import tuning
  from abaw_jax.tasks import registry
  from abaw_jax.workflow import procedural, studies

  args = flags.FLAGS
  root, num_folds = cli.path('workdir'), args.num_folds
  config = args.config.to_dict()
  planned = studies.crossvalidation(root, cli.seeds(), num_folds)
  studies.check_overrides(planned, cli.config_overrides())
  task = registry.task_class(config | {'seed': max(cli.seeds())})
  if not task.predicts_labels:
    raise errors.InputError(
        f'config.model.name={task.name}: predicts no labels to blend; use a '
        'config that predicts them, such as frame or mtl'
    )
  studies.check_folds(config, task.name, num_folds)
  procedural.resolve(config, task.default_data)
  made = registry.make_task(config)
  splits = ('train', 'validation') if num_folds else ('validation',)
  scored = [made.labelled_videos(made.source(split)) for split in splits]
  tuning.check_groups(itertools.chain(*scored), args.groups)
  studies.train(planned, config, cli.config_arguments())
  _report(config, root, planned)


def _report(config, root: files.Path, planned) -> None:
  """Predicts the held-out videos of each run; writes and prints the report."""
  from abaw_jax.checkpoints import runs
  from abaw_jax.inference import evaluation
  from abaw_jax.postprocessing import postprocessing_files, tuning
  from abaw_jax.reports import crossvalidation
  from abaw_jax.scoring import prediction_files
  from abaw_jax.tasks import registry
  from abaw_jax.workflow import studies

  predicted: dict[int, list[files.Path]] = {}
  for run in planned:
    file = evaluation.file(run.workdir, 'validation')
    if not _is_newer(file.with_suffix('.json'), run.workdir / 'DONE'):
      data_dir = files.path(config['data']['dir'])
      evaluation.evaluate(run.workdir, 'validation', data_dir=data_dir)
    predicted.setdefault(run.seed, []).append(file)
  official, name = (), 'validation'
  if flags.FLAGS.num_folds:
    source = registry.make_task(config).source('validation')
    official, name = source.videos.names, 'out_of_fold'
  result = crossvalidation.summarize(
      predicted,
      official=official,
      settings=tuning.Settings(bias=flags.FLAGS.bias),
      groups=flags.FLAGS.groups,
      resamples=flags.FLAGS.resamples,
  )
  out = root / 'predictions' / f'{name}.npz'
  prediction_files.write(out, result.rows)
  fitted = root / 'postprocessing.json'
  postprocessing_files.write(fitted, result.postprocessing)
  names = [run.workdir.name for run in planned]
  files.write_json(root / studies.REPORT, {'runs': names} | result.content)
  lines = list(result.lines)
  notes = [runs.untrained_note(runs.read_untrained(r.workdir)) for r in planned]
  lines += dict.fromkeys(itertools.chain(*notes))
  if config['eval_epochs']:
    lines.append(
        'each run kept its best checkpoint on the videos that score it, so these '
        'scores are too high; --config.eval_epochs=0 keeps the last checkpoint'
    )
  print('\n'.join([*lines, f'predictions: {out}', f'postprocessing: {fitted}']))


def _is_newer(file: files.Path, than: files.Path) -> bool:
  return file.is_file() and files.modified(file) >= files.modified(than)


if __name__ == '__main__':
  cli.run(main, __doc__, fills='workdir')
