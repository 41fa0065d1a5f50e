"""Writes the features of all frames of a dataset as a new dataset.

The folder has the format of TFDS, so TFDS and `sources.Records` can read it. It is
written without a builder and without TensorFlow.
"""

from collections.abc import Iterable, Mapping
import contextlib
import dataclasses
import json
import os
import re
from typing import Any

from array_record.python import array_record_module
from etils import epath
import numpy as np
import tensorflow_datasets as tfds

from abaw_jax.core import errors, files, fingerprint, labels
from abaw_jax.data import transforms

VERSION = '1.0.0'
_CARD = 'card.json'
_INFO = 'dataset_info.json'


@dataclasses.dataclass(frozen=True)
class Shard:
  """One file with the records from `start` up to `stop` - 1 of a split."""

  split: str
  start: int
  stop: int
  path: files.Path


class FeatureWriter:
  """Writes `<data_dir>/<dataset>_features/<features_name>/1.0.0/`.

  Any number of processes on one file system can write it, shard by shard and in
  any order: one process calls `begin`, all call `write` for missing shards, then
  one calls `finish`. The dataset appears only then. If a process is killed, its
  complete shards remain, and the next run writes the missing ones. `card.json` in
  the same folder records the origin of the features. A bucket cannot rename a
  folder: there the shards are written in place, and `dataset_info.json`, which all
  readers look for, comes last.

  Attributes:
    folder: folder of the complete dataset. One command at a time may fill it.
    finished: whether the complete dataset with this card exists.
  """

  def __init__(
      self,
      data_dir: epath.PathLike,
      dataset: str,
      features_name: str,
      *,
      dim: int,
      card: Mapping[str, Any],
      num_records: Mapping[str, int],
      records_per_shard: int,
      source: Mapping[str, fingerprint.Fingerprint] | None = None,
      overwrite: bool = False,
  ):
    """Plans the shards; writes nothing yet.

    Args:
      data_dir: folder of all built datasets.
      dataset: name of the dataset that the frames come from.
      features_name: name of the feature set, which becomes the config.
      dim: d, the size of one feature vector.
      card: origin of the features (checkpoint, preprocessing), as JSON values.
      num_records: number of records in each split.
      records_per_shard: number of records in each ArrayRecord file.
      source: fingerprint of the dataset of the frames by name, if it is built.
      overwrite: replace a feature set with this name.

    Raises:
      InputError: configs cannot name this feature set; or one with this name
        exists, complete or unfinished, but it has another card or comes from
        other data.
    """
    if not re.fullmatch(r'[\w.+-]+', features_name):
      raise errors.InputError(
          f'--name={features_name}: config.data.features separates names by '
          'commas; give a name of letters, digits, `_`, `-`, `.` and `+`'
      )
    self._name = f'{dataset}_features'
    self.folder = files.path(data_dir) / self._name / features_name / VERSION
    # Readers ignore folders whose name is not a version.
    self._work = self.folder.with_name(f'{VERSION}.incomplete')
    if files.is_bucket(self.folder):
      self._work = self.folder
    card = {**card, 'dim': dim} | ({'data': source} if source else {})
    self._card = json.loads(json.dumps(card))
    self._features = _features(dim)
    self.finished: bool = (self.folder / _INFO).exists() and not overwrite
    if self.finished:
      _check_card(self.folder / _CARD, self._card)
    elif (self._work / _CARD).exists() and not overwrite:
      _check_card(self._work / _CARD, self._card)
    self._shards = [
        shard
        for split, count in num_records.items()
        for shard in self._plan(split, count, records_per_shard)
    ]

  def begin(self) -> None:
    """Creates the folder, and removes the shards of another card or plan."""
    path = self._work / _CARD
    plan = self._card | {'shards': [shard.path.name for shard in self._shards]}
    if _read_card(path) == plan:
      return
    (self._work / _INFO).unlink(missing_ok=True)  # no longer a dataset
    files.remove(self._work)
    files.write_json(path, plan)

  def missing(self) -> list[Shard]:
    """Returns the shards that are not written yet."""
    existing = {path.name for path in self._work.iterdir()}
    return [shard for shard in self._shards if shard.path.name not in existing]

  def write(self, shard: Shard, records: Iterable[Mapping[str, Any]]) -> None:
    """Writes a shard; its file appears when it is complete.

    Records have the `sequences` schema with `features` float32 [n, d].

    Raises:
      InputError: a feature is NaN or infinite.
    """
    digest = fingerprint.Digest()
    with files.replacing(shard.path) as temporary:
      writer = array_record_module.ArrayRecordWriter(
          os.fspath(temporary), 'group_size:1'
      )
      with contextlib.closing(writer):
        for record in records:
          transforms.check_features(
              record['features'], _text(record['video']), record['frame_id']
          )
          known = {field: record[field] for field in self._features}
          writer.write(self._features.serialize_example(known))
          digest.add(known)
      files.write_json(_digest(shard), digest.summary())

  def finish(self, num_rows: Mapping[str, int]) -> None:
    """Writes the metadata and moves the dataset to its final folder.

    Raises:
      InputError: a shard is missing.
    """
    if missing := self.missing():
      raise errors.InputError(
          f'{missing[0].path}: is missing; run the same command again, with '
          'all processes on one file system'
      )
    splits = {}
    for shard in self._shards:
      splits.setdefault(shard.split, []).append(shard)
    digests = [
        (shard.split, json.loads(_digest(shard).read_text()))
        for shard in self._shards
    ]
    found = fingerprint.make({}, digests, self._card.get('data'))
    with files.filling(self._work, last=_INFO) as folder:
      fingerprint.write(folder, found)
      # TFDS reads the names of the shards, which are in the bucket.
      names = [folder / shard.path.name for shard in self._shards]
      placeholders = [name for name in names if not name.exists()]
      for name in placeholders:
        name.touch()
      tfds.folder_dataset.write_metadata(
          data_dir=folder,
          features=self._features,
          split_infos=[
              tfds.core.SplitInfo(
                  name=split,
                  shard_lengths=[shard.stop - shard.start for shard in shards],
                  num_bytes=sum(files.size(shard.path) for shard in shards),
              )
              for split, shards in splits.items()
          ],
          version=VERSION,
          metadata=tfds.core.MetadataDict(rows=dict(num_rows)),
          check_data=False,  # the check would read with TensorFlow
      )
      files.write_json(folder / _CARD, self._card)
      for name in placeholders:
        name.unlink()
    for leftover in (*map(_digest, self._shards), *self._work.glob('*.tmp')):
      leftover.unlink()
    if self._work != self.folder:
      files.remove(self.folder)
      os.replace(self._work, self.folder)

  def _plan(self, split: str, count: int, size: int) -> list[Shard]:
    """Returns the shards of a split; all but the last have `size` records."""
    starts = range(0, count, size)
    return [
        Shard(
            split,
            start,
            min(start + size, count),
            self._work / f'{self._name}-{split}.array_record-'
            f'{index:05d}-of-{len(starts):05d}',
        )
        for index, start in enumerate(starts)
    ]


def read_card(
    data_dir: epath.PathLike, dataset: str, features_name: str
) -> dict[str, Any]:
  """Returns the origin of a feature set, as `FeatureWriter` got it, and `dim`.

  Raises:
    InputError: there is no such card.
  """
  folder = (
      files.path(data_dir) / f'{dataset}_features' / features_name / VERSION
  )
  if not (card := _read_card(folder / _CARD)):
    raise errors.InputError(
        f'{folder / _CARD}: there is no such file; give the folder of the '
        'datasets with these features as --data_dir'
    )
  return card


def _features(dim: int) -> tfds.features.FeaturesDict:
  """Returns the `sequences` schema with `features` instead of `image`."""
  columns = labels.FRAME_COLUMNS | {'features': (np.float32, (dim,))}
  return tfds.features.FeaturesDict(
      {
          'video': tfds.features.Text(),
          'chunk': np.int32,
          **{
              name: tfds.features.Tensor(shape=(None, *shape), dtype=dtype)
              for name, (dtype, shape) in columns.items()
          },
      }
  )


def _digest(shard: Shard) -> files.Path:
  """Returns the file with the digest of a shard, written before the shard."""
  return shard.path.with_name(f'{shard.path.name}.digest.json')


def _check_card(path: files.Path, card: dict[str, Any]) -> None:
  """Raises an InputError if some features have another card."""
  found = _read_card(path)
  found.pop('shards', None)
  advice = 'choose another name for the new features, or give --overwrite'
  changed = fingerprint.differences(
      found.get('data', {}), card.get('data', {}), same_splits=True
  )
  if changed:
    raise errors.InputError(
        f'{path}: these features were made from other data: {changed}; {advice}'
    )
  for key in sorted(found.keys() | card.keys()):
    if found.get(key) != card.get(key):
      raise errors.InputError(
          f'{path}: these features have {key}={found.get(key)!r}, not '
          f'{card.get(key)!r}; {advice}'
      )


def _read_card(path: files.Path) -> dict[str, Any]:
  return json.loads(path.read_text()) if path.exists() else {}


def _text(value: bytes | str) -> str:
  return value.decode() if isinstance(value, bytes) else value
