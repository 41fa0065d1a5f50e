"""AffectNet: records and counts of both layouts."""

import pickle

import cv2
import numpy as np
import pytest

from abaw_jax.core import errors
from abaw_jax.data_builders import check
from abaw_jax.data_builders.affectnet import counts
from tests.data_builders import labelled_tree as tree


def run(root, config, **kwargs):
  tree.run('affectnet', root / 'source', root, configs=[config], **kwargs)
  return tree.read(root, f'affectnet/{config}')


def values(record) -> tuple:
  """Returns the labels of a record without the AUs."""
  assert record['au'].tolist() == [-1] * 12
  assert not record['au_mask'].any()
  return tuple(
      np.asarray(record[name]).item()
      for name in ('label', 'expression', 'expr', 'valence', 'arousal', 'va')
  )


def test_every_face_of_2017_with_a_label_and_a_box(tmp_path, capsys):
  source = tree.manual_2017(tmp_path / 'source')
  found = run(tmp_path, 'manual_2017')
  train = {row: values(record) for row, record in found['train'].items()}
  assert train == {
      0: (1, 4, True, 0.5, -0.25, True),
      1: (7, 7, True, -0.5, 1.0, True),
      4: (0, 0, True, 0.0, -5.0, False),
      6: (9, -1, False, 0.25, 0.125, True),
  }
  assert [found['train'][i]['video'] for i in (0, 1)] == [b'1/a.png'] * 2
  assert [found['train'][i]['frame_id'] for i in (0, 1, 4)] == [0, 1, 0]
  assert values(found['validation'][0]) == (5, 2, True, -1.0, 1.0, True)
  out = capsys.readouterr().out
  assert 'train: 2 rows left out: they have no label' in out
  assert 'train: 1 rows left out: they have no face box' in out
  metadata = tree.metadata(tmp_path, 'affectnet/manual_2017')
  assert metadata['rows'] == {'train': 4, 'validation': 1}
  assert metadata['skipped'] == []
  a, c = (
      cv2.imread(str(source / 'Manually_Annotated_Images' / name))
      for name in ('1/a.png', '22/c.png')
  )
  for row, face in ((0, a[3:15, 2:12]), (1, a[:, 12:]), (6, c[:6])):
    expected = cv2.imencode('.jpg', face, [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
    assert found['train'][row]['image'] == expected.tobytes()


def test_faces_are_resized_and_limited(tmp_path):
  tree.manual_2017(tmp_path / 'source')
  found = run(tmp_path, 'manual_2017', face_size=8, max_examples=2)
  assert sorted(found['train']) == [0, 1]
  for record in found['train'].values():
    data = np.frombuffer(record['image'], np.uint8)
    assert cv2.imdecode(data, cv2.IMREAD_COLOR).shape == (8, 8, 3)
  for other in ({'max_examples': 2}, {'face_size': 8}):
    with pytest.raises(errors.InputError, match='--overwrite'):
      run(tmp_path, 'manual_2017', **other)


def test_lists_and_images_are_found_where_archives_put_them(tmp_path):
  source = tree.manual_2017(tmp_path / 'source')
  lists = source / 'Manually_Annotated_file_lists'
  lists.mkdir()
  for name in ('training.csv', 'validation.csv'):
    (source / name).rename(lists / name)
  (source / 'Manually_Annotated').mkdir()
  (source / 'Manually_Annotated_Images').rename(
      source / 'Manually_Annotated/Manually_Annotated_Images'
  )
  assert len(run(tmp_path, 'manual_2017')['train']) == 4


@pytest.mark.parametrize(
    ('line', 'reason'),
    [
        (('1/a.png', '11'), 'expression 11 is out of range: 0..10'),
        (('1/a.png', '1.5'), 'expression 1.5 is not a whole number'),
        (('1/a.png', '1_0'), "expression '1_0' is not a number"),
        (('1/a.png', '1', '0,.٣'), "arousal '.٣' is not a number"),
        (('1/a.png', '1', '0,0', '1,2,٣,4'), "face_width '٣' is not a number"),
        (('1/a.png', 'Happy'), "expression 'Happy' is not a number"),
        (('1/a.png', '1', 'nan,0'), "valence 'nan' is not a number"),
        (
            ('1/a.png', '1', '0,-5'),
            'arousal -5 is out of range: [-1, 1], or -2',
        ),
        (('1/a.png', '1', '0'), '8 values instead of 9'),
        (('1/a.png', '1', '0,0', '1,2,x,4'), "face_width 'x' is not a number"),
        (('../a.png',), "image '../a.png' is not a path inside the source"),
        (('/a.png',), "image '/a.png' is not a path inside the source"),
        (('1/z.png',), 'image 1/z.png: missing in '),
        (
            ('1/a.png', '1', '0,0', '90,9,5,5'),
            'the face box 90,9 to 95,14 lies',
        ),
    ],
)
def test_a_bad_line_of_2017_is_reported_and_can_be_skipped(
    tmp_path, line, reason
):
  source = tree.manual_2017(tmp_path / 'source')
  with (source / 'training.csv').open('a') as file:
    file.write(tree.affectnet_line(*line) + '\n')
  with pytest.raises(errors.InputError) as caught:
    run(tmp_path, 'manual_2017')
  assert '1 problem in' in str(caught.value)
  assert '  training.csv:9: ' in str(caught.value)
  assert reason in str(caught.value)
  assert not (tmp_path / 'affectnet').exists()
  assert len(run(tmp_path, 'manual_2017', on_error='skip')['train']) == 4
  (skipped,) = tree.metadata(tmp_path, 'affectnet/manual_2017')['skipped']
  assert skipped['line'] == 9
  assert reason in skipped['reason']


def test_a_truncated_image_is_a_problem_of_all_its_faces(tmp_path, capsys):
  source = tree.manual_2017(tmp_path / 'source')
  image = source / 'Manually_Annotated_Images/1/a.png'
  image.write_bytes(image.read_bytes()[:-30])
  kwargs = {'source_dir': source, 'config': 'manual_2017', 'subset': True}
  assert check.check('affectnet', **kwargs)
  assert not check.check('affectnet', decode=True, **kwargs)
  out = capsys.readouterr().out
  for line in (2, 3):
    assert f'training.csv:{line}: image 1/a.png: cut off' in out


def test_every_face_of_2021_with_labels_in_any_array(tmp_path):
  source = tree.release_2021(tmp_path / 'source')
  found = run(tmp_path, 'release_2021')
  # Rows are in the order of numbers: 9, 10, 100.
  assert {row: values(record) for row, record in found['train'].items()} == {
      0: (1, 4, True, 0.5, -0.25, True),
      1: (7, 7, True, -0.125, 1.0, True),
      2: (4, 3, True, 0.25, 0.75, True),
  }
  assert values(found['validation'][0]) == (0, 0, True, -5.0, -5.0, False)
  for row, stem in enumerate((9, 10, 100)):
    file = source / f'train_set/images/{stem}.jpg'
    assert found['train'][row]['image'] == file.read_bytes()
    name = f'train_set/images/{stem}.jpg'
    assert found['train'][row]['video'] == name.encode()


class Bomb:
  """Runs code when it is unpickled."""

  def __reduce__(self):
    return (exec, ('raise SystemExit("boom")',))


@pytest.mark.parametrize(
    ('key', 'value', 'reason'),
    [
        ('exp', np.array(Bomb(), object), 'cannot be read as .npy: Object'),
        ('exp', pickle.dumps(Bomb()), 'cannot be read as .npy'),
        ('val', np.zeros(2), 'has several values instead of one'),
        ('val', np.array('high'), "valence 'high' is not a number"),
        ('val', np.array('0.7_1'), "valence '0.7_1' is not a number"),
        ('aro', np.array(1.5), 'arousal 1.5 is out of range'),
        ('exp', np.array(12), 'expression 12 is out of range'),
        ('aro', b'', 'cannot be read as .npy'),
        ('aro', None, 'missing; copy the annotations again'),
    ],
)
def test_a_bad_file_of_2021_is_reported_and_runs_no_code(
    tmp_path, key, value, reason
):
  source = tree.release_2021(tmp_path / 'source')
  file = source / f'train_set/annotations/10_{key}.npy'
  if value is None:
    file.unlink()
  elif isinstance(value, bytes):
    file.write_bytes(value)
  else:
    np.save(file, value, allow_pickle=True)
  with pytest.raises(errors.InputError) as caught:
    run(tmp_path, 'release_2021')
  assert f'train_set/annotations/10_{key}.npy: {reason}' in str(caught.value)


def test_check_counts_labels_and_compares(tmp_path, capsys):
  source = tree.manual_2017(tmp_path)
  name = 'affectnet'
  assert not check.check(name, source_dir=source, config='manual_2017')
  out = capsys.readouterr().out
  lines = [line.split() for line in out.splitlines()]
  train = lines[: next(i for i, line in enumerate(lines) if 'valid' in line[0])]
  assert ['rows', '7', '414,800', 'differs'] in train
  assert ['faces', '4', '287,652', 'differs'] in train
  assert ['VA', 'valid', '3'] in train
  assert ['EXPR', 'valid', '3'] in train
  assert ['Other', '1', '3,750', 'differs'] in train
  assert ['Fear', '0', '6,378', 'differs'] in train
  assert ['images', 'on', 'disk', '3'] in train
  assert 'problems: 0' in out


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (
            lambda root: None,
            'the source can have several layouts; name one by',
        ),
        (
            lambda root: (root / 'training.csv').unlink(),
            'no training.csv; look',
        ),
        (
            lambda root: (root / 'training.csv').write_text(''),
            'training.csv:1: the list is empty',
        ),
        (
            lambda root: (root / 'training.csv').write_text('arousal,x\n'),
            'training.csv:1: no column subdirectory_filepath, face_x',
        ),
        (
            lambda root: (root / 'Manually_Annotated_Images').rename(
                root / 'x'
            ),
            'no Manually_Annotated_Images; looked there for',
        ),
    ],
)
def test_another_layout_is_one_line(tmp_path, change, message):
  source = tree.manual_2017(tmp_path)
  kwargs = {} if 'several' in message else {'config': 'manual_2017'}
  change(source)
  with pytest.raises(errors.InputError, match=message) as caught:
    check.check('affectnet', source_dir=source, **kwargs)
  assert '\n' not in str(caught.value)
  with pytest.raises(errors.InputError, match='holds train_set and val_set'):
    check.check('affectnet', source_dir=source, config='release_2021')


def test_one_image_in_both_splits_is_noted(tmp_path, capsys):
  source = tree.manual_2017(tmp_path)
  with (source / 'validation.csv').open('a') as file:
    file.write(tree.affectnet_line('1/a.png') + '\n')
  check.check('affectnet', source_dir=source, config='manual_2017')
  out = capsys.readouterr().out
  assert '1 images are in train and in validation, such as 1/a.png' in out


def test_published_classes_add_up():
  for fields in counts.PUBLISHED['manual_2017'].values():
    rows, faces, *classes = fields.values()
    assert sum(classes) == faces < rows
