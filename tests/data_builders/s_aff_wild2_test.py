"""The layouts of s-Aff-Wild2: lists, images, missing files."""

import pathlib

import pytest
from tensorflow_datasets.core import dataset_metadata

from abaw_jax.core import errors
from abaw_jax.data_builders.s_aff_wild2 import corpus as corpus_lib
from abaw_jax.data_builders.s_aff_wild2 import (
    layout,
    s_aff_wild2_dataset_builder,
)
from tests.data_builders import aff_wild2_tree as tree

TEST_LIST = 'test_set/MTL_Challenge_test_set_release.txt'


def move(root: pathlib.Path, old: str, new: str) -> None:
  (root / new).parent.mkdir(parents=True, exist_ok=True)
  (root / old).rename(root / new)


def test_the_plain_layout(tmp_path):
  corpus = corpus_lib.read(tree.small().write(tmp_path))
  assert {split: len(rows) for split, rows in corpus.rows.items()} == {
      'train': 9,
      'validation': 1,
      'test': 3,
  }
  assert not corpus.problems
  assert corpus.notes == [
      'rows that repeat the image of another row: train 1, test 1'
  ]
  for split, rows in corpus.rows.items():
    assert corpus.usable(split) == rows


def test_the_renamed_lists_of_2022(tmp_path):
  root = tree.small().write(tmp_path)
  for name in ('training', 'validation'):
    move(root, f'{name}_set_annotations.txt', f'{name}_set_annotations_22.txt')
  assert len(corpus_lib.read(root).rows['train']) == 9


def test_several_image_folders_are_merged(tmp_path):
  root = tree.small().write(tmp_path)
  move(root, 'cropped_aligned/28', 'cropped_aligned_new_50_vids/28')
  move(
      root,
      'cropped_aligned/116/00003.jpg',
      'cropped_aligned_new_50_vids/116/00003.jpg',
  )
  corpus = corpus_lib.read(root)
  assert not corpus.problems
  path = corpus.images['validation']['28/00004.jpg']
  assert path == root / 'cropped_aligned_new_50_vids/28/00004.jpg'


@pytest.mark.parametrize(
    'name',
    [
        'MTL.txt',
        'MTL_Challenge_test_set_release.txt',
        'test_set_examples/MTL.txt',
        'My_Test_files/lists/2022/MTL_Challenge_test_set_release.txt',
    ],
)
@pytest.mark.parametrize('beside', [True, False])
def test_the_test_list_is_found(tmp_path, name, beside):
  root = tree.small().write(tmp_path)
  move(root, TEST_LIST, name)
  images = pathlib.Path(name).parent if beside else pathlib.Path()
  move(
      root,
      'test_set/cropped_aligned/video45_1',
      str(images / 'cropped_aligned/video45_1'),
  )
  corpus = corpus_lib.read(root)
  assert len(corpus.rows['test']) == 3
  assert not corpus.problems


def test_hidden_labels_are_never_read(tmp_path):
  root = tree.small().write(tmp_path)
  move(root, TEST_LIST, 'hidden_test_labels/MTL.txt')
  assert 'test' not in layout.find(root)
  move(root, 'hidden_test_labels', 'test_set/hidden_test_labels')
  assert 'test' not in layout.find(root)


def test_a_corpus_without_test_list_says_where_it_looked(tmp_path):
  small = tree.small()
  small.test = None
  corpus = corpus_lib.read(small.write(tmp_path))
  assert list(corpus.rows) == ['train', 'validation']
  note = corpus.notes[-1]
  assert 'no test split' in note
  assert 'MTL.txt' in note
  assert str(tmp_path) in note


@pytest.mark.parametrize('name', ['training', 'validation'])
def test_the_message_for_a_missing_list_has_the_names_searched(tmp_path, name):
  root = tree.small().write(tmp_path)
  (root / f'{name}_set_annotations.txt').unlink()
  with pytest.raises(errors.InputError) as caught:
    corpus_lib.read(root)
  message = str(caught.value)
  assert f'{name}_set_annotations.txt and {name}_set_annotations_22' in message
  assert str(tmp_path) in message
  assert '\n' not in message


def test_no_source_folder_no_images_two_lists(tmp_path):
  with pytest.raises(errors.InputError, match='no such folder'):
    layout.find(tmp_path / 'nowhere')
  root = tree.small().write(tmp_path)
  move(root, 'cropped_aligned', 'faces')
  with pytest.raises(errors.InputError, match='looked for folders named'):
    layout.find(root)
  move(root, 'faces', 'cropped_aligned')
  (root / 'MTL.txt').write_text('image,\n')
  with pytest.raises(errors.InputError, match='keep one'):
    layout.find(root)


@pytest.mark.parametrize(
    ('name', 'lines', 'reason'),
    [
        ('train', [], 'training_set_annotations.txt:1: the list is empty'),
        (
            'validation',
            [tree.HEADER],
            'validation_set_annotations.txt:2: the list is empty',
        ),
        ('test', ['image,'], f'{TEST_LIST}:2: the list is empty'),
        (
            'train',
            [tree.HEADER, '116/00001.jpg,0,0,0' + ',0' * 8],
            'training_set_annotations.txt:2: 12 values per line are an old file',
        ),
    ],
)
def test_a_list_without_a_valid_line_fails(tmp_path, name, lines, reason):
  small = tree.small()
  setattr(small, name, lines)
  with pytest.raises(errors.InputError) as caught:
    corpus_lib.read(small.write(tmp_path))
  assert reason in str(caught.value)
  assert '\n' not in str(caught.value)


def test_a_bad_image_is_reported_for_each_of_its_lines(tmp_path):
  root = tree.small().write(tmp_path)
  images = root / 'cropped_aligned/116'
  (images / '00003.jpg').unlink()  # on lines 5 and 7
  intact = (images / '00007.jpg').read_bytes()
  (images / '00007.jpg').write_bytes(intact[:-40])
  (images / '00001.jpg').write_bytes(b'')
  (root / 'test_set/cropped_aligned/video45_1/00008.jpg').write_bytes(b'GIF8')
  corpus = corpus_lib.read(root)
  assert [str(problem) for problem in corpus.problems] == [
      'training_set_annotations.txt:3: image 116/00007.jpg: cut off: the JPEG'
      ' has no end marker',
      'training_set_annotations.txt:4: image 116/00001.jpg: not a JPEG file',
      'training_set_annotations.txt:5: image 116/00003.jpg: missing; looked in'
      ' cropped_aligned',
      'training_set_annotations.txt:7: image 116/00003.jpg: missing; looked in'
      ' cropped_aligned',
      f'{TEST_LIST}:3: image video45_1/00008.jpg: not a JPEG file',
  ]
  assert [row.row for row in corpus.usable('train')] == [0, 4, 6, 7, 8]
  # Without decoding, only missing images are found.
  found = corpus_lib.read(root, decode=False).problems
  assert [problem.line for problem in found] == [5, 7]


def test_max_videos_keeps_the_first_of_each_split(tmp_path):
  root = tree.small().write(tmp_path)
  (root / 'cropped_aligned/video9_left/00002.jpg').unlink()
  corpus = corpus_lib.read(root, max_videos=1)
  assert {row.video for row in corpus.rows['train']} == {'116'}
  assert not corpus.problems
  assert len(corpus.rows['validation']) == 1


def test_tfds_reads_readme_citation_and_tags():
  metadata = s_aff_wild2_dataset_builder.Builder.get_metadata()
  assert metadata.description.startswith('# s-Aff-Wild2')
  assert 'kollias2022abaw4' in metadata.citation
  assert metadata.tags
  assert set(metadata.tags) <= set(dataset_metadata.valid_tags())
