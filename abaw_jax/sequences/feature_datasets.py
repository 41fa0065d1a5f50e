"""Writes the features of a dataset's frames as a dataset of their own.

The folder has TFDS's format, so TFDS and `sources.Records` read it, but no
builder and no TensorFlow are involved.
"""

from collections.abc import Iterable, Mapping
import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
from typing import Any

from array_record.python import array_record_module
from etils import epath
import numpy as np
import tensorflow_datasets as tfds

from abaw_jax.core import errors, files, labels
from abaw_jax.data import transforms

VERSION = '1.0.0'
_CARD = 'card.json'


@dataclasses.dataclass(frozen=True)
class Shard:
  """One file of the dataset: records `start` to before `stop` of a split."""

  split: str
  start: int
  stop: int
  path: pathlib.Path


class FeatureWriter:
  """Writes `<data_dir>/<dataset>_features/<features_name>/1.0.0/`.

  It is written shard by shard, in any order, by any number of processes on one
  file system: `begin` in one of them, then `write` for every missing shard, then
  `finish` in one. Only then the dataset appears, complete. Whoever is killed
  leaves the shards that are whole, and the next one goes on from them.
  `card.json` beside the records says where the features come from.
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
  ):
    """Plans the shards; writes nothing yet.

    Args:
      data_dir: folder of all built datasets.
      dataset: name of the dataset the frames come from.
      features_name: name of this set of features, which becomes the config.
      dim: d, the size of one feature vector.
      card: what the features depend on (source checkpoint, preprocessing), as
        JSON; `dim` is added.
      num_records: records of each split.
      records_per_shard: records per ArrayRecord file.

    Raises:
      InputError: a dataset with another card stands there.
    """
    self._name = f'{dataset}_features'
    self._folder = pathlib.Path(data_dir) / self._name / features_name / VERSION
    # Any other name than a version is invisible to readers.
    self._work = self._folder.with_name(f'{VERSION}.incomplete')
    self._card = json.loads(json.dumps({**card, 'dim': dim}))
    self._features = _features(dim)
    self.finished: bool = _is_finished(self._folder, self._card)
    self._shards = [
        shard
        for split, count in num_records.items()
        for shard in self._plan(split, count, records_per_shard)
    ]

  def begin(self) -> None:
    """Makes room, and drops shards that were begun with another card."""
    path = self._work / _CARD
    plan = self._card | {'shards': [shard.path.name for shard in self._shards]}
    if path.exists() and json.loads(path.read_text()) == plan:
      return
    shutil.rmtree(self._work, ignore_errors=True)
    self._work.mkdir(parents=True)
    path.write_text(json.dumps(plan))

  def missing(self) -> list[Shard]:
    """Returns the shards that are not written yet."""
    return [shard for shard in self._shards if not shard.path.exists()]

  def write(self, shard: Shard, records: Iterable[Mapping[str, Any]]) -> None:
    """Writes a shard; it appears when it is whole.

    Args:
      shard: one that is missing.
      records: its records: those of the `sequences` schema with `features`
        float32 [n, d].

    Raises:
      InputError: a feature is NaN or infinite.
    """
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

  def finish(self, num_rows: Mapping[str, int]) -> None:
    """Lets the dataset appear.

    Args:
      num_rows: rows of each split, over all its records.

    Raises:
      InputError: a shard is missing.
    """
    if missing := self.missing():
      raise errors.InputError(
          f'{missing[0].path}: is missing; start the same command again, in '
          'processes that share this folder'
      )
    splits = {}
    for shard in self._shards:
      splits.setdefault(shard.split, []).append(shard)
    tfds.folder_dataset.write_metadata(
        data_dir=self._work,
        features=self._features,
        split_infos=[
            tfds.core.SplitInfo(
                name=split,
                shard_lengths=[shard.stop - shard.start for shard in shards],
                num_bytes=sum(shard.path.stat().st_size for shard in shards),
            )
            for split, shards in splits.items()
        ],
        version=VERSION,
        metadata=tfds.core.MetadataDict(rows=dict(num_rows)),
        check_data=False,  # it would read with TensorFlow
    )
    for draft in self._work.glob('*.tmp'):
      draft.unlink()
    (self._work / _CARD).write_text(json.dumps(self._card, indent=2) + '\n')
    if self._folder.exists():
      shutil.rmtree(self._folder)
    os.replace(self._work, self._folder)

  def _plan(self, split: str, count: int, size: int) -> list[Shard]:
    """Returns the shards of a split, all but the last of one size."""
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


def _features(dim: int) -> tfds.features.FeaturesDict:
  """Returns the `sequences` schema with `features` instead of images."""
  sequence = tfds.features.Sequence
  tensor = tfds.features.Tensor
  return tfds.features.FeaturesDict(
      {
          'video': tfds.features.Text(),
          'chunk': np.int32,
          'frame_id': sequence(np.int32),
          'row': sequence(np.int32),
          'features': tensor(shape=(None, dim), dtype=np.float32),
          'valence': sequence(np.float32),
          'arousal': sequence(np.float32),
          'expression': sequence(np.int32),
          'au': tensor(shape=(None, labels.NUM_AUS), dtype=np.int8),
          'va': sequence(np.bool_),
          'expr': sequence(np.bool_),
          'au_mask': tensor(shape=(None, labels.NUM_AUS), dtype=np.bool_),
      }
  )


def _is_finished(folder: pathlib.Path, card: dict[str, Any]) -> bool:
  """Returns whether the dataset stands; raises if its card is another one."""
  if not folder.exists():
    return False
  path = folder / _CARD
  found = json.loads(path.read_text()) if path.exists() else {}
  differing = sorted(
      key
      for key in found.keys() | card.keys()
      if found.get(key) != card.get(key)
  )
  if differing:
    key = differing[0]
    raise errors.InputError(
        f'{path}: holds features with {key}={found.get(key)!r}, not '
        f'{card.get(key)!r}; choose another name for these features or remove '
        f'{folder}'
    )
  return True


def _text(value: bytes | str) -> str:
  return value.decode() if isinstance(value, bytes) else value
