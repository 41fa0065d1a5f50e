"""Fills missing labels of training frames with those of `abaw-jax pseudo_label`."""

from collections.abc import Sequence
import copy
import dataclasses
import json
from typing import Any
import zipfile

import jax
import numpy as np

from abaw_jax.core import errors, files, labels
from abaw_jax.core import fingerprint as fingerprint_lib
from abaw_jax.data import protocol
from abaw_jax.sequences import table as table_lib

_LABELS = (*labels.MASKS, *table_lib.LABELS)
_FIELDS = ('video', 'frame_id', *_LABELS)


def fill(
    frames: table_lib.Table,
    path: files.Path,
    data: dict[str, fingerprint_lib.Fingerprint],
) -> table_lib.Table:
  """Returns the table with new labels, and prints their number by mask.

  True labels stay. For each mask the table has a further column,
  `labels.PSEUDO[mask]`, which is True where the label is new.

  Args:
    frames: table of the training frames.
    path: .npz file that `abaw-jax pseudo_label` wrote.
    data: fingerprints of the datasets of the frames, by name.

  Raises:
    InputError: the file is wrong, was made from other data, has a label for a
      frame that is not in the table, or adds no label.
  """
  keys = np.array(frames.videos)[frames.video_id], frames.columns['frame_id']
  columns = _filled(frames.columns, keys, path, data)
  return dataclasses.replace(frames, columns=frames.columns | columns)


class Labelled(protocol.Wrapper):
  """The images of a dataset with new labels; see `fill`.

  A frame that the list repeats has a true label if one of its lines has it.
  """

  def __init__(self, source: Any, path: files.Path):
    """Reads the names and the labels of all records once.

    Args:
      source: the training images of one dataset.
      path: see `fill`, which raises the same errors.
    """
    super().__init__(source)
    records = [*source.with_fields(*_LABELS)]
    columns = {
        name: np.array([record[name] for record in records]) for name in _LABELS
    }
    names = source.names({})
    keys = names['video'], names['frame_id']
    self._columns = _filled(columns, keys, path, source.fingerprints())

  def with_fields(self, *fields: str) -> 'Labelled':
    """Returns the same records with these fields only."""
    found = copy.copy(self)
    found._source = self._source.with_fields(*fields)
    found._columns = {k: v for k, v in self._columns.items() if k in fields}
    return found

  def __getitem__(self, index: int) -> dict[str, Any]:
    new = {name: values[index] for name, values in self._columns.items()}
    return self._source[index] | new

  def __iter__(self):
    return (self[index] for index in range(len(self)))


def _filled(
    old: table_lib.Columns,
    keys: Sequence[np.ndarray],
    path: files.Path,
    data: dict[str, fingerprint_lib.Fingerprint],
) -> table_lib.Columns:
  """Returns labels and masks after filling, and the columns `labels.PSEUDO`.

  Args:
    old: labels and masks.
    keys: video and frame number of each row.
    path: see `fill`.
    data: see `fill`.
  """
  new = _read(path)
  changed = fingerprint_lib.differences(new['data'], data)
  if changed:
    raise errors.InputError(
        f'{path}: the predictions were made from other data: {changed}; predict '
        'these data again'
    )
  frame, at = _numbers(keys, new, path)
  columns, counts = {}, {}
  for mask, names in table_lib.LABELS.items():
    known, found = np.zeros_like(old[mask]), np.zeros_like(old[mask])
    np.logical_or.at(known, frame, old[mask])
    np.logical_or.at(found, at, new[mask])
    added = (found & ~known)[frame]
    for name in names:
      wanted = np.zeros_like(old[name])
      wanted[at] = new[name]
      columns[name] = np.where(added, wanted[frame], old[name])
    columns[mask] = old[mask] | added
    columns[labels.PSEUDO[mask]] = added
    counts[mask] = int(added.sum())
  if not any(counts.values()):
    raise errors.InputError(
        f'{path}: adds no label to the training frames; lower the limits of '
        'abaw-jax pseudo_label, or leave config.data.pseudo_labels out'
    )
  # jax.process_index() opens the device, which another command may need.
  if not jax.distributed.is_initialized() or jax.process_index() == 0:
    added = ', '.join(f'{name} {n:,}' for name, n in counts.items())
    print(f'{path}: labels added to train: {added}', flush=True)
  return columns


def _read(path: files.Path) -> dict[str, Any]:
  """Returns the rows of a file that have a label."""
  if not path.is_file():
    raise errors.InputError(
        f'config.data.pseudo_labels={path}: there is no such file; write it with '
        'abaw-jax pseudo_label'
    )
  try:
    with files.local_copy(path) as copy, np.load(copy) as file:
      found = {name: file[name] for name in _FIELDS}
      data = json.loads(str(file['data'])) if 'data' in file else {}
  except (KeyError, TypeError, ValueError, OSError, zipfile.BadZipFile) as e:
    raise errors.InputError(
        f'config.data.pseudo_labels={path}: is no file of abaw-jax pseudo_label: '
        f'{e}; write it again'
    ) from e
  masks = [found[name] for name in table_lib.LABELS]
  kept = np.column_stack(masks).any(axis=-1)
  return {name: column[kept] for name, column in found.items()} | {'data': data}


def _numbers(
    keys: Sequence[np.ndarray], new: dict[str, Any], path: files.Path
) -> tuple[np.ndarray, np.ndarray]:
  """Returns the number of the frame of each row, and of each row with a label."""

  def tuples(videos, frame_ids):
    return zip(videos.tolist(), frame_ids.tolist(), strict=True)

  numbers: dict[tuple[str, int], int] = {}
  frame = [numbers.setdefault(key, len(numbers)) for key in tuples(*keys)]
  found = []
  for key in tuples(new['video'], new['frame_id']):
    if key not in numbers:
      raise errors.InputError(
          f'{path}: has a label for video {key[0]} frame {key[1]}, which is no '
          'frame of this training; rows that score a run cannot be labels: '
          'predict the split train, without the held-out fold'
      )
    found.append(numbers[key])
  return np.array(frame, int), np.array(found, int)
