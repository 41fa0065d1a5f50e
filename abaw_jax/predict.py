r"""Predicts a split with the best checkpoint of a run, or of several, blended.

  python -m abaw_jax.predict --workdir=runs/mtl --split=test --table=test.csv
  python -m abaw_jax.predict --workdir=runs/mtl0,runs/mtl1 --split=test \
      --postprocessing=blend.json --submission=mtl.txt --list=LIST
  python -m abaw_jax.predict --workdir=runs/cv --split=test \
      --postprocessing=runs/cv/postprocessing.json --submission=mtl.txt --list=LIST

Needs no labels. A folder of abaw_jax.crossvalidate stands for all of its runs.
Each run's predictions are written to <workdir>/predictions/<split>.npz; with
--data, which predicts another dataset, to <workdir>/predictions/<dataset>/. The
blend is written to --table (.parquet or .csv with named columns, or .npz) and to
--submission, the challenge file: a row for each line of --list, in its order and
with its repeats. Lines that were not predicted are interpolated from other frames
of their video and counted, or with --missing=error an error.

--strides reads as few frames for an expression as are needed (adaptive frame rate),
and prints costs and scores beside those of fixed strides. --sure lets another
network decide expressions that it is sure of (confidence filter). Thresholds of both
are fitted to --fit_on, predictions of these runs for labelled training videos:
`--split=train` writes them. Strides count listed frames; of true frames they are
only where the list has every frame of its videos, and s-Aff-Wild2's has not.
"""

import itertools
import pathlib

from absl import flags

from abaw_jax.core import cli, errors, labels


def _define_flags() -> None:
  """Defines the flags; not at import, where other commands have theirs."""
  cli.define_workdir(
      'Folder of the run; several are separated by commas.', required=True
  )
  cli.define_processes()
  flags.DEFINE_enum('split', 'test', labels.SPLITS, 'Split to predict.')
  flags.DEFINE_string(
      'data', None, "DATA_DIR/DATASET to predict instead of the run's own."
  )
  flags.DEFINE_string('table', None, 'File to write: .parquet, .csv or .npz.')
  flags.DEFINE_string('submission', None, 'Challenge file to write.')
  flags.DEFINE_string('list', None, 'List of the images, of the organisers.')
  flags.DEFINE_enum(
      'missing',
      'interpolate',
      ('interpolate', 'error'),
      'What becomes of lines of the list that were not predicted.',
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
      'half_window', 100, 'Frames on each side of one that count for it.'
  )
  flags.DEFINE_float(
      'alpha', 0.1, 'Share of errors that a stride may accept.', 0.0, 1.0
  )
  flags.DEFINE_enum(
      'levels',
      'growing',
      ('growing', 'fixed'),
      'Whether the k-th of n strides has k / n of --alpha, or all of it.',
  )
  flags.DEFINE_string(
      'sure', None, 'Predictions of a network that may be sure.'
  )
  flags.DEFINE_float(
      'confidence', None, 'Probability it has to exceed; fitted if not given.'
  )
  flags.DEFINE_list(
      'fit_on', [], 'Predictions of labelled training videos, one file per run.'
  )
  flags.DEFINE_string('sure_fit_on', None, 'Those of --sure for the same rows.')


def main() -> None:
  """Predicts."""
  import jax

  from abaw_jax.distributed import processes
  from abaw_jax.inference import evaluation
  from abaw_jax.reports import predictions as predict
  from abaw_jax.telemetry import journal
  from abaw_jax.workflow import studies

  args = flags.FLAGS
  _check(args)

  data = pathlib.Path(args.data) if args.data else None
  workdirs = [
      run
      for name in args.workdir.split(',')
      for run in studies.runs_of(pathlib.Path(name.strip()))
  ]
  for workdir in workdirs:
    _check_run(workdir)
  how = predict.how_to(_path(args.postprocessing), len(workdirs))
  files = [evaluation.file(run, args.split, data=data) for run in workdirs]
  with processes.joined(**cli.processes()):
    for workdir, file in zip(workdirs, files, strict=True):
      evaluation.evaluate(workdir, args.split, data=data)
      journal.say(f'predictions: {file}')
    asked = args.table or args.submission or args.strides or args.sure
    if asked and jax.process_index() == 0:  # it has written the files
      print('\n'.join(_finish(args, files, how)))


def _check(args) -> None:
  """Raises an InputError if flags do not go together."""
  if bool(args.submission) != bool(args.list):
    raise errors.InputError(
        '--submission=FILE and --list=LIST need each other: the list says which '
        'rows the file has'
    )
  if args.strides and args.sure:
    raise errors.InputError(
        '--strides and --sure both decide expressions; give one of them'
    )
  if args.strides and not args.fit_on:
    raise errors.InputError(
        '--strides needs --fit_on=FILE: predictions of the training split, '
        '`--split=train` writes them'
    )
  if args.strides:
    _strides(args.strides)
  fitted = args.sure and args.confidence is None
  if fitted and not (args.fit_on and args.sure_fit_on):
    raise errors.InputError(
        '--sure needs --confidence=P, or --fit_on and --sure_fit_on to fit it: '
        'predictions of the training split'
    )


def _check_run(workdir: pathlib.Path) -> None:
  """Raises an InputError if this is no run, or one that predicts no labels."""
  from abaw_jax.checkpoints import runs

  name = runs.read_config(workdir)['model']['name']
  if name not in ('frame', 'temporal'):
    raise errors.InputError(
        f'{workdir}: its model, {name}, predicts no labels; name a run of a '
        'frame or a temporal model'
    )


def _finish(args, files: list[pathlib.Path], how) -> list[str]:
  """Returns what is said of the blend, once it is written."""
  from abaw_jax.reports import predictions as predict
  from abaw_jax.scoring import prediction_files

  fit_on = tuple(map(pathlib.Path, args.fit_on))
  lines = []
  if args.strides:
    wanted = predict.Frames(
        _strides(args.strides),
        fit_on,
        half=args.half_window,
        alpha=args.alpha,
        levels=args.levels,
    )
    rows, lines = predict.adapt(files, how, wanted)
  elif args.sure:
    wanted = predict.Filter(
        pathlib.Path(args.sure),
        args.confidence,
        fit_on,
        _path(args.sure_fit_on),
    )
    rows, lines = predict.filtered(files, how, wanted)
  else:
    rows = predict.blend(files, how)
  if args.table:
    prediction_files.write(pathlib.Path(args.table), rows)
    lines.append(f'{args.table}: {len(rows):,} rows')
  if args.submission:
    lines.append(
        predict.write_submission(
            pathlib.Path(args.submission),
            pathlib.Path(args.list),
            rows,
            missing=args.missing,
        )
    )
  return lines


def _strides(texts: list[str]) -> tuple[int, ...]:
  """Returns the strides that are asked for."""
  strides = tuple(int(text) if text.isdecimal() else 0 for text in texts)
  falling = all(a > b for a, b in itertools.pairwise(strides))
  if not falling or strides[-1] != 1:
    raise errors.InputError(
        f'--strides={",".join(texts)}: give whole numbers that fall to 1, such as '
        '200,100,50,10,1'
    )
  return strides


def _path(text: str | None) -> pathlib.Path | None:
  return pathlib.Path(text) if text else None


if __name__ == '__main__':
  _define_flags()
  cli.run(main, __doc__)
