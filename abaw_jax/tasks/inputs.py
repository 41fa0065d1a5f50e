"""Batches of a task: for training, for evaluation, and one for shapes."""

from collections.abc import Mapping
import math
from typing import Any

import jax
import jax.numpy as jnp

from abaw_jax.data import pipeline
from abaw_jax.tasks import task as task_lib


def example(task: task_lib.Task, source: Any) -> dict[str, jax.Array]:
  """Returns a batch of one empty example to train on, for its shapes."""
  return _empty(task, source[0])


def example_without_data(
    task: task_lib.Task, *, feature_dim: int = 0
) -> dict[str, jax.Array]:
  """Returns the same batch from the config alone.

  Args:
    task: of the batch.
    feature_dim: width of cached features, for tasks that read them.
  """
  return _empty(task, task.empty_record(feature_dim=feature_dim))


def num_updates(
    config: Mapping[str, Any], source: Any, epochs: float | int
) -> int:
  """Returns the number of updates of so many epochs."""
  examples = source.for_training(config['seed'])
  return round(examples.num_examples(epochs) / config['data']['batch_size'])


def epoch_ends(config: Mapping[str, Any], source: Any) -> tuple[int, ...]:
  """Returns the number of updates at the end of each epoch of a run."""
  examples = source.for_training(config['seed'])
  batch_size = config['data']['batch_size']
  return tuple(
      round(examples.num_examples(epoch + 1) / batch_size)
      for epoch in range(max(1, math.ceil(config['epochs'])))
  )


def train_batches(task: task_lib.Task, source: Any) -> pipeline.TrainBatches:
  """Returns this process's endless, checkpointable iterator of batches."""
  data = task.config['data']
  return pipeline.train_batches(
      source,
      task.transform(train=True),
      batch_size=data['batch_size'],
      seed=task.config['seed'],
      # Each worker would get a copy of data in memory.
      num_workers=0 if data['in_memory'] else data['num_workers'],
      read_threads=data['read_threads'],
      shard_index=jax.process_index(),
      shard_count=jax.process_count(),
  )


def eval_batches(task: task_lib.Task, source: Any):
  """Returns this process's batches of one pass in order, the last one padded."""
  data = task.config['data']
  return pipeline.eval_batches(
      source,
      task.transform(),
      batch_size=data['batch_size'],
      read_threads=data['read_threads'],
      shard_index=jax.process_index(),
      shard_count=jax.process_count(),
  )


def _empty(task, record) -> dict[str, jax.Array]:
  batch = task.transform(train=True)([record], rows=1)
  return jax.tree.map(jnp.zeros_like, batch)
