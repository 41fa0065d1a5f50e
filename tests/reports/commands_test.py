"""The commands from predictions to a submission, as processes."""

import numpy as np

from abaw_jax.scoring import prediction_files
from tests.scoring import rows as made
from tests.training import runs


def _run(*arguments):
  """Returns the output of a command, which must succeed."""
  status, out, error = runs.finish(runs.start(*map(str, arguments)))
  assert status == 0, error
  return out


def test_from_predictions_to_a_scored_submission(tmp_path):
  # Paths may contain any character.
  tmp_path /= 'runs, a+b = 2'
  rows = made.make(videos=4)
  members = [tmp_path / name for name in ('a,b.npz', ' b+c.npz')]
  prediction_files.write(members[0], rows)
  prediction_files.write(members[1], made.make(videos=4, seed=1))
  rows = rows.take(np.argsort(rows.row))
  lines = []
  for i, (video, frame) in enumerate(
      zip(rows.video, rows.frame_id, strict=True)
  ):
    values = ['-5', '-5', '-1', *['-1'] * 12]
    if rows.va[i]:
      values[:2] = map(str, (rows.target_valence[i], rows.target_arousal[i]))
    if rows.expr[i]:
      values[2] = str(rows.target_expression[i])
    if rows.au_mask[i, 0]:
      values[3:] = map(str, rows.target_au[i])
    lines.append(','.join([f'{video}/{frame:05d}.jpg', *values]))
  (tmp_path / 'labels.txt').write_text('\n'.join(['image', *lines]) + '\n')
  out = _run(
      'abaw_jax.ensemble',
      *(
          f'--{flag}={path}'
          for flag in ('predictions', 'tune_on')
          for path in members
      ),
      '--steps=thresholds,bias',
      '--groups=3',
      '--resamples=100',
      f'--out={tmp_path}/blend.parquet',
  )
  assert 'of it is optimism' in out
  out = _run(
      'abaw_jax.submission',
      'write',
      tmp_path / 'mtl.txt',
      f'--predictions={tmp_path}/blend.parquet',
      f'--list={tmp_path}/labels.txt',
  )
  assert '160 rows as in the list' in out
  out = _run(
      'abaw_jax.submission',
      'score',
      tmp_path / 'mtl.txt',
      f'--labels={tmp_path}/labels.txt',
  )
  blend = prediction_files.read(tmp_path / 'blend.parquet')
  expr = blend.scores()['EXPR']
  assert f'EXPR {expr:.4f}' in out
  assert f'VA {rows.va.sum()}, EXPR {rows.expr.sum()}' in out
