"""RAF-DB: its list, and the validation split of each config."""

import pytest

from abaw_jax.core import errors
from abaw_jax.data_builders import check
from abaw_jax.data_builders.raf_db import counts
from tests.data_builders import labelled_tree as tree

OURS = {1: 6, 2: 3, 3: 2, 4: 4, 5: 5, 6: 1, 7: 0}


@pytest.mark.parametrize('basic', [False, True])
def test_rows_and_image_bytes_are_unchanged(tmp_path, basic):
  source = tree.raf_db(tmp_path / 'source')
  given = source / 'basic' if basic else source
  tree.run('raf_db', given, tmp_path, configs=['published'])
  found = tree.read(tmp_path, 'raf_db/published')
  codes = tree.RAF_CODES
  assert sorted(found['train']) == list(range(42))
  assert sorted(found['validation']) == [42, 43, 44]
  for part, split, first in (('train', 'train', 0), ('test', 'validation', 42)):
    for i, code in enumerate(codes[part]):
      record = found[split][first + i]
      assert (record['label'], record['expression']) == (code, OURS[code])
      assert record['expr']
      assert not record['va']
      stem = f'{part}_{i + 1:05d}'
      assert record['video'] == f'{stem}.jpg'.encode()
      image = source / f'basic/Image/aligned/{stem}_aligned.jpg'
      assert record['image'] == image.read_bytes()


def test_the_same_tenth_of_train_is_held_out_every_time(tmp_path):
  source = tree.raf_db(tmp_path / 'source')
  for name in ('a', 'b'):
    tree.run('raf_db', source, tmp_path / name)
  found, again = (
      {
          s: set(rows)
          for s, rows in tree.read(tmp_path / n, 'raf_db/frames').items()
      }
      for n in ('a', 'b')
  )
  assert found == again
  assert found['train'] | found['validation'] == set(range(42))
  assert not found['train'] & found['validation']
  assert 1 <= len(found['validation']) <= 12
  assert found['test'] == {42, 43, 44}


def test_configs_are_built_one_after_the_other(tmp_path):
  source = tree.raf_db(tmp_path / 'source')
  both = ['frames', 'published']
  with pytest.raises(errors.InputError, match='build one after the other'):
    tree.run('raf_db', source, tmp_path, configs=both)


def test_check_compares_the_lists_of_the_release(tmp_path, capsys):
  source = tree.raf_db(tmp_path)
  assert not check.check('raf_db', source_dir=source)
  lines = [line.split() for line in capsys.readouterr().out.splitlines()]
  assert ['rows', '42', '12,271', 'differs'] in lines
  assert ['rows', '3', '3,068', 'differs'] in lines
  assert ['Anger', '6', '705', 'differs'] in lines
  assert ['Anger', '0', '162', 'differs'] in lines


def test_published_classes_add_up():
  for parts in counts.PUBLISHED.values():
    for fields in parts.values():
      assert 2 * fields['rows'] == sum(fields.values())


@pytest.mark.parametrize(
    ('line', 'reason'),
    [
        ('train_00001.jpg', '1 values instead of 2'),
        ('train_00001.jpg 8', 'label 8 is out of range: 1..7'),
        ('train_00001.jpg 0', 'label 0 is out of range: 1..7'),
        ('train_00001.jpg x', "label 'x' is not a number"),
        ('train_00001.jpg ٣', "label '٣' is not a number"),
        ('train_٣٣.jpg 1', "image 'train_٣٣.jpg' is not train_<n>.jpg"),
        ('valid_1.jpg 1', "image 'valid_1.jpg' is not train_<n>.jpg"),
        ('train_00099.jpg 1', 'image train_00099.jpg: missing in'),
        ('', '0 values instead of 2'),
    ],
)
def test_a_bad_line_is_reported(tmp_path, line, reason):
  source = tree.raf_db(tmp_path / 'source')
  path = source / 'basic/EmoLabel/list_patition_label.txt'
  first, *lines = path.read_text().splitlines()
  tree.write(path, first, line, *lines)
  with pytest.raises(errors.InputError) as caught:
    tree.run('raf_db', source, tmp_path)
  where = '  basic/EmoLabel/list_patition_label.txt:2: '
  assert f'{where}{reason}' in str(caught.value)


def test_no_list_and_no_usable_line(tmp_path):
  source = tree.raf_db(tmp_path / 'source')
  with pytest.raises(errors.InputError, match='holds basic/EmoLabel/list_'):
    check.check('raf_db', source_dir=tmp_path)
  with pytest.raises(errors.InputError, match='nowhere: no such folder'):
    check.check('raf_db', source_dir=tmp_path / 'nowhere')
  path = source / 'basic/EmoLabel/list_patition_label.txt'
  tree.write(path, *path.read_text().splitlines()[:42])
  with pytest.raises(errors.InputError, match='no line of test can be used'):
    tree.run('raf_db', source, tmp_path)
