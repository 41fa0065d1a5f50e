"""Feature datasets are complete or absent, and TFDS can read them."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from abaw_jax.core import errors, fingerprint
from abaw_jax.data import sources
from abaw_jax.sequences import feature_datasets
from tests.core import disks
from tests.data import corpora

VIDEOS = corpora.rows({'1': 9, '2': 3})


def writer(data_dir, *, source=None, overwrite=False, **card):
  return feature_datasets.FeatureWriter(
      data_dir,
      'toy',
      'mae',
      dim=2,
      card=card,
      num_records={'train': 4, 'validation': 4},
      records_per_shard=2,
      source=source,
      overwrite=overwrite,
  )


def records(value=0.5):
  for record in corpora.chunks(VIDEOS, 4):
    n = len(record['row'])
    yield {**record, 'features': np.full((n, 2), value, np.float32)}


def write(data_dir, value=0.5, **card):
  both = {key: list(records(value)) for key in ('train', 'validation')}
  corpora.write_records(data_dir, both, dim=2, card=card, per_shard=2)


def test_records_are_read_as_they_were_written(tmp_path):
  write(tmp_path, checkpoint='a')
  for split in ('train', 'validation'):
    found = sources.Records(tmp_path, 'toy_features', 'mae', split)
    assert found.num_rows == 12
    for ours, record in zip(found, records(), strict=True):
      assert ours['video'] == record['video'].encode()
      assert ours.keys() == record.keys()
      for field in ours.keys() - {'video', 'chunk'}:
        np.testing.assert_array_equal(ours[field], record[field])
        assert ours[field].dtype == record[field].dtype


def test_records_of_a_dataset_can_be_written_to_another(tmp_path):
  write(tmp_path, checkpoint='a')
  found = sources.Records(tmp_path, 'toy_features', 'mae', 'train')
  copies = [{**record, 'image': 'not written'} for record in found]
  corpora.write_records(
      tmp_path, {'train': copies}, name='copy', dim=2, card={}, per_shard=9
  )
  copy = sources.Records(tmp_path, 'toy_features', 'copy', 'train')
  for ours, record in zip(copy, found, strict=True):
    np.testing.assert_equal(ours, record)


def test_tfds_can_read_the_dataset(tmp_path):
  write(tmp_path, checkpoint='a')
  builder = tfds.builder_from_directory(tmp_path / 'toy_features/mae/1.0.0')
  assert builder.info.splits['train'].shard_lengths == [2, 2]
  row = [list(r['row']) for r in builder.as_data_source('train')]
  assert row == [r['row'].tolist() for r in records()]


def test_the_card_is_in_the_folder_of_the_records(tmp_path):
  write(tmp_path, checkpoint='a', size=112)
  path = tmp_path / 'toy_features' / 'mae' / '1.0.0' / 'card.json'
  card = {'checkpoint': 'a', 'size': 112, 'dim': 2}
  assert json.loads(path.read_text()) == card


def test_complete_shards_survive_a_failure(tmp_path):
  def fail(seen):
    yield from seen[:1]
    raise RuntimeError('stopped')

  out, seen = writer(tmp_path), list(records())
  out.begin()
  first, second, *_ = out.missing()
  out.write(first, seen[:2])
  with pytest.raises(RuntimeError, match='stopped'):
    out.write(second, fail(seen))
  with pytest.raises(errors.InputError, match='no dataset toy_features/mae'):
    sources.Records(tmp_path, 'toy_features', 'mae', 'train')

  again = writer(tmp_path)
  assert not again.finished
  again.begin()
  assert len(again.missing()) == 3
  assert first not in again.missing()
  for shard in again.missing():
    again.write(shard, seen[shard.start : shard.stop])
  again.finish({'train': 12, 'validation': 12})
  assert writer(tmp_path).finished
  found = sources.Records(tmp_path, 'toy_features', 'mae', 'train')
  assert [len(r['row']) for r in found] == [len(r['row']) for r in seen]
  folder = tmp_path / 'toy_features' / 'mae'
  assert [path.name for path in folder.iterdir()] == ['1.0.0']
  assert not list((folder / '1.0.0').glob('*.tmp'))


def made_from(digest, rows=12):
  """Returns the fingerprint of a dataset of frames, by its name."""
  split = {'rows': rows, 'labels': digest}
  return {
      'toy/sequences': {'options': {}, 'splits': {'train': split}},
  }


@pytest.mark.parametrize(
    ('before', 'after', 'difference'),
    [
        ({'checkpoint': 'a'}, {'checkpoint': 'b'}, "checkpoint='a', not 'b'"),
        (
            {'source': made_from('1')},
            {'source': made_from('2')},
            'other data: toy/sequences: labels of train differ',
        ),
        (
            {'source': made_from('1', rows=24)},
            {'source': made_from('2')},
            'other data: toy/sequences: train has 12 rows, was 24',
        ),
    ],
)
@pytest.mark.parametrize('complete', [False, True])
def test_features_of_another_card_or_other_data_are_replaced_on_request_only(
    tmp_path, complete, before, after, difference
):
  out, seen = writer(tmp_path, **before), list(records())
  out.begin()
  for shard in out.missing()[: None if complete else 1]:
    out.write(shard, seen[shard.start : shard.stop])
  if complete:
    out.finish({'train': 12, 'validation': 12})
  with pytest.raises(errors.InputError, match=f'{difference}; .*--overwrite'):
    writer(tmp_path, **after)
  other = writer(tmp_path, **after, overwrite=True)
  other.begin()
  assert len(other.missing()) == 4
  for shard in other.missing():
    other.write(shard, seen[shard.start : shard.stop])
  other.finish({'train': 12, 'validation': 12})
  assert writer(tmp_path, **after).finished


def test_the_fingerprint_of_features_has_that_of_the_frames(tmp_path):
  """Neither the number of shards nor an interruption changes it."""
  source = made_from('1')
  found = []
  for root, per_shard, value in (('a', 2, 0.5), ('b', 3, 0.5), ('c', 2, 0.25)):
    both = {key: list(records(value)) for key in ('train', 'validation')}
    corpora.write_records(
        tmp_path / root, both, dim=2, card={}, per_shard=per_shard,
        source=source,
    )  # fmt: skip
    found.append(sources.fingerprint(tmp_path / root, 'toy_features/mae'))
  one, other, changed = found
  assert one == other
  assert one['source'] == source
  assert one['splits']['train']['rows'] == 12
  assert fingerprint.difference(one, changed) == (
      'features of train differ, features of validation differ'
  )


def test_a_full_disk_is_one_line_and_the_next_command_continues(tmp_path):
  out = writer(tmp_path, checkpoint='a')
  message = r'cannot write card\.json \(File too large'
  with disks.full(10), pytest.raises(errors.InputError, match=message):
    out.begin()
  out.begin()
  assert len(out.missing()) == 4


@pytest.mark.parametrize('name', ['a,b', 'a/b', ' a', ''])
def test_a_name_that_no_config_can_give_is_refused(tmp_path, name):
  with pytest.raises(errors.InputError, match=r'--name=.*: config\.data'):
    feature_datasets.FeatureWriter(
        tmp_path,
        's_aff_wild2',
        name,
        dim=4,
        card={},
        num_records={'train': 1},
        records_per_shard=1,
    )


def test_a_dataset_with_another_card_is_not_overwritten(tmp_path):
  write(tmp_path, checkpoint='a', sizes=(112, 112))
  write(tmp_path, value=0.25, checkpoint='a', sizes=(112, 112))
  found = sources.Records(tmp_path, 'toy_features', 'mae', 'train')
  assert found[0]['features'][0, 0] == 0.25
  with pytest.raises(
      errors.InputError, match=r"card.json: these features have checkpoint='a'"
  ):
    writer(tmp_path, checkpoint='b', sizes=(112, 112))


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_an_error_names_the_frame_with_a_bad_feature(tmp_path, value):
  record = next(records())
  record['features'][1, 1] = value
  frame = record['frame_id'][1]
  out = writer(tmp_path)
  out.begin()
  with pytest.raises(errors.InputError, match=f'video 2 frame {frame}: feat'):
    out.write(out.missing()[0], [record])
  assert len(out.missing()) == 4


def test_no_large_package_is_imported():
  code = (
      'import sys\n'
      'from abaw_jax.data import sources, transforms\n'
      'from abaw_jax.sequences import feature_datasets, windows\n'
      "print([m for m in ('jax', 'tensorflow', 'torch', 'grain')"
      ' if m in sys.modules])'
  )
  found = subprocess.run(
      [sys.executable, '-c', code], capture_output=True, text=True, check=True
  )
  assert found.stdout.strip() == '[]', found.stderr
