"""Datasets are built for buckets, and appear there when they are complete."""

import numpy as np
import pytest

from abaw_jax.buckets import transfers
from abaw_jax.core import errors, files, fingerprint, labels
from abaw_jax.data import sources
from abaw_jax.data_builders import build
from abaw_jax.data_builders.s_aff_wild2 import s_aff_wild2_dataset_builder
from tests.data import corpora

pytestmark = pytest.mark.filterwarnings(
    'ignore::pytest.PytestUnraisableExceptionWarning'
)


def assert_same(url, data_dir, name, config):
  dataset = f'{name}/{config}'
  assert (
      fingerprint.difference(
          sources.fingerprint(data_dir, dataset),
          sources.fingerprint(url, dataset),
          same_splits=True,
      )
      == ''
  )
  for split in sources.split_names(data_dir, name, config):
    ours, expected = (
        sources.Records(folder, name, config, split)
        for folder in (url, data_dir)
    )
    for record, other in zip(ours, expected, strict=True):
      for field, value in other.items():
        np.testing.assert_array_equal(record[field], value)


def test_an_interrupted_upload_continues(
    bucket, data_dir, tmp_path, monkeypatch, capsys
):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
  url = f'{bucket}/sets'
  version = s_aff_wild2_dataset_builder.Builder.VERSION
  remote = files.path(f'{url}/s_aff_wild2/sequences/{version}')
  files.write(remote / 'x.array_record-00000-of-00001', 'of an older build')

  def run(**options):
    build.build(
        's_aff_wild2',
        source_dir=data_dir / 'source',
        data_dir=url,
        configs=('sequences',),
        **options,
    )

  uploads = []
  upload = transfers.upload

  def lose_connection(local, remote):
    if len(uploads) == 3:
      raise OSError('Cannot connect to host')
    uploads.append(remote.name)
    upload(local, remote)

  with monkeypatch.context() as patch:
    patch.setattr(transfers, 'upload', lose_connection)
    with pytest.raises(errors.InputError, match='does not answer'):
      run()
  assert len(set(uploads)) == 3
  with pytest.raises(errors.InputError, match='no dataset s_aff_wild2/seq'):
    sources.fingerprint(url, 's_aff_wild2/sequences')

  first = set(uploads)
  uploads.clear()
  with monkeypatch.context() as patch:
    patch.setattr(
        transfers,
        'upload',
        lambda local, remote: (
            uploads.append(remote.name),
            upload(local, remote),
        ),
    )
    run()
  assert uploads[-1] == 'dataset_info.json'
  assert first.isdisjoint(uploads)  # the built files were still there
  assert not list((tmp_path / 'abaw_jax' / 'builds').iterdir())
  assert_same(url, data_dir, 's_aff_wild2', 'sequences')
  assert {path.name for path in remote.iterdir()} == first | set(uploads)

  # The dataset in the bucket is known to the next command.
  capsys.readouterr()
  run()
  assert 'already built' in capsys.readouterr().out
  message = f'{url}/.* was built with no --max_videos'
  with pytest.raises(errors.InputError, match=message):
    run(max_videos=1)


def test_the_source_must_be_local(tmp_path):
  with pytest.raises(errors.InputError, match=r'--source_dir=gs://b: copy it'):
    build.build('fer_plus', source_dir='gs://b', data_dir=tmp_path)


def test_features_are_complete_or_not_a_dataset(
    bucket, feature_dir, tmp_path, monkeypatch
):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
  name = 's_aff_wild2_features'
  records = {
      split: list(sources.Records(feature_dir, name, 'small', split))
      for split in labels.SPLITS
  }
  root = files.path(f'{bucket}/features')

  def write():
    corpora.write_records(
        root, records, dataset='s_aff_wild2', name='small', dim=16, card={}
    )

  upload = transfers.upload

  def fail_at_the_end(local, remote):
    if remote.name == 'features.json':
      raise OSError('Cannot connect to host')
    upload(local, remote)

  with monkeypatch.context() as patch:
    patch.setattr(transfers, 'upload', fail_at_the_end)
    with pytest.raises(OSError, match='Cannot connect'):
      write()
  with pytest.raises(errors.InputError, match='no dataset'):
    sources.fingerprint(root, f'{name}/small')
  write()
  assert_same(str(root), feature_dir, name, 'small')
