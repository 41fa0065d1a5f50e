"""What temporal training reads: features of whole videos, cut in one of two ways."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from abaw_jax.core import errors, folds, labels
from abaw_jax.data import sources
from abaw_jax.sequences import (
    stateful_videos,
    table,
    video_groups,
    videos,
    windows,
)

# The splits that folds are made of.
_POOL = ('train', 'validation')


def make_source(data: Mapping[str, Any], split: str) -> videos.VideoSource:
  """Returns the windows, or the videos side by side, of a split.

  With folds `train` and `validation` are parts of both splits together, and with
  `data.full` they are trained on together; the rows of validation then count on
  behind those of train.

  Args:
    data: section of a config.
    split: to read; labels are filled in only where it is `train`.

  Raises:
    InputError: a value is wrong, or the datasets differ in their rows.
  """
  _check(data)
  names = [name.strip() for name in data['features'].split(',')]
  sets = [
      [
          sources.Records(data['dir'], f'{data["name"]}_features', name, part)
          for part in _splits(data, split)
      ]
      for name in names
  ]
  frames = table.read(sets)
  if frames.conflicts and jax.process_index() == 0:
    print(
        f'{sets[0]}: {frames.conflicts} frames are listed several times with '
        'labels that differ; the first usable one of each kind counts',
        flush=True,
    )
  if data['num_folds'] and split in _POOL:
    frames = _fold(data, split, frames)
  if data['fill_labels'] and split == 'train':
    frames = frames.filled(data['fill_labels'])
  return BATCHINGS[data['batching']](
      data,
      videos.Videos(
          frames,
          sets,
          norm=data['norm'],
          normalised=_normalised(data['norm_features'], names),
      ),
  )


def _windows(data: Mapping[str, Any], source: videos.Videos) -> windows.Windows:
  return windows.Windows(
      source, length=data['window'], stride=data['stride'], tail=data['tail']
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


BATCHINGS = {'windows': _windows, 'videos': _stateful_videos}


def _check(data: Mapping[str, Any]) -> None:
  """Raises an InputError that names the key whose value is wrong."""
  for key, choices in (
      ('batching', tuple(BATCHINGS)),
      ('norm', videos.NORMS),
      ('tail', windows.TAILS),
  ):
    if data[key] not in choices:
      raise errors.InputError(
          f'config.data.{key}={data[key]}: choose one of {", ".join(choices)}'
      )
  if data['norm'] == 'batch' and data['batching'] != 'videos':
    raise errors.InputError(
        'config.data.norm=batch: is over videos that are padded side by side; '
        'set config.data.batching=videos, or norm=video'
    )
  if data['window'] < 1:
    raise errors.InputError(
        f'config.data.window={data["window"]}: give the frames of a window, at '
        'least 1'
    )
  if data['fill_labels'] < 0:
    raise errors.InputError(
        f'config.data.fill_labels={data["fill_labels"]}: give a distance in '
        'frames, or 0 to fill in none'
    )
  num_folds = data['num_folds']
  if num_folds == 1 or num_folds < 0:
    raise errors.InputError(
        f'config.data.num_folds={num_folds}: give at least 2, or 0 for the '
        'official split'
    )
  if num_folds and data['full']:
    raise errors.InputError(
        f'config.data.full: trains on every video, and config.data.num_folds='
        f'{num_folds} leaves a fold out; set one of them'
    )
  if num_folds and not 0 <= data['fold'] < num_folds:
    raise errors.InputError(
        f'config.data.fold={data["fold"]}: there are folds 0 to '
        f'{num_folds - 1} (config.data.num_folds={num_folds})'
    )


def _splits(data: Mapping[str, Any], split: str) -> tuple[str, ...]:
  """Returns the splits of the dataset that a split of the config is made of."""
  pooled = data['num_folds'] and split in _POOL
  return _POOL if pooled or (data['full'] and split == 'train') else (split,)


def _fold(
    data: Mapping[str, Any], split: str, frames: table.Table
) -> table.Table:
  """Returns the fold that is left out, or all others to train on."""
  num_folds = data['num_folds']
  recordings = len(set(labels.recording_ids(frames.videos)))
  if num_folds > recordings:
    raise errors.InputError(
        f'config.data.num_folds={num_folds}: {" and ".join(_POOL)} have only '
        f'{recordings} videos; give at most as many folds'
    )
  fold = folds.assign(
      frames.videos,
      np.diff(frames.bounds()),
      num_folds=num_folds,
      seed=data['fold_seed'],
  )
  left_out = fold == data['fold']
  return frames.only(left_out if split == 'validation' else ~left_out)


def _normalised(listed: str, names: Sequence[str]) -> list[bool] | None:
  """Returns for each set of features whether it is normalised; None: all."""
  if not listed:
    return None
  chosen = [name.strip() for name in listed.split(',')]
  for name in chosen:
    if name not in names:
      raise errors.InputError(
          f'config.data.norm_features={listed}: {name!r} is not one of '
          f'config.data.features={",".join(names)}'
      )
  return [name in chosen for name in names]
