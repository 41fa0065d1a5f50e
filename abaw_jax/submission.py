r"""Writes, checks and scores the submission file of a challenge.

  abaw-jax submission write mtl.txt --predictions=blend.npz --list=LIST
  abaw-jax submission check mtl.txt --list=LIST
  abaw-jax submission score mtl.txt --labels=ANNOTATIONS
  abaw-jax submission write lsd.txt --task=lsd --predictions=test.npz --list=LIST

`write` takes predictions of a test set in any order and writes one row for each line
of the list. Rows without a prediction are interpolated and counted. `check` compares
a file with the list: number and order of rows, ranges, whole numbers, NaN, final
newline. `score` prints P_MTL with the number of labelled rows, for a split with known
labels.

With --task=lsd, the file is that of learning from synthetic data, with the most
probable of its 6 expressions. There, each row of the list needs a prediction, and
`score` prints the macro F1.
"""

import math

from absl import flags

from abaw_jax.core import cli, errors, files, text_table

ACTIONS = ('write', 'check', 'score')
TASKS = ('mtl', 'lsd')
# Flags that each action needs.
_NEEDS = {
    'write': ('predictions', 'list'), 'check': ('list',), 'score': ('labels',)
}  # fmt: skip

flags.DEFINE_string('list', None, 'List of the images, from the organisers.')
flags.DEFINE_string('labels', None, 'The same list with labels.')
flags.DEFINE_string(
    'predictions',
    None,
    'Predictions to write: .npz, .parquet or .csv.',
    allow_overwrite=False,  # several files are blended by another command
)
flags.DEFINE_enum('task', 'mtl', TASKS, 'Challenge of the file.')


def main(action: str, file: str) -> None:
  """Runs one of ACTIONS on a submission file."""
  if action not in ACTIONS:
    raise errors.InputError(
        f'unknown action {action!r}; choose from {", ".join(ACTIONS)}'
    )
  given = {}
  for name in ('predictions', 'list', 'labels'):
    given[name] = flags.FLAGS[name].value
    if name in _NEEDS[action] and given[name] is None:
      raise errors.InputError(f'{action} needs --{name}=FILE')
  path, task = files.path(file), flags.FLAGS.task
  if action == 'score':
    _score(path, files.path(given['labels']), task)
    return
  list_path = files.path(given['list'])
  if action == 'write':
    _write(path, list_path, files.path(given['predictions']), task)
  else:
    _check(path, list_path, task)


def _write(
    path: files.Path, list_path: files.Path, source: files.Path, task: str
) -> None:
  from abaw_jax.reports import predictions as report
  from abaw_jax.scoring import prediction_files

  rows = prediction_files.read(source)
  print(report.write_submission(path, list_path, rows, task=task))


def _check(path: files.Path, list_path: files.Path, task: str) -> None:
  from abaw_jax.challenge import files as challenge_files
  from abaw_jax.challenge import submission

  images = challenge_files.read_list(list_path)
  checked = submission.check(path, images, task)
  print(f'{checked}, all values in range')


def _score(path: files.Path, label_path: files.Path, task: str) -> None:
  from abaw_jax.challenge import submission
  from abaw_jax.scoring import metrics

  scores = submission.score(path, label_path, task)
  rows = [
      (name, f'{value:.4f}')
      for name, value in scores.items()
      if not name.startswith('n_') and not math.isnan(value)
  ]
  print('\n'.join(text_table.aligned(rows)))
  counts = ', '.join(
      f'{name.removeprefix("n_").upper()} {value:,.0f}'
      for name, value in scores.items()
      if name.startswith('n_')
  )
  print(f'rows with labels: {counts}')
  if task == 'mtl':
    print(metrics.summary(scores))


if __name__ == '__main__':
  cli.run(main, __doc__, arguments={'action': ACTIONS, 'file': ('mtl.txt',)})
