"""Every layout is built from files that the test writes."""

import collections

import numpy as np
import pytest
import tensorflow_datasets as tfds

from abaw_jax.data import sources
from abaw_jax.data_builders.face_images.sources import layouts
from tests.data_builders import face_images_tree as tree


@pytest.mark.parametrize('config', tree.WRITERS)
def test_a_layout_is_built_record_by_record(tmp_path, config):
  written = tree.WRITERS[config](tmp_path / 'source')
  tree.run(tmp_path / 'source', tmp_path, config)
  found = tree.read(tmp_path, config)
  for split, images in written.items():
    splits = ('train', 'validation') if split is None else (split,)
    records = [r for s in splits for r in found.pop(s)]
    assert len(records) == len(images)
    assert dict(records) == {name: image for name, (image, _) in images.items()}
  assert found == {}
  assert not tree.unfinished(tmp_path, config).exists()


@pytest.mark.parametrize('config', ['recordio', 'c_ms_celeb', 'vggface2'])
def test_all_images_of_a_person_are_held_out(tmp_path, config):
  written = tree.WRITERS[config](tmp_path / 'source')[None]
  tree.run(tmp_path / 'source', tmp_path, config, validation_share=0.01)
  found = tree.read(tmp_path, config)
  train, validation = (
      {written[name][1] for name, _ in found[split]}
      for split in ('train', 'validation')
  )
  assert len(validation) == 1
  assert train.isdisjoint(validation)
  groups = tree.metadata(tmp_path, config)['groups']
  assert groups['train'] == len(train)
  assert groups['validation'] == 1


def test_every_config_has_a_test():
  assert list(tree.WRITERS) == list(layouts.LAYOUTS)


def test_records_are_read_by_tfds_and_by_ours(tmp_path):
  tree.celeba(tmp_path / 'source')
  tree.run(tmp_path / 'source', tmp_path, 'celeba')
  records = sources.Records(tmp_path, 'face_images', 'celeba', 'train')
  assert len(records) == records.num_rows == 5
  assert records[0]['name'] == b'img_align_celeba/000001.jpg'
  assert records[0]['image'] == tree.image(0)
  builder = tfds.builder_from_directory(tree.folder(tmp_path, 'celeba'))
  assert builder.name == 'face_images'
  assert builder.info.config_name == 'celeba'
  assert builder.info.file_format.value == 'array_record'
  # TFDS decodes images by default.
  example = builder.as_data_source('train')[0]
  assert (example['image'].dtype, example['image'].shape) == (
      np.uint8,
      (16, 20, 3),
  )
  assert sources.split_names(tmp_path, 'face_images', 'celeba') == (
      'train', 'validation', 'test',
  )  # fmt: skip


def test_all_records_of_a_pack_without_header_are_images(tmp_path):
  images = [tree.image(i) for i in range(6)]
  people = (0.0, 0.0, 1.0, 1.0, 1.0, 2.0)
  tree.write_pack(
      tmp_path / 'source',
      [tree.labelled((p,), i) for p, i in zip(people, images, strict=True)],
  )
  tree.run(tmp_path / 'source', tmp_path, 'recordio')
  found = tree.read(tmp_path, 'recordio')
  assert dict(found['train'] + found['validation']) == {
      f'train.rec[{i}]': image for i, image in enumerate(images)
  }
  assert sum(tree.metadata(tmp_path, 'recordio')['groups'].values()) == 3


def test_emotionet_without_lists_has_all_images(tmp_path):
  tree.emotionet(tmp_path / 'source')
  (tmp_path / 'source/list.csv').unlink()
  tree.put(tmp_path / 'source/part0/other.jpg', tree.image(99))
  tree.run(tmp_path / 'source', tmp_path, 'emotionet')
  found = tree.read(tmp_path, 'emotionet')
  assert collections.Counter(map(len, found.values())).total() == 2
  assert sum(map(len, found.values())) == 8
  (note,) = tree.metadata(tmp_path, 'emotionet')['notes']
  assert 'part0/other.jpg' in note


def test_files_that_are_not_images_are_counted(tmp_path):
  tree.folders(tmp_path / 'source')
  tree.run(tmp_path / 'source', tmp_path)
  (note,) = tree.metadata(tmp_path)['notes']
  assert note.startswith('1 file that is not used')


def test_names_with_digits_of_another_script_are_not_of_vggface2(tmp_path):
  tree.vggface2(tmp_path / 'source')
  tree.put(tmp_path / 'source/train/n٢/٢_٢.jpg', tree.image(1))
  tree.run(tmp_path / 'source', tmp_path, 'vggface2')
  (note,) = tree.metadata(tmp_path, 'vggface2')['notes']
  assert note.startswith('1 file that is not used')  # not thumbs.db


def test_a_linked_folder_is_walked_once(tmp_path):
  tree.put(tmp_path / 'elsewhere/x.jpg', tree.image(1))
  for i in range(3):
    tree.put(tmp_path / f'source/{i}.jpg', tree.image(i + 2))
  (tmp_path / 'source/linked').symlink_to(tmp_path / 'elsewhere')
  (tmp_path / 'elsewhere/loop').symlink_to(tmp_path / 'source')
  tree.run(tmp_path / 'source', tmp_path)
  names = [n for r in tree.read(tmp_path).values() for n, _ in r]
  assert sorted(names) == ['0.jpg', '1.jpg', '2.jpg', 'linked/x.jpg']
