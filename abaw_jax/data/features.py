"""Writes the features of a dataset's frames as a dataset of their own.

The folder has TFDS's format, so TFDS and `sources.Records` read it, but no
builder and no TensorFlow are involved.
"""

from collections.abc import Mapping
import json
import os
import shutil
from typing import Any
import uuid

from array_record.python import array_record_module
from etils import epath
import numpy as np
import tensorflow_datasets as tfds

from abaw_jax import errors, labels
from abaw_jax.data import transforms

VERSION = '1.0.0'
_CARD = 'card.json'


class FeatureWriter:
  """Writes `<data_dir>/<dataset>_features/<features_name>/1.0.0/`.

  Used as a context manager: the dataset appears, complete, when the block ends
  without an exception, and otherwise not at all. `card.json` beside the records
  says where the features come from.
  """

  def __init__(
      self,
      data_dir: epath.PathLike,
      dataset: str,
      features_name: str,
      *,
      dim: int,
      card: Mapping[str, Any],
      records_per_shard: int,
  ):
    """Prepares to write; `__enter__` creates the first folder.

    Args:
      data_dir: folder of all built datasets.
      dataset: name of the dataset the frames come from.
      features_name: name of this set of features, which becomes the config.
      dim: d, the size of one feature vector.
      card: what the features depend on (source checkpoint, preprocessing), as
        JSON; `dim` is added.
      records_per_shard: records per ArrayRecord file.

    Raises:
      InputError: a dataset with another card stands there.
    """
    self._name = f'{dataset}_features'
    self._folder = epath.Path(data_dir) / self._name / features_name / VERSION
    self._card = {**card, 'dim': dim}
    self._records_per_shard = records_per_shard
    self._features = _features(dim)
    self.finished: bool = _is_finished(self._folder, self._card)

  def __enter__(self) -> 'FeatureWriter':
    # Any other name than a version is invisible to readers.
    self._work = self._folder.with_name(
        f'{VERSION}.incomplete-{uuid.uuid4().hex[:8]}'
    )
    self._work.mkdir(parents=True)
    self._shards = {}  # split -> records of each of its shards
    self._writers = {}  # split -> writer of its last shard
    self._num_rows = {}
    return self

  def write(self, split: str, record: Mapping[str, Any]) -> None:
    """Adds a record of the `sequences` schema with `features` float32 [n, d].

    Raises:
      InputError: a feature is NaN or infinite.
    """
    transforms.check_features(
        record['features'], _text(record['video']), record['frame_id']
    )
    shards = self._shards.setdefault(split, [])
    if not shards or shards[-1] == self._records_per_shard:
      self._close(split)
      shards.append(0)
      self._writers[split] = array_record_module.ArrayRecordWriter(
          os.fspath(self._work / f'{split}-{len(shards) - 1}'), 'group_size:1'
      )
    known = {field: record[field] for field in self._features}
    self._writers[split].write(self._features.serialize_example(known))
    shards[-1] += 1
    self._num_rows[split] = self._num_rows.get(split, 0) + len(record['row'])

  def __exit__(self, exception_type, exception, traceback) -> None:
    for split in list(self._writers):
      self._close(split)
    try:
      if exception_type is None:
        self._finish()
    finally:
      shutil.rmtree(self._work, ignore_errors=True)

  def _close(self, split: str) -> None:
    if split in self._writers:
      self._writers.pop(split).close()

  def _finish(self) -> None:
    splits = []
    for split, shards in self._shards.items():
      num_bytes = 0
      for index in range(len(shards)):
        path = self._work / f'{split}-{index}'
        num_bytes += path.stat().length
        # How many shards a split has, which its file names tell, is known last.
        path.rename(
            self._work / f'{self._name}-{split}.array_record-'
            f'{index:05d}-of-{len(shards):05d}'
        )
      splits.append(
          tfds.core.SplitInfo(
              name=split, shard_lengths=shards, num_bytes=num_bytes
          )
      )
    tfds.folder_dataset.write_metadata(
        data_dir=self._work,
        features=self._features,
        split_infos=splits,
        version=VERSION,
        metadata=tfds.core.MetadataDict(rows=self._num_rows),
        check_data=False,  # it would read with TensorFlow
    )
    (self._work / _CARD).write_text(json.dumps(self._card, indent=2) + '\n')
    if self._folder.exists():
      shutil.rmtree(self._folder)
    os.replace(self._work, self._folder)


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


def _is_finished(folder: epath.Path, card: dict[str, Any]) -> bool:
  """Returns whether the dataset stands; raises if its card is another one."""
  if not folder.exists():
    return False
  path = folder / _CARD
  found = json.loads(path.read_text()) if path.exists() else {}
  wanted = json.loads(json.dumps(card))
  differing = sorted(
      key
      for key in found.keys() | wanted.keys()
      if found.get(key) != wanted.get(key)
  )
  if differing:
    key = differing[0]
    raise errors.InputError(
        f'{path}: holds features with {key}={found.get(key)!r}, not '
        f'{wanted.get(key)!r}; choose another name for these features or remove '
        f'{folder}'
    )
  return True


def _text(value: bytes | str) -> str:
  return value.decode() if isinstance(value, bytes) else value
