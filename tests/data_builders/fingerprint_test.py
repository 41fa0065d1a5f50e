"""Builders write the fingerprint of a dataset; everything made from it compares it."""

import shutil

import pytest

from abaw_jax.core import errors, fingerprint
from abaw_jax.data import sources
from tests.data import corpora
from tests.data_builders import aff_wild2_tree, built
from tests.data_builders import face_images_tree as faces_tree

NAME = 's_aff_wild2/sequences'


def test_corrected_labels_are_another_dataset_and_a_move_is_not(tmp_path):
  small = aff_wild2_tree.small()
  source, data = tmp_path / 'source', tmp_path / 'data'
  built.run(small.write(source), data)
  before = sources.fingerprint(data, NAME)
  assert before['splits']['train']['rows'] == 9
  data = data.rename(tmp_path / 'moved')
  built.run(source, data, overwrite=True)
  assert sources.fingerprint(data, NAME) == before
  small.validation[1] = aff_wild2_tree.line('28/00004.jpg', expression='5')
  built.run(small.write(source), data, overwrite=True)
  after = sources.fingerprint(data, NAME)
  words = 'labels of validation differ'
  assert fingerprint.difference(before, after) == words
  built.run(source, data, overwrite=True, max_videos=1)
  assert fingerprint.difference(after, sources.fingerprint(data, NAME)) == (
      'built with --max_videos=1, was no --max_videos, '
      'train has 6 rows, was 9'
  )


def test_features_of_a_dataset_that_was_built_again_are_refused(tmp_path):
  small = aff_wild2_tree.small()
  built.run(small.write(tmp_path / 'source'), tmp_path)
  made_from = {NAME: sources.fingerprint(tmp_path, NAME)}
  train = list(corpora.chunks(corpora.rows({'1': 4}), 4))
  for record in train:
    record['features'] = corpora.row_features(record['row'], 3)
  corpora.write_records(
      tmp_path, {'train': train}, dataset='s_aff_wild2', card={},
      source=made_from,
  )  # fmt: skip
  features = sources.Records(tmp_path, 's_aff_wild2_features', 'mae', 'train')
  (name,) = features.fingerprints()
  assert name == 's_aff_wild2_features/mae'
  small.train[1] = aff_wild2_tree.line('116/00050.jpg', expression='5')
  built.run(small.write(tmp_path / 'source'), tmp_path, overwrite=True)
  with pytest.raises(
      errors.InputError, match='sequences has changed: labels of train differ'
  ):
    features.fingerprints()
  shutil.rmtree(tmp_path / 's_aff_wild2')  # frames may be deleted
  features.fingerprints()


def test_a_dataset_without_a_fingerprint_is_built_again(tmp_path):
  source = aff_wild2_tree.small().write(tmp_path / 'source')
  built.run(source, tmp_path)
  (built.folder(tmp_path) / fingerprint.FILE).unlink()
  with pytest.raises(errors.InputError, match='make it again with --overwrite'):
    built.run(source, tmp_path)
  built.run(source, tmp_path, overwrite=True)
  built.run(source, tmp_path)


def copies(tmp_path, name, **options):
  """Builds 30 faces, 8 of them copies; returns the fingerprint."""
  source = tmp_path / 'source'
  if not source.exists():
    faces_tree.people(source)
    for i in range(20, 28):
      path = source / f'p{i // 2:02d}/{i:03d}.jpg'
      path.write_bytes(faces_tree.image(i % 3))
  faces_tree.run(source, tmp_path / name, **options)
  return fingerprint.read(faces_tree.folder(tmp_path / name))


def test_shards_and_workers_do_not_change_the_fingerprint(tmp_path):
  one = copies(tmp_path, 'one')
  other = copies(tmp_path, 'other', images_per_shard=7, num_workers=1)
  assert one == other
  dropped = copies(tmp_path, 'c', drop_duplicates=True)
  assert dropped == copies(
      tmp_path, 'd', drop_duplicates=True, images_per_shard=3
  )
  assert dropped['splits']['train']['rows'] < one['splits']['train']['rows']


def test_an_image_is_part_of_the_fingerprint(tmp_path):
  before = copies(tmp_path, 'before')
  path = next((tmp_path / 'source').rglob('003.jpg'))
  path.write_bytes(faces_tree.image(77))
  after = copies(tmp_path, 'after')
  assert fingerprint.difference(before, after).startswith('images of ')
