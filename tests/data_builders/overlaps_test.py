"""Leaks, contradictions and repeats are found in every dataset."""

import pathlib
import shutil

import pytest

from abaw_jax.core import errors
from abaw_jax.data_builders import check
from tests.data_builders import aff_wild2_tree, built, face_images_tree
from tests.data_builders import labelled_tree as tree


def report(capsys, name, source, **kwargs) -> tuple[bool, str]:
  correct = check.check(name, source_dir=source, subset=True, **kwargs)
  return correct, capsys.readouterr().out


def aff(tmp_path, train=(), test=()) -> pathlib.Path:
  """Writes s-Aff-Wild2 with more lines."""
  small = aff_wild2_tree.small()
  small.train += train
  small.test += test
  return small.write(tmp_path / 'source')


def test_validation_rows_in_train_are_a_leak(tmp_path, capsys):
  line = aff_wild2_tree.small().validation[1]
  source = aff(tmp_path, train=[line])
  correct, out = report(capsys, 's_aff_wild2', source)
  assert not correct
  assert '1 videos are in train and in validation, such as 28' in out
  assert 'problems: 1' in out
  problem = (
      'training_set_annotations.txt:11: image 28/00004.jpg: also in validation '
      '(validation_set_annotations.txt:2)'
  )
  assert problem in out
  with pytest.raises(errors.InputError, match=r'4\.jpg: also in'):
    built.run(source, tmp_path)
  built.run(source, tmp_path, on_error='skip')
  assert len(built.rows(tmp_path, 'sequences', 'train')) == 9
  assert len(built.rows(tmp_path, 'sequences', 'validation')) == 1


def test_the_test_split_counts_too(tmp_path, capsys):
  source = aff(tmp_path, test=['28/00004.jpg', '116/00001.jpg'])
  correct, out = report(capsys, 's_aff_wild2', source)
  assert not correct
  assert 'problems: 2' in out
  assert 'image 28/00004.jpg: also in test (test_set/MTL' in out
  assert 'image 116/00001.jpg: also in test (test_set/MTL' in out


def test_other_frames_of_a_video_in_two_splits_are_noted(tmp_path, capsys):
  source = aff(tmp_path, train=[aff_wild2_tree.line('28/00005.jpg')])
  correct, out = report(capsys, 's_aff_wild2', source)
  assert correct
  assert '1 videos are in train and in validation, such as 28' in out


def test_an_image_with_two_labels_is_a_contradiction(tmp_path, capsys):
  line = aff_wild2_tree.line('116/00007.jpg', expression='5')
  source = aff(tmp_path, train=[line])
  correct, out = report(capsys, 's_aff_wild2', source)
  assert not correct
  assert 'problems: 2' in out  # neither row is known to be right
  file = 'training_set_annotations.txt'
  assert (
      f'{file}:3: image 116/00007.jpg: its labels differ between {file}:3 and'
      f' {file}:11'
  ) in out
  built.run(source, tmp_path, on_error='skip')
  assert len(built.rows(tmp_path, 'sequences', 'train')) == 8


@pytest.mark.parametrize('split', ['train', 'validation'])
def test_a_missing_label_contradicts_nothing(tmp_path, capsys, split):
  line = aff_wild2_tree.line(
      '116/00007.jpg', '-5,-5', '-1', aff_wild2_tree.MISSING
  )
  correct, out = report(capsys, 's_aff_wild2', aff(tmp_path, train=[line]))
  assert correct
  assert 'repeat the image of another row: train 2, test 1' in out


def test_copies_under_other_names_are_found(tmp_path, capsys):
  source = tree.raf_db(tmp_path / 'source')
  images = source / 'basic/Image/aligned'
  shutil.copy(
      images / 'test_00001_aligned.jpg', images / 'train_00009_aligned.jpg'
  )
  shutil.copy(
      images / 'train_00001_aligned.jpg', images / 'train_00002_aligned.jpg'
  )
  correct, out = report(capsys, 'raf_db', source)
  assert (
      'train: 1 images are identical to another one, 1 of them with other labels,'
      ' such as train_00002.jpg and train_00001.jpg'
  ) in out
  assert (
      '1 images of train are identical to one of test, such as train_00009.jpg'
      ' and test_00001.jpg'
  ) in out
  # A third of the test images: more than the accidents of published datasets.
  assert not correct
  assert 'image train_00009.jpg: identical to test_00001.jpg of test' in out
  with pytest.raises(errors.InputError, match='1 problem in'):
    tree.run('raf_db', source, tmp_path)


def test_few_identical_images_are_only_noted(tmp_path, capsys):
  source = tree.raf_db(tmp_path / 'source')
  images = source / 'basic/Image/aligned'
  with (source / 'basic/EmoLabel/list_patition_label.txt').open('a') as file:
    for i in range(10, 15):
      tree.put(images / f'test_{i}_aligned.jpg', tree.pixels(1000 + i))
      file.write(f'test_{i}.jpg 1\n')
  shutil.copy(
      images / 'test_00001_aligned.jpg', images / 'train_00009_aligned.jpg'
  )
  correct, out = report(capsys, 'raf_db', source)
  assert correct
  assert '1 images of train are identical to one of test' in out


def test_lists_that_contradict_each_other(tmp_path, capsys):
  source = tree.emotionet(tmp_path)
  header, *lines = (source / 'b.csv').read_text().splitlines()
  other = [line.replace(',0,', ',x,').replace(',1,', ',0,') for line in lines]
  other = [line.replace(',x,', ',1,') for line in other]
  tree.write(source / 'c.csv', header, *other)
  correct, out = report(capsys, 'emotionet', source)
  assert not correct
  assert 'problems: 40' in out
  assert 'its labels differ between b.csv:2 and c.csv:2' in out
  tree.write(source / 'c.csv', header.replace('AU4', 'AU6'), *other)
  assert report(capsys, 'emotionet', source)[0]


def test_faces_of_one_image_are_different_rows(tmp_path, capsys):
  source = tree.manual_2017(tmp_path)
  options = {'config': 'manual_2017'}
  assert report(capsys, 'affectnet', source, **options)[0]
  with (source / 'training.csv').open('a') as file:
    file.write(tree.affectnet_line('./1/a.png', '3') + '\n')
  correct, out = report(capsys, 'affectnet', source, **options)
  assert not correct
  assert 'differ between training.csv:2 and training.csv:9' in out


def test_an_image_in_two_splits_of_a_list_of_faces(tmp_path, capsys):
  source = tmp_path / 'source'
  face_images_tree.celeba(source)
  images = source / 'img_align_celeba'
  shutil.copy(images / '000004.jpg', images / '000003.jpg')  # of two splits
  shutil.copy(images / '000001.jpg', images / '000002.jpg')
  _, out = report(capsys, 'face_images', source, config='celeba', decode=True)
  copies = '2 images are identical to an earlier one, 1 of them in another'
  assert copies in out
  with (source / 'list_eval_partition.txt').open('a') as file:
    file.write('000001.jpg 2\n./000002.jpg 0\n')
  correct, out = report(capsys, 'face_images', source, config='celeba')
  assert not correct
  assert 'txt:1: image img_align_celeba/000001.jpg: also in test (' in out
  assert 'repeat the image of another row: train 1' in out
  with pytest.raises(errors.InputError, match=r'image \S+000001\.jpg: also in'):
    face_images_tree.run(source, tmp_path, 'celeba')
  face_images_tree.run(source, tmp_path, 'celeba', on_error='skip')
  built_faces = face_images_tree.read(tmp_path, 'celeba')
  assert '000001' in str([name for name, _ in built_faces['test']])
  assert '000001' not in str([name for name, _ in built_faces['train']])


def test_a_face_of_two_people_is_counted(tmp_path, capsys):
  source = face_images_tree.people(tmp_path / 'source', 8)
  shutil.copy(source / 'p00/000.jpg', source / 'p01/002.jpg')
  tree.run(
      'identities', source, tmp_path, configs=['folders'], validation_share=0.0
  )
  assert '1 duplicate, 1 of them with two people: kept' in (
      capsys.readouterr().out
  )


def test_check_counts_only_images_with_a_person(tmp_path, capsys):
  source = face_images_tree.people(tmp_path / 'source', 8)
  shutil.copy(source / 'p00/000.jpg', source / 'top.jpg')
  _, out = report(capsys, 'identities', source, config='folders')
  counts = [line.split() for line in out.splitlines()]
  assert ['images', '8'] in counts
  assert ['groups', '4'] in counts
