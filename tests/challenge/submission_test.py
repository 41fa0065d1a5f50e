"""Submissions: written files pass the check, and messages name wrong values."""

import re

import numpy as np
import pytest
from sklearn import metrics as sk_metrics

from abaw_jax.challenge import files as challenge_files
from abaw_jax.challenge import submission
from abaw_jax.core import errors
from abaw_jax.scoring import predictions
from tests.core import disks
from tests.scoring import rows as made


def _images(rows):
  rows = rows.take(np.argsort(rows.row))
  return [
      f'{v}/{f:05d}.jpg' for v, f in zip(rows.video, rows.frame_id, strict=True)
  ]


@pytest.fixture
def files(tmp_path):
  """Returns rows, their list and their submission."""
  rows = made.make(videos=3, frames=20)
  images = _images(rows)
  (tmp_path / 'list.txt').write_text('image\n' + ',\n'.join(images) + ',\n')
  submission.write(tmp_path / 'mtl.txt', images, rows)
  return rows, tmp_path / 'list.txt', tmp_path / 'mtl.txt'


def _labels(path, rows, va='-5', other='-1'):
  """Writes labels in the format of the organisers."""
  rows = rows.take(np.argsort(rows.row))
  lines = ['image,valence,arousal,expression,aus']
  for i, image in enumerate(_images(rows)):
    values = [va, va, other, *[other] * 12]
    if rows.va[i]:
      values[:2] = [f'{rows.target_valence[i]}', f'{rows.target_arousal[i]}']
    if rows.expr[i]:
      values[2] = str(rows.target_expression[i])
    if rows.au_mask[i, 0]:
      values[3:] = map(str, rows.target_au[i])
    lines.append(','.join([image, *values]))
  path.write_text('\n'.join(lines) + '\n')


def test_a_written_line_has_the_official_format(tmp_path):
  rows = made.make(videos=1, frames=1)
  rows.video[:], rows.frame_id[:] = 'video4', 7
  rows.valence[:], rows.arousal[:] = 0.7118, -1.5
  rows.expression[:] = np.eye(8)[7]
  rows.au[:] = [0.1, 0.49, 0.5, 0.9, 1, 1, 0, 0, 0, 0.51, 0, 0]
  path = tmp_path / 'mtl.txt'
  assert submission.write(path, ['video4/00007.jpg'], rows) == 0
  assert path.read_bytes() == (
      b'image,valence,arousal,expression,aus\n'
      b'video4/00007.jpg,0.711800,-1.000000,7,0,0,1,1,1,1,0,0,0,1,0,0\n'
  )


def test_every_line_of_the_list_has_a_row_in_order(files):
  rows, list_path, path = files
  images = challenge_files.read_list(list_path)
  assert images == _images(rows)
  # Some frames are listed twice: the file has both lines.
  assert len(set(images)) < len(images) == len(rows)
  submission.check(path, images)
  found, values = challenge_files.read_submission(path, 'mtl')
  assert found == images
  back = rows.take(np.argsort(rows.row))
  np.testing.assert_array_equal(values[:, 2], back.expression.argmax(-1))
  np.testing.assert_array_equal(values[:, 3:], back.au >= 0.5)
  np.testing.assert_allclose(values[:, 0], back.valence.clip(-1, 1), atol=1e-6)


def test_an_interrupted_write_keeps_the_old_file(files):
  rows, list_path, path = files
  images, before = challenge_files.read_list(list_path), path.read_bytes()
  others = [*path.parent.iterdir()]
  with disks.full(100), pytest.raises(errors.InputError, match='cannot write'):
    submission.write(path, images, rows)
  assert [*path.parent.iterdir()] == others
  assert path.read_bytes() == before


def test_missing_rows_are_interpolated(files, tmp_path):
  rows, list_path, _ = files
  images = challenge_files.read_list(list_path)
  keep = np.arange(len(rows)) % 3 != 0
  path = tmp_path / 'part.txt'
  filled = submission.write(path, images, rows.take(keep))
  assert filled == np.count_nonzero(~keep)
  submission.check(path, images)


def test_predictions_of_another_list_are_refused(files, tmp_path):
  rows, list_path, _ = files
  images = challenge_files.read_list(list_path)
  out = tmp_path / 'x.txt'
  with pytest.raises(errors.InputError, match='that line of the list is video'):
    submission.write(out, images[::-1], rows)
  with pytest.raises(
      errors.InputError, match='that line of the list is nothing'
  ):
    submission.write(out, images[:5], rows)
  with pytest.raises(errors.InputError, match="row 0 of the list: image is 'a"):
    submission.write(out, ['a.jpg'], rows)
  assert not out.exists()


WRONG = {
    'a missing row': (lambda s: s.replace(s.split('\n')[-2] + '\n', ''), '60, one'),
    'an order': (
        lambda s: '\n'.join([s.split('\n')[0], *s.split('\n')[-2:0:-1], '']),
        "row 0: image is 'video2/.*expected 'video0/",
    ),
    'no newline': (lambda s: s[:-1], 'row 59: .*expected a newline after'),
    'no header': (lambda s: s.split('\n', 1)[1], 'header: .*expected .image,valence'),
    'CRLF': (lambda s: s.replace('\n', '\r\n'), 'header: .*plain newline'),
    'a blank line': (lambda s: s + '\n', 'row 60: it has 1 values; expected 16'),
}  # fmt: skip
VALUES = {
    'NaN': (1, 'nan', r"valence is 'nan'; expected a number in \[-1, 1\]"),
    'a range': (2, '1.0001', r"arousal is '1.0001'; expected .* \[-1, 1\]"),
    'a class': (3, '8', r"expression is '8'; expected a whole number in 0..7"),
    'a sentinel': (3, '-1', "expression is '-1'; expected a whole number"),
    'a fraction': (4, '0.5', "AU01 is '0.5'; expected a whole number in 0..1"),
    'an underscore': (1, '0.7_1', r"valence is '0.7_1'; expected a number"),
    'another script': (2, '0.\u0667', 'arousal is .*; expected a number'),
    'an Arabic digit': (3, '\u0663', 'expression is .*; expected a whole'),
    'a float': (15, '1.0', "AU26 is '1.0'; expected a whole number in 0..1"),
    'a space': (6, ' 1', "AU04 is ' 1'; expected a whole number in 0..1"),
    'nothing': (5, '', "AU02 is ''; expected a whole number in 0..1"),
}


@pytest.mark.parametrize('fault', WRONG)
def test_a_wrong_file_is_one_line(files, fault):
  _, list_path, path = files
  change, message = WRONG[fault]
  path.write_text(change(path.read_text()), newline='')
  with pytest.raises(errors.InputError, match=message) as caught:
    submission.check(path, challenge_files.read_list(list_path))
  assert '\n' not in str(caught.value)
  assert str(path) in str(caught.value)


@pytest.mark.parametrize('fault', VALUES)
def test_a_wrong_value_names_row_and_column(files, fault):
  _, list_path, path = files
  column, text, message = VALUES[fault]
  lines = path.read_text().split('\n')
  values = lines[13].split(',')
  values[column] = text
  lines[13] = ','.join(values)
  path.write_text('\n'.join(lines))
  where = re.escape(f'row 12 ({values[0]}): ')
  with pytest.raises(errors.InputError, match=where + message):
    submission.check(path, challenge_files.read_list(list_path))


@pytest.mark.parametrize(('va', 'other'), [('-5', '-1'), ('-5.0', '-1.0')])
def test_scores_equal_those_of_the_predictions(files, tmp_path, va, other):
  rows, _, path = files
  _labels(tmp_path / 'labels.txt', rows, va, other)
  scores = submission.score(path, tmp_path / 'labels.txt')
  want = rows.scores()
  for name in ('EXPR', 'AU', 'n_va', 'n_expr', 'n_au'):
    np.testing.assert_allclose(scores[name], want[name], rtol=1e-12)
  # The file has six digits, and values are clipped.
  np.testing.assert_allclose(scores['VA'], want['VA'], atol=0.02)


def test_lsd_scores_are_the_macro_f1_of_6_classes(tmp_path):
  rng = np.random.default_rng(0)
  target, pred = rng.integers(0, 6, [2, 200])
  for name, ids in (('labels', target), ('lsd', pred)):
    lines = [f'{i}.jpg,{one}\n' for i, one in enumerate(ids)]
    (tmp_path / name).write_text('image,expression\n' + ''.join(lines))
  scores = submission.score(tmp_path / 'lsd', tmp_path / 'labels', 'lsd')
  want = sk_metrics.f1_score(target, pred, average='macro')
  np.testing.assert_allclose(scores['F1'], want, rtol=1e-12)
  images = challenge_files.read_list(tmp_path / 'labels')
  submission.check(tmp_path / 'lsd', images, 'lsd')
  (tmp_path / 'lsd').write_text('image,expression\n0.jpg,6\n')
  with pytest.raises(errors.InputError, match=r"expression is '6'; .* 0..5"):
    submission.check(tmp_path / 'lsd', images, 'lsd')


def _lsd_rows(expression, images):
  n = len(images)
  return predictions.Predictions(
      video=np.array(images),
      frame_id=np.zeros(n, int),
      row=np.arange(n),
      valence=np.zeros(n),
      arousal=np.zeros(n),
      expression=np.array(expression),
      au=np.zeros([n, 12]),
  )


# Neutral Anger Disgust Fear Happiness Sadness Surprise Other -> written code.
LSD = [
    ((0.50, 0.20, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05), 0),
    ((0.05, 0.05, 0.20, 0.05, 0.05, 0.05, 0.05, 0.50), 1),
    ((0.00, 0.10, 0.10, 0.50, 0.10, 0.10, 0.10, 0.00), 2),
    ((0.00, 0.10, 0.10, 0.10, 0.50, 0.10, 0.10, 0.00), 3),
    ((0.30, 0.00, 0.10, 0.10, 0.10, 0.30, 0.10, 0.00), 4),
    ((0.02, 0.02, 0.01, 0.03, 0.04, 0.05, 0.06, 0.77), 5),
]


def test_lsd_writes_the_most_probable_of_its_classes(tmp_path):
  images = [f'{i}.jpg' for i in (4, 0, 3, 1, 5, 2)]
  probabilities, codes = zip(*LSD, strict=True)
  rows = _lsd_rows(probabilities, images)
  path = tmp_path / 'lsd.txt'
  submission.write_lsd(path, images, rows.take(np.array([3, 0, 5, 1, 4, 2])))
  want = [f'{i},{c}' for i, c in zip(images, codes, strict=True)]
  assert path.read_text().split('\n') == ['image,expression', *want, '']
  submission.check(path, images, 'lsd')


def test_lsd_needs_a_prediction_for_each_image_of_the_list(tmp_path):
  images = [f'{i}.jpg' for i in range(6)]
  rows = _lsd_rows([p for p, _ in LSD], images)
  path = tmp_path / 'lsd.txt'
  fewer = rows.take(np.array([0, 1, 4, 5]))
  message = r'row 2 of the list \(2.jpg\): 2 of 6 rows have no prediction'
  with pytest.raises(errors.InputError, match=message):
    submission.write_lsd(path, images, fewer)
  with pytest.raises(errors.InputError, match='that line of the list is video'):
    submission.write_lsd(path, images[::-1], rows)
  assert not path.exists()


@pytest.mark.parametrize('text', ['0.7_1', '0.\u0667', 'nan', ''])
def test_labels_are_ascii_numbers(tmp_path, text):
  path = tmp_path / 'labels'
  values = ','.join([text, '0.1', '3.0', *['0'] * 12])
  path.write_text(f'image,valence\na/1.jpg,{values}\n', encoding='utf8')
  with pytest.raises(errors.InputError, match=r'row 0 .*: valence is .*number'):
    challenge_files.read_labels(path, 'mtl')


@pytest.mark.parametrize(
    'text',
    [
        'a/1.jpg\nb/2.jpg\na/1.jpg',
        'image,\na/1.jpg,\nb/2.jpg,\na/1.jpg,\n',
        '\ufeffimage,valence\r\na/1.jpg,0.1\r\nb/2.jpg,-5\r\na/1.jpg,1\r\n\r\n',
    ],
)
def test_lists_of_every_release_are_read(tmp_path, text):
  for encoding in ('utf-8', 'utf-16-le', 'utf-16-be'):
    (tmp_path / 'list').write_text(text, encoding, newline='')
    images = challenge_files.read_list(tmp_path / 'list')
    assert images == ['a/1.jpg', 'b/2.jpg', 'a/1.jpg']


def test_lists_without_images_are_refused(tmp_path):
  for text, message in (
      ('', 'the list is empty'),
      ('image\n', 'the list is empty'),
      ('image\na/1.jpg\n\nb/1.jpg\n', 'row 1: image is missing'),
  ):
    (tmp_path / 'list').write_text(text)
    with pytest.raises(errors.InputError, match=message):
      challenge_files.read_list(tmp_path / 'list')
  with pytest.raises(errors.InputError, match='there is no such file'):
    challenge_files.read_list(tmp_path / 'none')


def test_the_order_of_predictions_does_not_matter(files, tmp_path):
  rows, list_path, path = files
  half = np.arange(len(rows)) % 2 == 0
  mixed = predictions.concatenate([rows.take(~half), rows.take(half)])
  other = tmp_path / 'other.txt'
  submission.write(other, challenge_files.read_list(list_path), mixed)
  assert other.read_text() == path.read_text()
