"""What each kind of training reads: its source, and how that becomes batches."""

from collections.abc import Mapping
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float
import numpy as np

from abaw_jax.core import errors
from abaw_jax.data import (
    image_sources,
    label_counts,
    mixture,
    pipeline,
    sources,
    transforms,
)
from abaw_jax.sequences import sources as sequences
from abaw_jax.sequences import stateful_videos, windows
from abaw_jax.tasks import multi_task_loss

Source = sources.Records | mixture.Mixture | sequences.Sequences

SOURCES = {
    'mae': image_sources.image_source,
    'frame': image_sources.frame_source,
    'identity': image_sources.identity_source,
    'temporal': sequences.make_source,
}


def make_source(config: Mapping[str, Any], split: str) -> Source:
  """Returns the random-access source that a config trains or scores on."""
  return SOURCES[config['model']['name']](config['data'], split)


def fill_classes(config: dict[str, Any]) -> None:
  """Sets `model.num_classes` of an identity model where it is 0.

  It becomes the number of people in the training split.

  Args:
    config: plain dict of an experiment, its dataset resolved.

  Raises:
    InputError: it is given, but there are more people.
  """
  model = config['model']
  if model['name'] != 'identity':
    return
  people = make_source(config, 'train').num_groups
  model['num_classes'] = model['num_classes'] or people
  if model['num_classes'] < people:
    raise errors.InputError(
        f'config.model.num_classes={model["num_classes"]}: '
        f'{config["data"]["name"]} trains on {people} people; give as many, or '
        '0 to have them counted'
    )


def face_size(config: Mapping[str, Any]) -> int:
  """Returns the side in pixels at which images reach the device.

  Raises:
    InputError: it is negative.
  """
  size = config['data']['face_size']
  if size < 0:
    raise errors.InputError(
        f'config.data.face_size={size}: give a side in pixels, or 0 for that of '
        'config.model.image_size'
    )
  return size or config['model']['image_size']


def make_transform(
    config: Mapping[str, Any], *, train: bool = False
) -> pipeline.Transform:
  """Returns the function from records of the source, and `rows`, to a batch.

  Only batches to train on have what `data.expression_targets` asks for.
  """
  name = config['model']['name']
  if name == 'temporal':
    length = config['data']['window']
    return functools.partial(transforms.window_batch, length=length)
  to_batch = {
      'mae': transforms.image_batch,
      'frame': transforms.frame_batch,
      'identity': transforms.identity_batch,
  }[name]
  to_batch = functools.partial(to_batch, image_size=face_size(config))
  if name != 'frame' or not train:
    return to_batch
  probs = config['data']['expression_targets'] != 'majority'
  return functools.partial(to_batch, probs=probs)


def example(config: Mapping[str, Any], source: Source) -> dict[str, jax.Array]:
  """Returns a batch of one empty example to train on, for its shapes."""
  batch = make_transform(config, train=True)([source[0]], rows=1)
  return jax.tree.map(jnp.zeros_like, batch)


def make_label_counts(
    config: Mapping[str, Any], source: Source
) -> label_counts.LabelCounts | None:
  """Returns the counts of a source's labels; None where no loss needs them."""
  name = config['model']['name']
  if name not in ('frame', 'temporal') or not multi_task_loss.needs_counts(
      config['loss']
  ):
    return None
  if name == 'temporal':
    return label_counts.LabelCounts.of([source.videos.table.columns])
  return label_counts.LabelCounts.of(source.with_fields(*label_counts.FIELDS))


def feature_statistics(
    config: Mapping[str, Any], source: sequences.Sequences
) -> tuple[Float[np.ndarray, 'd'], Float[np.ndarray, 'd']] | None:
  """Returns (mean, std) that the model normalises by, float64.

  Of every frame of the source, read once; None where `data.norm` is not `train`.
  """
  if config['data']['norm'] != 'train':
    return None
  return source.videos.train_statistics()


def num_updates(
    config: Mapping[str, Any], source: Source, epochs: float | int
) -> int:
  """Returns the updates of so many epochs: exactly, of whole videos."""
  if isinstance(source, stateful_videos.Lanes):
    return source.shuffled(config['seed']).num_updates(epochs)
  return round(epochs * len(source) / config['data']['batch_size'])


def epoch_ends(config: Mapping[str, Any], source: Source) -> tuple[int, ...]:
  """Returns the updates done at the end of each epoch of a run, in order."""
  count = max(1, math.ceil(config['epochs']))
  return tuple(num_updates(config, source, i + 1) for i in range(count))


def train_batches(config: Mapping[str, Any], source: Source):
  """Returns this process's endless, checkpointable iterator of batches."""
  if config['model']['name'] == 'frame':
    source = image_sources.balanced(config['data'], source)
  return pipeline.train_batches(
      source,
      make_transform(config, train=True),
      batch_size=config['data']['batch_size'],
      seed=config['seed'],
      num_workers=config['data']['num_workers'],
      read_threads=config['data']['read_threads'],
      shard_index=jax.process_index(),
      shard_count=jax.process_count(),
  )


def eval_batches(config: Mapping[str, Any], source: Source):
  """Returns this process's batches of one pass in order, the tail padded.

  Windows of training may overlap; here each frame comes once.
  """
  if isinstance(source, windows.Windows):
    source = source.once()
  return pipeline.eval_batches(
      source,
      make_transform(config),
      batch_size=config['data']['batch_size'],
      read_threads=config['data']['read_threads'],
      shard_index=jax.process_index(),
      shard_count=jax.process_count(),
  )
