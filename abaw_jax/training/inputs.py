"""What each kind of training reads: its source, and its record transform."""

from collections.abc import Callable, Mapping
import functools
from typing import Any

import jax
import jax.numpy as jnp

from abaw_jax.data import pipeline, sources, transforms, windows

Source = sources.Records | windows.Windows


def frame_source(data: Mapping[str, Any], split: str) -> sources.Records:
  """Returns the single frames of a split."""
  return sources.Records(data['dir'], data['name'], 'frames', split)


def image_source(data: Mapping[str, Any], split: str) -> sources.Records:
  """Returns the faces of a split, without their labels."""
  return frame_source(data, split).with_fields('image', 'video', 'frame_id')


def window_source(data: Mapping[str, Any], split: str) -> windows.Windows:
  """Returns the windows of features of a split; whole videos to score on.

  Only training windows overlap: elsewhere each row must count once.
  """
  records = [
      sources.Records(data['dir'], f'{data["name"]}_features', features, split)
      for features in data['features'].split(',')
  ]
  stride = data['stride'] if split == 'train' else data['window']
  return windows.Windows(records, length=data['window'], stride=stride)


SOURCES = {
    'mae': image_source,
    'frame': frame_source,
    'temporal': window_source,
}


def make_source(config: Mapping[str, Any], split: str) -> Source:
  """Returns the random-access source that a config trains or scores on."""
  return SOURCES[config['model']['name']](config['data'], split)


def make_transform(config: Mapping[str, Any]) -> Callable[[Any], Any]:
  """Returns the function from one record of the source to one example."""
  name = config['model']['name']
  if name == 'temporal':
    return functools.partial(
        transforms.window_example, length=config['data']['window']
    )
  to_example = {
      'mae': transforms.image_example,
      'frame': transforms.frame_example,
  }[name]
  return functools.partial(to_example, image_size=config['model']['image_size'])


def example(config: Mapping[str, Any], source: Source) -> dict[str, jax.Array]:
  """Returns a batch of one empty example, for its shapes."""
  row = make_transform(config)(source[0])
  return {key: jnp.zeros_like(value)[None] for key, value in row.items()}


def train_batches(config: Mapping[str, Any], source: Source):
  """Returns this process's endless, checkpointable iterator of batches."""
  return pipeline.train_batches(
      source,
      make_transform(config),
      batch_size=config['data']['batch_size'],
      seed=config['seed'],
      num_workers=config['data']['num_workers'],
      read_threads=config['data']['read_threads'],
      shard_index=jax.process_index(),
      shard_count=jax.process_count(),
  )


def eval_batches(config: Mapping[str, Any], source: Source):
  """Returns this process's batches of one pass in order, the tail padded."""
  return pipeline.eval_batches(
      source,
      make_transform(config),
      batch_size=config['data']['batch_size'],
      read_threads=config['data']['read_threads'],
      shard_index=jax.process_index(),
      shard_count=jax.process_count(),
  )
