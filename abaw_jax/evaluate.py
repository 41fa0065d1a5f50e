r"""Scores a trained run and writes its predictions.

  abaw-jax evaluate --workdir=runs/mtl-1 --split=validation
  abaw-jax evaluate --workdir=runs/mtl-1 --intervals \
      --postprocessing=postprocessing.json

Uses the best checkpoint of the run. With --weights_of=tasks each task is predicted
by the weights with which its own score was best, from up to four checkpoints. Prints
every score with its number of labelled rows, and at the end
`P_MTL <x> (VA <x> EXPR <x> AU <x>)`, or that the split has no labels. Writes
<workdir>/predictions/<split>.npz and .json (<split>_tasks.npz for tasks).

--postprocessing=FILE applies smoothing, thresholds and bias from a file and prints
the scores with and without them. abaw-jax ensemble and abaw-jax crossvalidate write
such files, fitted to other rows. --tune fits them to the reported rows themselves. It
prints the score on held-out videos (cross-fitting), the score in sample, which is too
high, and their difference, and writes <split>.postprocessing.json.
"""

from absl import flags

from abaw_jax.core import cli, errors, files, labels

cli.define_workdir('Folder of the run.', required=True)
cli.define_processes()
flags.DEFINE_enum(
    'split', 'validation', labels.SPLITS, 'Split to score and predict.'
)
flags.DEFINE_string(
    'postprocessing', None, 'Postprocessing to apply; a JSON file.'
)
flags.DEFINE_string(
    'weights_of',
    'score',
    "Weights that predict. 'score': the best checkpoint; 'tasks': for each task "
    'the weights with its own best score; or the name of one task: the weights '
    'with the best score of that task.',
)
flags.DEFINE_string(
    'data_dir',
    None,
    'Folder of the datasets, if it was moved after the training.',
)
flags.DEFINE_bool('intervals', False, 'Print 95% intervals over recordings.')
flags.DEFINE_bool('tune', False, 'Fit a postprocessing to the reported rows.')
cli.define_groups()


def main() -> None:
  """Evaluates the run."""
  import jax

  from abaw_jax.checkpoints import runs
  from abaw_jax.distributed import processes
  from abaw_jax.inference import evaluation
  from abaw_jax.postprocessing import postprocessing_files
  from abaw_jax.tasks import registry
  from abaw_jax.telemetry import journal

  args = flags.FLAGS
  if args.tune and args.postprocessing:
    raise errors.InputError(
        '--tune fits a postprocessing and --postprocessing applies another; give '
        'only one of them'
    )
  postprocessing = args.postprocessing and postprocessing_files.read(
      cli.path('postprocessing')
  )
  workdir, split = cli.path('workdir'), args.split
  with processes.joined(**cli.processes()):
    data_dir = cli.path('data_dir')
    if args.tune:
      config = evaluation.read_config(workdir, data_dir=data_dir)
      _check_tuning(workdir, registry.make_task(config), split)
    scores = evaluation.evaluate(
        workdir, split, data_dir=data_dir, weights_of=args.weights_of
    )
    path = evaluation.file(workdir, split, weights_of=args.weights_of)
    journal.say(f'predictions: {path}')
    task = registry.make_task(runs.read_config(workdir))
    untrained = runs.read_untrained(workdir)
    lines = task.table(scores, untrained) + runs.untrained_note(untrained)
    compared = postprocessing or args.tune or args.intervals
    if compared and jax.process_index() == 0:  # this process wrote the file
      lines += _compare(path, postprocessing)
    journal.say('\n'.join([*lines, task.summary(scores)]))


def _check_tuning(workdir: files.Path, task, split: str) -> None:
  """Raises an InputError if the split cannot tune a postprocessing."""
  from abaw_jax.postprocessing import tuning

  if not task.predicts_labels:
    raise errors.InputError(
        f'--tune: {workdir}: its model, {task.name}, predicts no labels; leave '
        'it out'
    )
  videos = task.labelled_videos(task.source(split))
  tuning.check_groups(videos, flags.FLAGS.groups)


def _compare(path: files.Path, postprocessing) -> list[str]:
  """Returns the report of intervals, of a postprocessing or of tuning."""
  from abaw_jax.postprocessing import postprocessing_files
  from abaw_jax.reports import evaluation as report
  from abaw_jax.scoring import prediction_files

  args = flags.FLAGS
  rows = prediction_files.read(path)
  if not args.tune:
    return report.compare(rows, postprocessing, with_intervals=args.intervals)
  lines, fitted = report.tune(rows, groups=args.groups)
  file = path.with_suffix('.postprocessing.json')
  postprocessing_files.write(file, fitted)
  return [*lines, f'postprocessing: {file}']


if __name__ == '__main__':
  cli.run(main, __doc__)
