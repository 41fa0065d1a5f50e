"""Fills missing labels of training frames with those of `abaw-jax pseudo_label`."""

import dataclasses
import json
from typing import Any
import zipfile

import numpy as np

from abaw_jax.core import errors, files, labels
from abaw_jax.core import fingerprint as fingerprint_lib
from abaw_jax.sequences import table as table_lib

_FIELDS = ('video', 'frame_id', *labels.MASKS, *table_lib.LABELS)


def fill(
    frames: table_lib.Table,
    path: files.Path,
    data: dict[str, fingerprint_lib.Fingerprint],
) -> tuple[table_lib.Table, dict[str, int]]:
  """Returns the table with new labels, and their number by mask.

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
  new = _read(path)
  changed = fingerprint_lib.differences(new['data'], data)
  if changed:
    raise errors.InputError(
        f'{path}: the predictions were made from other data: {changed}; predict '
        'these data again'
    )
  at = _positions(frames, new, path)
  columns = {name: column.copy() for name, column in frames.columns.items()}
  counts = {}
  for mask, names in table_lib.LABELS.items():
    known = columns[mask]
    added = np.zeros_like(known)
    added[at] = new[mask] & ~known[at]
    for name in names:
      column = columns[name]
      wanted = np.zeros_like(column)
      wanted[at] = new[name]
      columns[name] = np.where(added, wanted, column)
    columns[mask] = known | added
    columns[labels.PSEUDO[mask]] = added
    counts[mask] = int(added.sum())
  if not any(counts.values()):
    raise errors.InputError(
        f'{path}: adds no label to the training frames; lower the limits of '
        'abaw-jax pseudo_label, or leave config.data.pseudo_labels out'
    )
  return dataclasses.replace(frames, columns=columns), counts


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


def _positions(
    frames: table_lib.Table, new: dict[str, Any], path: files.Path
) -> np.ndarray:
  """Returns the position in the table of each row with a label."""
  positions = {
      key: position
      for position, key in enumerate(
          zip(
              np.array(frames.videos)[frames.video_id].tolist(),
              frames.columns['frame_id'].tolist(),
              strict=True,
          )
      )
  }
  found = []
  for key in zip(new['video'].tolist(), new['frame_id'].tolist(), strict=True):
    if key not in positions:
      raise errors.InputError(
          f'{path}: has a label for video {key[0]} frame {key[1]}, which is no '
          'frame of this training; rows that score a run cannot be labels: '
          'predict the split train, without the held-out fold'
      )
    found.append(positions[key])
  return np.array(found, int)
