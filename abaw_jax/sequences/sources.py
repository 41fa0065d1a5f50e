"""Source of temporal training: cached features as windows or stateful videos."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from abaw_jax.core import choices, errors, files, fingerprint, folds, labels
from abaw_jax.data import sources
from abaw_jax.sequences import (
    feature_datasets,
    pseudo_labels,
    stateful_videos,
    table,
    video_groups,
    video_sources,
    videos,
    windows,
)

# Splits whose videos are divided into folds.
_POOL = ('train', 'validation')


def make_source(
    data: Mapping[str, Any], split: str
) -> video_sources.VideoSource:
  """Returns the windows or the stateful videos of a split.

  With `data.num_folds`, `train` and `validation` are folds of both splits of the
  dataset. With `data.full`, `train` contains both splits. In both cases, the row
  numbers of validation continue after those of train. `data` is a section of a
  config; its `fill_labels` and `pseudo_labels` apply only to `train`.

  Raises:
    InputError: a value is wrong, or the rows of two feature sets differ.
  """
  _check(data)
  names = [name.strip() for name in data['features'].split(',')]
  choices.check_once(names, data['features'], 'data.features')
  sets = [
      [
          sources.Records(
              data['dir'],
              *feature_datasets.place(data['name'], name),
              part,
              cache_dir=data.get('cache_dir', ''),  # older configs have none
          )
          for part in _splits(data, split)
      ]
      for name in names
  ]
  frames = table.read(sets)
  # jax.process_index() opens the device, which another command may need.
  is_first = not jax.distributed.is_initialized() or jax.process_index() == 0
  if frames.conflicts and is_first:
    print(
        f'{sets[0]}: {frames.conflicts} frames are listed several times with '
        'different labels; the first usable label of each kind is used',
        flush=True,
    )
  if data['num_folds'] and split in _POOL:
    frames = _fold(data, split, frames)
  if data['fill_labels'] and split == 'train':
    frames = frames.filled(data['fill_labels'])
  pseudo = data.get('pseudo_labels', '')  # older configs have none
  if pseudo and split == 'train':
    made_from = [part.fingerprints() for parts in sets for part in parts]
    frames = pseudo_labels.fill(
        frames, files.path(pseudo), fingerprint.merged(*made_from)
    )
  return BATCHINGS[data['batching']](
      data,
      videos.Videos(
          frames,
          sets,
          norm=data['norm'],
          normalized=_normalized(data['norm_features'], names),
      ),
  )


def _windows(data: Mapping[str, Any], source: videos.Videos) -> windows.Windows:
  return windows.Windows(
      source,
      length=data['window'],
      stride=data['stride'],
      last_window=data['last_window'],
  )


def _stateful_videos(
    data: Mapping[str, Any], source: videos.Videos
) -> stateful_videos.StatefulVideos:
  return stateful_videos.StatefulVideos(
      source,
      video_groups.Groups(
          source.sizes,
          rows=data['batch_size'],
          length=data['window'],
          buckets=data['buckets'],
          seed=None,
      ),
  )


BATCHINGS = {'windows': _windows, 'stateful_videos': _stateful_videos}


def _check(data: Mapping[str, Any]) -> None:
  """Raises an InputError that names the first key with a wrong value."""
  for key, values in (
      ('batching', BATCHINGS),
      ('norm', dict.fromkeys(videos.NORMS)),
      ('last_window', dict.fromkeys(windows.LAST_WINDOWS)),
  ):
    choices.choose(values, data[key], f'data.{key}')
  if data['norm'] == 'batch' and data['batching'] != 'stateful_videos':
    raise errors.InputError(
        'config.data.norm=batch: needs batches of whole videos; set '
        'config.data.batching=stateful_videos, or config.data.norm=video'
    )
  num_folds = data['num_folds']
  if num_folds == 1:
    raise errors.InputError(
        f'config.data.num_folds={num_folds}: give at least 2, or 0 for the '
        'official split'
    )
  if num_folds and data['full']:
    raise errors.InputError(
        f'config.data.full trains on all videos, but config.data.num_folds='
        f'{num_folds} holds out one fold; set only one of them'
    )
  if num_folds and data['fold'] >= num_folds:
    raise errors.InputError(
        f'config.data.fold={data["fold"]}: choose a fold from 0 to '
        f'{num_folds - 1}, because config.data.num_folds={num_folds}'
    )


def _splits(data: Mapping[str, Any], split: str) -> tuple[str, ...]:
  """Returns the splits of the dataset that contain the frames of `split`."""
  pooled = data['num_folds'] and split in _POOL
  return _POOL if pooled or (data['full'] and split == 'train') else (split,)


def _fold(
    data: Mapping[str, Any], split: str, frames: table.Table
) -> table.Table:
  """Returns the frames of the held-out fold, or those of all other folds."""
  num_folds = data['num_folds']
  recordings = len(set(labels.recording_ids(frames.videos)))
  if num_folds > recordings:
    raise errors.InputError(
        f'config.data.num_folds={num_folds}: {" and ".join(_POOL)} have only '
        f'{recordings} recordings; give at most {recordings} folds'
    )
  fold = folds.assign(
      frames.videos,
      np.diff(frames.bounds()),
      num_folds=num_folds,
      seed=data['fold_seed'],
  )
  held_out = fold == data['fold']
  return frames.only(held_out if split == 'validation' else ~held_out)


def _normalized(listed: str, names: Sequence[str]) -> list[bool] | None:
  """Returns whether to normalize each feature set; None means all."""
  if not listed:
    return None
  chosen = choices.names(names, listed, 'data.norm_features')
  return [name in chosen for name in names]
