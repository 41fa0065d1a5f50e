"""Writes a dataset that is made from another one, shard by shard.

The folder has the format of TFDS, so TFDS and `sources.Records` can read it. It is
written without a builder and without TensorFlow.
"""

from collections.abc import Iterable, Mapping
import contextlib
import dataclasses
import json
import os
from typing import Any

from array_record.python import array_record_module
import tensorflow_datasets as tfds

from abaw_jax.core import errors, files, fingerprint

VERSION = '1.0.0'
CARD = 'card.json'
_INFO = 'dataset_info.json'


@dataclasses.dataclass(frozen=True)
class Shard:
  """One file with the records from `start` up to `stop` - 1 of a split."""

  split: str
  start: int
  stop: int
  path: files.Path


class Writer:
  """Writes `<data_dir>/<name>/<config>/1.0.0/`.

  Any number of processes on one file system can write it, shard by shard and in
  any order: one process calls `begin`, all call `write` for missing shards, then
  one calls `finish`. The dataset appears only then. If a process is killed, its
  complete shards remain, and the next run writes the missing ones. `card.json` in
  the same folder records the origin of the content. A bucket cannot rename a
  folder: there the shards are written in place, and `dataset_info.json`, which all
  readers look for, comes last.

  Attributes:
    folder: folder of the complete dataset. One command at a time may fill it.
    finished: whether the complete dataset with this card exists.
  """

  # Name of the content in messages.
  content = 'records'

  def __init__(
      self,
      folder: files.Path,
      *,
      schema: tfds.features.FeaturesDict,
      card: Mapping[str, Any],
      num_records: Mapping[str, int],
      records_per_shard: int,
      source: Mapping[str, fingerprint.Fingerprint] | None = None,
      options: Mapping[str, Any] | None = None,
      overwrite: bool = False,
  ):
    """Plans the shards; writes nothing yet.

    Args:
      folder: `<data_dir>/<name>/<config>`.
      schema: fields of a record.
      card: origin of the content (checkpoint, preprocessing), as JSON values.
      num_records: number of records in each split.
      records_per_shard: number of records in each ArrayRecord file.
      source: fingerprint of the original dataset by name, if it is built.
      options: options for the fingerprint of the new dataset.
      overwrite: replace a dataset with this name.

    Raises:
      InputError: a dataset of this name exists, complete or unfinished, but it
        has another card or comes from other data.
    """
    self._name = folder.parent.name
    self.folder = folder / VERSION
    # Readers ignore folders whose name is not a version.
    self._work = self.folder.with_name(f'{VERSION}.incomplete')
    if files.is_bucket(self.folder):
      self._work = self.folder
    card = {**card} | ({'data': source} if source else {})
    self._card = json.loads(json.dumps(card))
    self._options = options or {}
    self._schema = schema
    self.finished: bool = (self.folder / _INFO).exists() and not overwrite
    if self.finished:
      self._check_card(self.folder / CARD)
    elif (self._work / CARD).exists() and not overwrite:
      self._check_card(self._work / CARD)
    self._shards = [
        shard
        for split, count in num_records.items()
        for shard in self._plan(split, count, records_per_shard)
    ]

  def begin(self) -> None:
    """Creates the folder, and removes the shards of another card or plan."""
    path = self._work / CARD
    plan = self._card | {'shards': [shard.path.name for shard in self._shards]}
    if read_card(path) == plan:
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

    Records have at least the fields of the schema.
    """
    digest = fingerprint.Digest()
    with files.replacing(shard.path) as temporary:
      writer = array_record_module.ArrayRecordWriter(
          os.fspath(temporary), 'group_size:1'
      )
      with contextlib.closing(writer):
        for record in records:
          known = {field: record[field] for field in self._schema}
          writer.write(self._schema.serialize_example(known))
          digest.add(known)
      files.write_json(_digest(shard), digest.summary())

  def finish(self, num_rows: Mapping[str, int], **metadata: Any) -> None:
    """Writes the metadata and moves the dataset to its final folder.

    Args:
      num_rows: number of rows in each split.
      **metadata: other values for the metadata of TFDS.

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
    found = fingerprint.make(self._options, digests, self._card.get('data'))
    with files.filling(self._work, last=_INFO) as folder:
      fingerprint.write(folder, found)
      # TFDS reads the names of the shards, which are in the bucket.
      names = [folder / shard.path.name for shard in self._shards]
      placeholders = [name for name in names if not name.exists()]
      for name in placeholders:
        name.touch()
      tfds.folder_dataset.write_metadata(
          data_dir=folder,
          features=self._schema,
          split_infos=[
              tfds.core.SplitInfo(
                  name=split,
                  shard_lengths=[shard.stop - shard.start for shard in shards],
                  num_bytes=sum(files.size(shard.path) for shard in shards),
              )
              for split, shards in splits.items()
          ],
          version=VERSION,
          metadata=tfds.core.MetadataDict(metadata, rows=dict(num_rows)),
          check_data=False,  # the check would read with TensorFlow
      )
      files.write_json(folder / CARD, self._card)
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

  def _check_card(self, path: files.Path) -> None:
    """Raises an InputError if what exists has another card."""
    found = read_card(path)
    found.pop('shards', None)
    advice = (
        f'choose another name for the new {self.content}, or give --overwrite'
    )
    changed = fingerprint.differences(
        found.get('data', {}), self._card.get('data', {}), same_splits=True
    )
    if changed:
      raise errors.InputError(
          f'{path}: these {self.content} were made from other data: {changed}; '
          f'{advice}'
      )
    for key in sorted(found.keys() | self._card.keys()):
      if found.get(key) != self._card.get(key):
        raise errors.InputError(
            f'{path}: these {self.content} have {key}={found.get(key)!r}, not '
            f'{self._card.get(key)!r}; {advice}'
        )


def _digest(shard: Shard) -> files.Path:
  """Returns the file with the digest of a shard, written before the shard."""
  return shard.path.with_name(f'{shard.path.name}.digest.json')


def read_card(path: files.Path) -> dict[str, Any]:
  return json.loads(path.read_text()) if path.exists() else {}
