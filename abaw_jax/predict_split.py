r"""Predicts a split with the best checkpoint of a run, or of several, blended.

  abaw-jax predict_split --workdir=runs/mtl --split=test --table=test.csv
  abaw-jax predict_split --workdir=runs/mtl0 --workdir=runs/mtl1 --split=test \
      --postprocessing=blend.json --submission=mtl.txt --list=LIST
  abaw-jax predict_split --workdir=runs/cv --split=test \
      --postprocessing=runs/cv/postprocessing.json --submission=mtl.txt --list=LIST

  abaw-jax predict_split --model=weights/emotieffnet --data=DATA_DIR/s_aff_wild2 \
      --split=validation --table=zero_shot.csv

Labels are not needed. A folder of abaw-jax crossvalidate counts as all of its runs.
Predictions of each run are written to <workdir>/predictions/<split>.npz. --data
predicts another dataset, in <workdir>/predictions/<dataset>/. The blend of all runs
is written to --table (.parquet or .csv with named columns, or .npz) and to
--submission, the challenge file. It has one row for each line of --list, in the same
order. Rows without a prediction are interpolated from other frames of their video and
counted; --missing=error refuses them. --task=lsd writes the file of learning from
synthetic data, in which every row needs a prediction.

--model is a folder of weights of an expression classifier that abaw-jax convert
wrote. It needs --data, and predicts valence and arousal only if it has such outputs,
and no action units. Its Contempt is left out, or with --contempt=other counts as
Other, which is how HSE-NN's confidence filter reads it. With several models, only
those that predict a task are blended in it.

--strides turns on the adaptive frame rate: it reads as few frames as possible for an
expression, and prints costs and scores, also for fixed strides. --second turns on the
confidence filter: a second network decides expressions with a high probability. The
thresholds of both are fitted to --fit_on, predictions of these runs for labelled
training videos, which --split=train writes. Strides count listed frames. These are
video frames only if the list has every frame, which is not so for s-Aff-Wild2.
"""

import itertools

from absl import flags

from abaw_jax.core import cli, errors, files, labels, numbers

cli.define_paths('workdir', 'Folder of a run.')
cli.define_paths('model', 'Folder of a converted expression classifier.')
cli.define_processes()
flags.DEFINE_enum('split', 'test', labels.SPLITS, 'Split to predict.')
flags.DEFINE_string(
    'data', None, "DATA_DIR/DATASET to predict instead of the run's dataset."
)
flags.DEFINE_string(
    'data_dir',
    None,
    'Folder of the datasets, if it was moved after the training.',
)
flags.DEFINE_enum(
    'contempt',
    'left_out',
    ('left_out', 'other'),
    'Whether the Contempt of --model is left out or counts as Other.',
)
flags.DEFINE_string('table', None, 'File to write: .parquet, .csv or .npz.')
flags.DEFINE_string('submission', None, 'Challenge file to write.')
flags.DEFINE_string('list', None, 'List of the images, from the organisers.')
flags.DEFINE_enum('task', 'mtl', ('mtl', 'lsd'), 'Challenge of the submission.')
flags.DEFINE_enum(
    'missing',
    'interpolate',
    ('interpolate', 'error'),
    'How rows of the list without a prediction are handled.',
)
flags.DEFINE_string(
    'postprocessing', None, 'File with weights, smoothing and calibration.'
)
flags.DEFINE_list(
    'strides',
    [],
    'Strides of an adaptive frame rate, such as 200,100,50,10,1.',
)
flags.DEFINE_integer(
    'half_window', 100, 'Frames of a window on each side of its frame.'
)
flags.DEFINE_float(
    'alpha', 0.1, 'Share of wrong rows that a stride may accept.', 0.0, 1.0
)
flags.DEFINE_enum(
    'levels',
    'growing',
    ('growing', 'fixed'),
    'growing: k / n of --alpha for the k-th of n strides; fixed: all of it.',
)
flags.DEFINE_string(
    'second', None, 'Predictions of the second network of the filter.'
)
flags.DEFINE_float(
    'confidence',
    None,
    'Threshold of the filter, a probability; fitted if not given.',
)
cli.define_paths('fit_on', 'Predictions of a run for labelled training videos.')
flags.DEFINE_string(
    'second_fit_on', None, 'Predictions of the second network for --fit_on.'
)


def main() -> None:
  """Predicts with all runs, and writes their blend."""
  import jax

  from abaw_jax.checkpoints import runs
  from abaw_jax.distributed import processes
  from abaw_jax.inference import evaluation
  from abaw_jax.reports import predictions as report
  from abaw_jax.telemetry import journal
  from abaw_jax.workflow import studies

  args = flags.FLAGS
  _check(args)

  data = cli.path('data')
  workdirs = [
      run for path in cli.paths('workdir') for run in studies.runs_of(path)
  ]
  for workdir in workdirs:
    _check_run(workdir)
  models = cli.paths('model')
  for model in models:
    _check_model(model)
  workdirs += models
  postprocessing = report.read_postprocessing(
      cli.path('postprocessing'), len(workdirs)
  )
  outputs = [evaluation.file(run, args.split, data=data) for run in workdirs]
  with processes.joined(**cli.processes()):
    for workdir, file in zip(workdirs, outputs, strict=True):
      evaluation.evaluate(
          workdir,
          args.split,
          data=data,
          data_dir=cli.path('data_dir'),
          contempt=args.contempt,
      )
      journal.say(f'predictions: {file}')
      for line in runs.untrained_note(runs.read_untrained(workdir)):
        journal.say(line)
    blended = args.table or args.submission or args.strides or args.second
    if blended and jax.process_index() == 0:  # this process wrote the files
      print('\n'.join(_blend(args, outputs, postprocessing)))


def _check(args) -> None:
  """Raises an InputError if flags do not go together."""
  from abaw_jax.scoring import prediction_files

  if not args.workdir and not args.model:
    raise errors.InputError('give --workdir=RUN or --model=WEIGHTS')
  if args.model and not args.data:
    raise errors.InputError(
        '--model has no dataset of its own; give --data=DATA_DIR/DATASET'
    )
  if bool(args.submission) != bool(args.list):
    raise errors.InputError(
        'give both --submission=FILE and --list=LIST: the list defines the rows '
        'of the file'
    )
  if args.strides and args.second:
    raise errors.InputError(
        '--strides and --second both decide expressions; give one of them'
    )
  if args.strides and not args.fit_on:
    raise errors.InputError(
        '--strides needs --fit_on=FILE: predictions of the training split, which '
        '--split=train writes'
    )
  if args.strides:
    _strides(args.strides)
  if args.table:
    prediction_files.check_name(cli.path('table'))
  fitted = args.second and args.confidence is None
  if fitted and not (args.fit_on and args.second_fit_on):
    raise errors.InputError(
        '--second needs --confidence=P, or --fit_on and --second_fit_on to fit '
        'it: predictions of the training split'
    )


def _check_run(workdir: files.Path) -> None:
  """Raises an InputError if this is not a run that predicts labels."""
  from abaw_jax.checkpoints import runs
  from abaw_jax.tasks import registry

  task = registry.task_class(runs.read_config(workdir))
  if not task.predicts_labels:
    raise errors.InputError(
        f'{workdir}: its model, {task.name}, predicts no labels; give a run of a '
        'frame or a temporal model'
    )


def _check_model(folder: files.Path) -> None:
  """Raises an InputError if this is not a folder of a converted classifier."""
  from abaw_jax.checkpoints import weights

  if not weights.is_folder(folder):
    raise errors.InputError(
        f'--model={folder}: it is not a folder of weights, which abaw-jax '
        'convert writes; give a run as --workdir'
    )
  weights.read_labels(folder)


def _blend(args, outputs: list[files.Path], postprocessing) -> list[str]:
  """Writes the blend of the runs; returns the report."""
  from abaw_jax.reports import predictions as report
  from abaw_jax.scoring import prediction_files

  fit_on = tuple(cli.paths('fit_on'))
  lines = []
  if args.strides:
    options = report.FrameRate(
        _strides(args.strides),
        fit_on,
        half=args.half_window,
        alpha=args.alpha,
        levels=args.levels,
    )
    rows, lines = report.blend_adaptively(outputs, postprocessing, options)
  elif args.second:
    options = report.Filter(
        cli.path('second'),
        args.confidence,
        fit_on,
        cli.path('second_fit_on'),
    )
    rows, lines = report.blend_filtered(outputs, postprocessing, options)
  else:
    rows = report.blend(outputs, postprocessing)
  if args.table:
    prediction_files.write(cli.path('table'), rows)
    lines.append(f'{args.table}: {len(rows):,} rows')
  if args.submission:
    lines.append(
        report.write_submission(
            cli.path('submission'),
            cli.path('list'),
            rows,
            task=args.task,
            missing=args.missing,
        )
    )
  return lines


def _strides(texts: list[str]) -> tuple[int, ...]:
  """Returns the values of --strides."""
  try:
    strides = tuple(map(numbers.integer, texts))
  except ValueError:
    strides = (0,)
  decreasing = all(a > b for a, b in itertools.pairwise(strides))
  if not decreasing or strides[-1] != 1:
    raise errors.InputError(
        f'--strides={",".join(texts)}: give decreasing whole numbers that end '
        'with 1, such as 200,100,50,10,1'
    )
  return strides


if __name__ == '__main__':
  cli.run(main, __doc__)
