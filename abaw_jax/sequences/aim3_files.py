"""Converts the HDF5 files of AIM3-RUC to a feature dataset.

- `features/<name>.h5` has one group for each video of all splits, with `feature`
  [T, d].
- `targets/.../*_target.h5` has one group for each video of a split, with `label`
  [T, 15]: valence, arousal, expression and the 12 AUs.
- `partition.h5` has one dataset in the group `tst` for each video of the test
  split. Its number of distinct entries is the number of frames.

The files contain no frame numbers.
"""

from collections.abc import Iterator, Mapping
import contextlib
import hashlib
import pathlib
from typing import Any, NamedTuple

from etils import epath
import h5py
import numpy as np

from abaw_jax.core import errors, labels, locks
from abaw_jax.sequences import aim3_labels
from abaw_jax.sequences import feature_datasets as features_lib

_FRAMES_PER_RECORD = 64
_RECORDS_PER_SHARD = 64
_TEST_GROUP = 'tst'


class Part(NamedTuple):
  """Up to 64 frames of a video, which become one record."""

  video: str
  chunk: int  # index of the part in its video
  start: int  # first frame
  stop: int  # the frame after the last one
  row: int  # row number of the first frame in its split


def write(
    features: pathlib.Path,
    *,
    targets: Mapping[str, pathlib.Path],
    partition: pathlib.Path | None,
    data_dir: epath.PathLike,
    dataset: str,
    name: str,
    overwrite: bool = False,
    au_labels: str = 'rows',
) -> dict[str, tuple[int, int]]:
  """Writes `<data_dir>/<dataset>_features/<name>`.

  Frame numbers start at 0 in each video, and row numbers start at 0 in each split,
  in the order of its file. A frame has both valence and arousal or neither.
  Prints how many frames lose their AUs because one is missing. Everything except
  the values of the features is checked before the first file is written.

  Args:
    features: file with the features of all videos.
    targets: file with the labels of each split, `train` or `validation`.
    partition: file with the videos of the split `test`; None if there is none.
    data_dir: folder of all built datasets.
    dataset: name of the dataset that the frames come from.
    name: name of the new feature set.
    overwrite: replace a feature set with this name.
    au_labels: one of aim3_labels.AU_LABELS.

  Returns:
    (videos, frames) of each split.

  Raises:
    InputError: a file cannot be read, a group is missing, a length or width is
      wrong, a value is out of range, or another feature set has this name.
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
    if au_labels == 'rows':
      _report_incomplete(files)
    parts = {split: list(_parts(lengths[split])) for split in lengths}
    writer = features_lib.FeatureWriter(
        data_dir,
        dataset,
        name,
        dim=dim,
        card=_card(features, targets, partition) | {'au_labels': au_labels},
        num_records={split: len(parts[split]) for split in parts},
        records_per_shard=_RECORDS_PER_SHARD,
        overwrite=overwrite,
    )
    if not writer.finished:
      stack.enter_context(locks.held(writer.folder))
      writer.begin()
      for shard in writer.missing():
        writer.write(
            shard,
            (
                _record(source, files.get(shard.split), part, au_labels)
                for part in parts[shard.split][shard.start : shard.stop]
            ),
        )
      writer.finish({split: sum(lengths[split].values()) for split in lengths})
  return {
      split: (len(videos), sum(videos.values()))
      for split, videos in lengths.items()
  }


def _open(path: pathlib.Path) -> h5py.File:
  """Returns the open file; raises an InputError if that fails."""
  try:
    return h5py.File(path, 'r')
  except OSError as error:
    reason = (
        'no such file' if not path.is_file() else 'not a complete HDF5 file'
    )
    raise errors.InputError(
        f'{path}: {reason}; give a file in the layout of AIM3'
    ) from error


def _dataset(file: h5py.File, video: str, name: str) -> h5py.Dataset:
  """Returns the dataset `<video>/<name>` of a file."""
  group = file.get(video)
  found = group.get(name) if isinstance(group, h5py.Group) else None
  if not isinstance(found, h5py.Dataset) or found.dtype.kind not in 'fiu':
    raise errors.InputError(
        f'{file.filename}: has no {video}/{name}; every video needs a group with '
        f'a numeric dataset {name}'
    )
  return found


def _labelled(file: h5py.File) -> dict[str, int]:
  """Checks a file of labels and returns the number of frames of each video."""
  lengths = {}
  for video in file:
    label = _dataset(file, video, 'label')
    where = f'{file.filename}: {video}/label'
    if label.ndim != 2 or label.shape[1] != aim3_labels.WIDTH or not len(label):
      raise errors.InputError(
          f'{where}: has shape {label.shape}; it must be [frames, '
          f'{aim3_labels.WIDTH}]: valence, arousal, expression and '
          f'{labels.NUM_AUS} AUs'
      )
    aim3_labels.check(label[()], where)
    lengths[video] = len(label)
  if not lengths:
    raise errors.InputError(
        f'{file.filename}: contains no video; give a file with one group for '
        'each video'
    )
  return lengths


def _report_incomplete(files: Mapping[str, h5py.File]) -> None:
  """Prints how many frames of each file have some AUs, but not all of them."""
  for split, file in files.items():
    count = sum(
        aim3_labels.num_incomplete(group['label'][()])
        for group in file.values()
    )
    if count:
      print(
          f'{split}: {count:,} frames lose all {labels.NUM_AUS} AUs, because one '
          'or more are missing; --au_labels=entries uses the others, as the loss '
          'of AIM3 does'
      )


def _unlabelled(file: h5py.File) -> dict[str, int]:
  """Returns the number of frames of each video of the test split."""
  group = file.get(_TEST_GROUP)
  if not isinstance(group, h5py.Group) or not len(group):
    raise errors.InputError(
        f'{file.filename}: has no group {_TEST_GROUP} with the videos of the test '
        'split; omit --partition if there are none'
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
            f'{features}: video {video} is in {splits[video]} and in {split}; '
            'give files whose splits have no video in common'
        )
      splits[video] = split


def _width(source: h5py.File, lengths: Mapping[str, Mapping[str, int]]) -> int:
  """Checks the shapes of all features and returns their width."""
  dim = None
  for split, videos in lengths.items():
    for video, length in videos.items():
      shape = _dataset(source, video, 'feature').shape
      where = f'{source.filename}: {video}/feature'
      if len(shape) != 2 or not shape[1]:
        raise errors.InputError(
            f'{where}: has shape {shape}; it must be [frames, d]'
        )
      dim = dim or shape[1]
      if shape[1] != dim:
        raise errors.InputError(
            f'{where}: has width {shape[1]}, but others have {dim}; all features '
            'in a file must come from one model'
        )
      if shape[0] != length:
        raise errors.InputError(
            f'{where}: has {shape[0]} frames, but the labels of {split} have '
            f'{length} for this video; give files that belong together'
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
    source: h5py.File, file: h5py.File | None, part: Part, au_labels: str
) -> dict[str, Any]:
  """Returns one record of the `sequences` schema, with `features`."""
  rows = slice(part.start, part.stop)
  count = part.stop - part.start
  with np.errstate(over='ignore'):  # inf is checked below
    found = source[part.video]['feature'][rows].astype(np.float32)
  finite = np.isfinite(found).all(axis=-1)
  if not finite.all():
    row = part.start + int(np.argmin(finite))
    raise errors.InputError(
        f'{source.filename}: {part.video}/feature: row {row} is NaN or infinite; '
        'create the file again'
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
      **aim3_labels.columns(label, au_labels),
  }


def _card(
    features: pathlib.Path,
    targets: Mapping[str, pathlib.Path],
    partition: pathlib.Path | None,
) -> dict[str, Any]:
  """Returns the names and checksums of the source files."""
  files = {'features': features, **targets}
  if partition is not None:
    files['partition'] = partition
  imported = {}
  for key, path in files.items():
    with path.open('rb') as file:
      checksum = hashlib.file_digest(file, 'sha256').hexdigest()
    imported[key] = {'file': path.name, 'sha256': checksum}
  return {'imported_from': imported}
