"""Where model, labels and loss meet: one task per kind of training.

A task is pure: `init` makes parameters, `loss` is differentiated by the step and
`predict` is what evaluation runs. Augmentation belongs to the loss because it
runs on the device, inside the jitted step. `score` is the evaluation's key that
decides which checkpoint is best, `best` whether more or less of it is, and
`unit` is what a row of its batches is called.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any, ClassVar, Protocol, runtime_checkable

from jaxtyping import Array, Float, Key, PyTree

from abaw_jax.augmentation import augment
from abaw_jax.core import choices, errors
from abaw_jax.data import label_counts
from abaw_jax.models import zoo
from abaw_jax.models.multi_task import heads
from abaw_jax.models.vision import convnets
from abaw_jax.tasks import (
    frame,
    identity,
    loss_weighting,
    mae,
    multi_task_loss,
    temporal,
)

Batch = Mapping[str, PyTree[Array]]
Params = PyTree[Array]


@runtime_checkable
class Task(Protocol):
  """What the steps, the loop and evaluation ask of a task."""

  score: ClassVar[str]
  best: ClassVar[str]
  unit: ClassVar[str]

  def init(self, key: Key[Array, ''], batch: Batch) -> Params:
    """Returns new parameters for batches of this shape."""

  def loss(
      self, params: Params, batch: Batch, key: Key[Array, '']
  ) -> tuple[Float[Array, ''], dict[str, Array]]:
    """Returns (what training makes small, scalars to log).

    Beside the scalars stand the moved `batch_stats` of a model that has them, and
    the next `carry`, which a batch then brings along.
    """

  def predict(self, params: Params, batch: Batch) -> dict[str, PyTree[Array]]:
    """Returns one value or vector per row of the batch, by name."""


TASKS: dict[str, Any] = {
    'mae': mae.MAETask,
    'frame': frame.FrameTask,
    'identity': identity.IdentityTask,
    'temporal': temporal.TemporalTask,
}


def make_task(
    config: Mapping[str, Any],
    *,
    counts: label_counts.LabelCounts | None = None,
) -> Task:
  """Returns the task of a config's `model`, `augment` and `loss` sections.

  `counts` are of the training labels; without them losses weigh all the same,
  which only training sees.
  """
  task = choices.choose(TASKS, config['model']['name'], 'model.name')
  model = zoo.make_model(**config['model'])
  sections = {}
  if 'augment' in config:
    sections['augmentation'] = augment.Augmentation(
        size=config['model']['image_size'], **config['augment']
    )
  if 'loss' in config:
    sections |= _losses(config, counts)
  if _holds_statistics(config):
    model = model.clone(backbone=convnets.freeze(model.backbone))
  return task(model, **sections)


def _losses(config: Mapping[str, Any], counts) -> dict[str, Any]:
  """Returns what a task takes of the `loss` section."""
  section = config['loss']
  if config['model']['name'] not in ('frame', 'temporal'):
    return section
  options = {key: section[key] for key in multi_task_loss.KEYS}
  taken = {k: v for k, v in section.items() if k not in options}
  taken['loss_fn'] = multi_task_loss.make(**options, counts=counts)
  if config['model']['name'] == 'frame':
    targets = config['data']['expression_targets']
    taken['draw_expressions'] = targets == 'probability'
    return taken
  trained = choices.names(
      heads.TASK_DIMS, config['model']['tasks'], 'model.tasks'
  )
  loss_fn = taken['loss_fn']
  weights = {k: v for k, v in loss_fn.weights.items() if k in trained}
  if taken['l2'] < 0:
    raise errors.InputError(f'config.loss.l2={taken["l2"]}: give 0 or more')
  return {
      'l2': taken['l2'],
      'loss_fn': dataclasses.replace(loss_fn, weights=weights),
      'balance': loss_weighting.make(
          taken['balance'], weights=weights, least_loss=taken['least_loss']
      ),
      'carried': config['data']['batching'] == 'videos',
      'epochs': config['epochs'],
  }


def _holds_statistics(config: Mapping[str, Any]) -> bool:
  """Returns whether a frozen backbone has statistics that must not move."""
  return (
      zoo.is_convnet(config['model'])
      and config['optim']['freeze'] == 'backbone'
      and not config['optim']['move_frozen_statistics']
  )
