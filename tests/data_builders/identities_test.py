"""Identities: labels, hold-out, resumed builds."""

import collections

import numpy as np
import pytest
import tensorflow_datasets as tfds

from abaw_jax.core import errors
from abaw_jax.data_builders import build, check
from abaw_jax.data_builders.face_images import shards
from tests.data_builders import face_images_tree as tree

LAYOUTS = ('folders', 'recordio', 'c_ms_celeb', 'vggface2')


def run(source, data, config='folders', **kwargs) -> None:
  defaults = {'images_per_shard': 4, 'num_workers': 1, 'validation_share': 0.25}
  build.build(
      'identities',
      source_dir=source,
      data_dir=data,
      configs=[config],
      **{**defaults, **kwargs},
  )


def read(data, config='folders') -> tuple[dict, dict]:
  """Returns split -> name -> (image, person), and the metadata."""
  folder = data / 'identities' / config / '1.0.0'
  builder = tfds.builder_from_directory(folder)
  people = builder.info.metadata['people']
  assert builder.info.features['identity'].np_dtype == np.int32
  found = {}
  for split in builder.info.splits:
    source = builder.as_data_source(
        split, decoders={'image': tfds.decode.SkipDecoding()}
    )
    records = [source[i] for i in range(len(source))]
    found[split] = {
        record['name'].decode(): (record['image'], people[record['identity']])
        for record in records
    }
  return found, builder.info.metadata


def people_of(images: dict) -> set[str]:
  return {person for _, person in images.values()}


@pytest.mark.parametrize('config', LAYOUTS)
@pytest.mark.parametrize('hold_out', ['people', 'images'])
def test_every_person_has_a_label(tmp_path, config, hold_out):
  written = tree.WRITERS[config](tmp_path / 'source')
  run(tmp_path / 'source', tmp_path, config, hold_out=hold_out)
  found, metadata = read(tmp_path, config)
  expected = {
      name: (image, str(person))
      for images in written.values()
      for name, (image, person) in images.items()
      if person != ''
  }
  everything = {
      n: face for images in found.values() for n, face in images.items()
  }
  assert everything.keys() == expected.keys()
  # A pack has record keys as names, so its people have other names.
  names = {
      everything[name][1]: person for name, (_, person) in expected.items()
  }
  assert len(names) == len(set(names.values()))
  for name, (image, person) in expected.items():
    assert everything[name] == (image, person) or config == 'recordio'
    assert everything[name][0] == image
    assert names[everything[name][1]] == person
  train = metadata['people'][: metadata['groups']['train']]
  assert train == sorted(people_of(found['train']))
  assert set(metadata['people']) == set(names)
  assert metadata['groups'] == {
      split: len(people_of(images)) for split, images in found.items()
  }
  if config == 'vggface2':
    assert people_of(found['test']) == {'n000010', 'n000011'}
    assert not people_of(found['test']) & people_of(found['train'])


def test_hold_out_people_or_images_of_each_person(tmp_path):
  source = tree.people(tmp_path / 'source')
  run(source, tmp_path / 'people')
  found, metadata = read(tmp_path / 'people')
  assert not people_of(found['train']) & people_of(found['validation'])
  assert metadata['hold_out'] == 'people'
  run(source, tmp_path / 'images', hold_out='images', validation_share=0.9)
  found, _ = read(tmp_path / 'images')
  assert people_of(found['validation']) <= people_of(found['train'])
  counts = collections.Counter(person for _, person in found['train'].values())
  assert set(counts.values()) <= {1, 2}
  assert len(counts) == 15
  assert len(found['validation']) > 5


def test_an_image_without_a_person_is_counted(tmp_path, capsys):
  tree.folders(tmp_path / 'source')
  run(tmp_path / 'source', tmp_path)
  note = '2 files that are not used in this layout, such as top.png (no person)'
  assert note in capsys.readouterr().out
  assert read(tmp_path)[1]['notes'] == [note]


def test_an_interrupted_build_resumes(tmp_path, monkeypatch):
  source = tree.people(tmp_path / 'source')
  run(source, tmp_path / 'full')
  write_shard, calls = shards.write_shard, []

  def write_two(plan, index):
    if len(calls) == 2:
      raise KeyboardInterrupt
    calls.append(index)
    write_shard(plan, index)

  with monkeypatch.context() as patch:
    patch.setattr(shards, 'write_shard', write_two)
    with pytest.raises(KeyboardInterrupt):
      run(source, tmp_path / 'cut')
  with pytest.raises(errors.InputError, match='--hold_out=people, not images'):
    run(source, tmp_path / 'cut', hold_out='images')
  run(source, tmp_path / 'cut')
  assert read(tmp_path / 'cut') == read(tmp_path / 'full')


def test_options_are_stored_and_compared(tmp_path):
  source = tree.people(tmp_path / 'source')
  run(source, tmp_path, max_examples=8, face_size=6)
  found, metadata = read(tmp_path)
  assert sum(map(len, found.values())) == 8
  assert metadata['max_examples'] == 8
  with pytest.raises(
      errors.InputError, match='--max_examples=8, not with no --max_exa'
  ):
    run(source, tmp_path, face_size=6)
  with pytest.raises(errors.InputError, match='--hold_out does not apply to f'):
    build.build(
        'face_images', source_dir=source, data_dir=tmp_path, hold_out='people'
    )


def test_check_counts_people(tmp_path, capsys):
  tree.people(tmp_path)
  assert check.check('identities', source_dir=tmp_path, config='folders')
  out = capsys.readouterr().out
  assert ['images', '30'] in [line.split() for line in out.splitlines()]
  assert ['groups', '15'] in [line.split() for line in out.splitlines()]
  with pytest.raises(errors.InputError, match='--config: folders, recordio, c'):
    check.check('identities', source_dir=tmp_path)
  with pytest.raises(
      errors.InputError, match="--config: unknown value 'celeba'"
  ):
    check.check('identities', source_dir=tmp_path, config='celeba')
