"""AIM3-RUC's HDF5 files of features and labels, as a dataset of features.

Their layout: `features/<name>.h5` has a group per video with `feature` [T, d],
for all splits together. `targets/.../*_target.h5` has a group per video of a split
with `label` [T, 15]: valence, arousal, expression, then the 12 AUs. The videos of
the test split are the datasets of the group `tst` in `partition.h5`, each with as
many distinct entries as the video has frames. The files hold no frame numbers.
"""

from collections.abc import Iterator, Mapping
import contextlib
import os
import pathlib
from typing import Any, NamedTuple

from etils import epath
import h5py
import numpy as np

from abaw_jax.core import errors, labels
from abaw_jax.sequences import aim3_labels
from abaw_jax.sequences import feature_datasets as features_lib

_FRAMES_PER_RECORD = 64
_RECORDS_PER_SHARD = 64
_TEST_GROUP = 'tst'


class Part(NamedTuple):
  """Up to 64 frames of a video: what becomes a record."""

  video: str
  chunk: int
  start: int
  stop: int
  row: int  # of the first frame, in the split


def write(
    features: pathlib.Path,
    *,
    targets: Mapping[str, pathlib.Path],
    partition: pathlib.Path | None,
    data_dir: epath.PathLike,
    dataset: str,
    name: str,
) -> dict[str, tuple[int, int]]:
  """Writes `<data_dir>/<dataset>_features/<name>`.

  Frames and rows count from 0: those of a video, and those of a split in the
  order of its file. Valence and arousal are usable together only, and so are the
  AUs of a frame. Everything but the values of features is checked before anything
  is written.

  Args:
    features: file with the features of all videos.
    targets: file with the labels of each split, `train` or `validation`.
    partition: file that names the videos of the split `test`; None: there is
      none.
    data_dir: folder of all built datasets.
    dataset: name of the dataset the frames come from.
    name: name of this set of features.

  Returns:
    (videos, frames) of each split.

  Raises:
    InputError: a file cannot be read, a group is missing, a length or width
      differs, a value is out of range, or other features have this name.
  """
  with contextlib.ExitStack() as stack:
    source = stack.enter_context(_open(features))
    files = {
        split: stack.enter_context(_open(path))
        for split, path in targets.items()
    }
    lengths = {split: _labelled(files[split]) for split in files}
    if partition is not None:
      lengths['test'] = _unlabelled(stack.enter_context(_open(partition)))
    _check_disjoint(lengths, features)
    dim = _width(source, lengths)
    parts = {split: list(_parts(lengths[split])) for split in lengths}
    writer = features_lib.FeatureWriter(
        data_dir,
        dataset,
        name,
        dim=dim,
        card=_card(features, targets, partition),
        num_records={split: len(parts[split]) for split in parts},
        records_per_shard=_RECORDS_PER_SHARD,
    )
    if not writer.finished:
      writer.begin()
      for shard in writer.missing():
        writer.write(
            shard,
            (
                _record(source, files.get(shard.split), part)
                for part in parts[shard.split][shard.start : shard.stop]
            ),
        )
      writer.finish({split: sum(lengths[split].values()) for split in lengths})
  return {
      split: (len(videos), sum(videos.values()))
      for split, videos in lengths.items()
  }


def _open(path: pathlib.Path) -> h5py.File:
  """Returns an open file; an InputError says why it cannot be."""
  try:
    return h5py.File(path, 'r')
  except OSError as error:
    reason = (
        'no such file' if not path.is_file() else 'is not a whole HDF5 file'
    )
    raise errors.InputError(
        f'{path}: {reason}; name a file in the layout of AIM3'
    ) from error


def _dataset(file: h5py.File, video: str, name: str) -> h5py.Dataset:
  """Returns `<video>/<name>` of a file."""
  group = file.get(video)
  found = group.get(name) if isinstance(group, h5py.Group) else None
  if not isinstance(found, h5py.Dataset) or found.dtype.kind not in 'fiu':
    raise errors.InputError(
        f'{file.filename}: has no {video}/{name}; every video needs a group with '
        f'the dataset {name}, of numbers'
    )
  return found


def _labelled(file: h5py.File) -> dict[str, int]:
  """Returns the frames of each video of a file of labels, which are checked."""
  lengths = {}
  for video in file:
    label = _dataset(file, video, 'label')
    where = f'{file.filename}: {video}/label'
    if label.ndim != 2 or label.shape[1] != aim3_labels.WIDTH or not len(label):
      raise errors.InputError(
          f'{where}: has shape {label.shape}, not [frames, '
          f'{aim3_labels.WIDTH}]: valence, arousal, expression and '
          f'{labels.NUM_AUS} AUs'
      )
    aim3_labels.check(label[()], where)
    lengths[video] = len(label)
  if not lengths:
    raise errors.InputError(f'{file.filename}: holds no video')
  return lengths


def _unlabelled(file: h5py.File) -> dict[str, int]:
  """Returns the frames of each video of the test split."""
  group = file.get(_TEST_GROUP)
  if not isinstance(group, h5py.Group) or not len(group):
    raise errors.InputError(
        f'{file.filename}: has no group {_TEST_GROUP} with the videos of the test '
        'split; leave --partition out if there are none'
    )
  return {
      video: len(np.unique(entries[()])) for video, entries in group.items()
  }


def _check_disjoint(
    lengths: Mapping[str, Mapping[str, int]], features: pathlib.Path
) -> None:
  """Raises an InputError if a video is in two splits."""
  splits = {}
  for split, videos in lengths.items():
    for video in videos:
      if video in splits:
        raise errors.InputError(
            f'{features}: video {video} is of {splits[video]} and of {split}; '
            'give files of splits that have no video in common'
        )
      splits[video] = split


def _width(source: h5py.File, lengths: Mapping[str, Mapping[str, int]]) -> int:
  """Returns the width of all features, whose shapes are checked."""
  dim = None
  for split, videos in lengths.items():
    for video, length in videos.items():
      shape = _dataset(source, video, 'feature').shape
      where = f'{source.filename}: {video}/feature'
      if len(shape) != 2 or not shape[1]:
        raise errors.InputError(f'{where}: has shape {shape}, not [frames, d]')
      dim = dim or shape[1]
      if shape[1] != dim:
        raise errors.InputError(
            f'{where}: is {shape[1]} wide, and others are {dim}; all features of '
            'a file must be of one kind'
        )
      if shape[0] != length:
        raise errors.InputError(
            f'{where}: has {shape[0]} frames, and {split} has {length} of this '
            'video; take files that belong together'
        )
  return dim


def _parts(videos: Mapping[str, int]) -> Iterator[Part]:
  """Yields the records of a split."""
  row = 0
  for video, length in videos.items():
    for chunk, start in enumerate(range(0, length, _FRAMES_PER_RECORD)):
      stop = min(start + _FRAMES_PER_RECORD, length)
      yield Part(video, chunk, start, stop, row + start)
    row += length


def _record(
    source: h5py.File, file: h5py.File | None, part: Part
) -> dict[str, Any]:
  """Returns a record of the `sequences` schema with `features`."""
  rows = slice(part.start, part.stop)
  count = part.stop - part.start
  with np.errstate(over='ignore'):  # which is found below
    found = source[part.video]['feature'][rows].astype(np.float32)
  finite = np.isfinite(found).all(axis=-1)
  if not finite.all():
    row = part.start + int(np.argmin(finite))
    raise errors.InputError(
        f'{source.filename}: {part.video}/feature: row {row} is NaN or infinite; '
        'make the file again'
    )
  if file is None:
    label = aim3_labels.missing(count)
  else:
    label = file[part.video]['label'][rows]
  return {
      'video': part.video,
      'chunk': part.chunk,
      'frame_id': np.arange(part.start, part.stop, dtype=np.int32),
      'row': np.arange(part.row, part.row + count, dtype=np.int32),
      'features': found,
      **aim3_labels.columns(label),
  }


def _card(
    features: pathlib.Path,
    targets: Mapping[str, pathlib.Path],
    partition: pathlib.Path | None,
) -> dict[str, Any]:
  """Returns which files the features come from."""
  files = {'features': features, **targets}
  if partition is not None:
    files['partition'] = partition
  return {
      'imported_from': {
          key: {'file': path.name, 'bytes': os.path.getsize(path)}
          for key, path in files.items()
      }
  }
