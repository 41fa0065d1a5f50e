r"""Scores a trained run and writes its predictions.

  python -m abaw_jax.evaluate --workdir=runs/mtl-1 --split=validation
  python -m abaw_jax.evaluate --workdir=runs/mtl-1 --intervals \
      --postprocessing=postprocessing.json

Takes the run's best checkpoint, or with --of=tasks for each task the weights that
it alone was best with, of up to four networks (<split>_tasks.npz). Prints every score with the number of rows
behind it and, last, `P_MTL <x> (VA <x> EXPR <x> AU <x>)`; of a split without
labels, a line that says so. Writes <workdir>/predictions/<split>.npz and .json.

--postprocessing=FILE says what smoothing, thresholds and bias make of it: those
that abaw_jax.ensemble or abaw_jax.crossvalidate fitted to other rows. --tune fits
them to the very rows that are reported. It then prints what they are worth, on
videos they were not fitted to, the flattering score on those they were, and the
difference, which is no result; and writes <split>.postprocessing.json.
"""

import pathlib

from absl import flags

from abaw_jax.core import cli, errors, labels

cli.define_workdir('Folder of the run.', required=True)
cli.define_processes()
flags.DEFINE_enum(
    'split', 'validation', labels.SPLITS, 'Split to score and predict.'
)


def _define_flags() -> None:
  """Defines the flags; not at import, where other commands have theirs."""
  flags.DEFINE_string(
      'postprocessing', None, 'File to apply: scores with and without it.'
  )
  flags.DEFINE_string(
      'of',
      'score',
      "Whose weights predict: 'score', those of the best checkpoint; 'tasks', each "
      'task by those that it alone was best with; or the name of one task.',
  )
  flags.DEFINE_bool('intervals', False, 'Give 95% intervals over videos.')
  flags.DEFINE_bool(
      'tune', False, 'Fit a postprocessing to the rows that are reported.'
  )
  flags.DEFINE_integer(
      'groups', 5, 'Groups of videos for cross-fitting.', lower_bound=2
  )


def main() -> None:
  """Evaluates the run."""
  import jax

  from abaw_jax.distributed import processes
  from abaw_jax.inference import evaluation
  from abaw_jax.postprocessing import postprocessing_files
  from abaw_jax.telemetry import journal

  args = flags.FLAGS
  if args.tune and args.postprocessing:
    raise errors.InputError(
        '--tune fits what --postprocessing would apply; give one of them'
    )
  how = args.postprocessing and postprocessing_files.read(
      pathlib.Path(args.postprocessing)
  )
  workdir, split = pathlib.Path(args.workdir), args.split
  with processes.joined(**cli.processes()):
    scores = evaluation.evaluate(workdir, split, of=args.of)
    path = evaluation.file(workdir, split, of=args.of)
    journal.say(f'predictions: {path}')
    lines = evaluation.score_table(scores)
    asked = how or args.tune or args.intervals
    if asked and jax.process_index() == 0:  # it has written the file
      lines += _compare(path, how)
    journal.say('\n'.join([*lines, evaluation.format_scores(scores)]))


def _compare(path: pathlib.Path, how) -> list[str]:
  """Returns what is asked for beside the scores of the network."""
  from abaw_jax.postprocessing import postprocessing_files
  from abaw_jax.reports import evaluation as evaluate
  from abaw_jax.scoring import prediction_files

  args = flags.FLAGS
  rows = prediction_files.read(path)
  if not args.tune:
    return evaluate.compare(rows, how, whole=args.intervals)
  lines, fitted = evaluate.tune(rows, groups=args.groups)
  beside = path.with_suffix('.postprocessing.json')
  postprocessing_files.write(beside, fitted)
  return [*lines, f'postprocessing: {beside}']


if __name__ == '__main__':
  _define_flags()
  cli.run(main, __doc__)
