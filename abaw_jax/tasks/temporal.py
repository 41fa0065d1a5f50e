"""The task of a temporal model: windows of cached features."""

from collections.abc import Iterable, Mapping, Sequence
import dataclasses
import functools
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree
import numpy as np

from abaw_jax.core import choices, errors, labels
from abaw_jax.data import label_counts, pipeline, protocol, transforms
from abaw_jax.models import zoo
from abaw_jax.models.layers import variables
from abaw_jax.models.multi_task import heads, temporal_model
from abaw_jax.models.temporal import window_context
from abaw_jax.sequences import sources
from abaw_jax.tasks import loss_weighting, multi_task, multi_task_loss, task

Batch, Params = task.Batch, task.Params

# Running statistics of the loss weighting, next to those of the model.
_WEIGHTING = 'loss_weighting'


@dataclasses.dataclass(frozen=True, kw_only=True)
class TemporalTask(multi_task.LabelTask):
  """All labels of every frame of a window of cached features.

  Attributes:
    weighting: sums the weighted losses of the trained tasks.
    l2: factor of the sum of squares of the kernels of linear heads, which is
      added to the loss.
    carried: whether the hidden state of the encoder goes from batch to batch,
      row by row, as `carry` of a batch and of the results of `loss` and
      `predict`.
    epochs: length of the training, at whose end `truth_decay` reaches 0.
  """

  name: ClassVar[str] = 'temporal'
  unit: ClassVar[str] = 'frames'
  default_data: ClassVar[str] = 'features'
  backbone: ClassVar[str] = 'encoder'
  scored_fields: ClassVar[tuple[str, ...]] = (
      *multi_task.LabelTask.scored_fields, 'frame_mask',
  )  # fmt: skip

  model: temporal_model.TemporalModel
  weighting: loss_weighting.Fixed
  l2: float = 0.0
  carried: bool = False
  epochs: float | int = 1.0

  @classmethod
  def from_config(cls, config: Mapping[str, Any]) -> task.Task:
    section, loss_fn = config['loss'], cls.make_loss(config)
    return cls(
        config=config,
        model=zoo.make_model(**config['model']),
        loss_fn=loss_fn,
        weighting=_make_weighting(section, loss_fn),
        l2=section['l2'],
        carried=config['data']['batching'] == 'stateful_videos',
        epochs=config['epochs'],
    )

  @classmethod
  def make_loss(
      cls,
      config: Mapping[str, Any],
      counts: label_counts.LabelCounts | None = None,
  ) -> multi_task_loss.MultiTaskLoss:
    """Returns the loss of the tasks that `config.model.tasks` trains."""
    loss_fn = super().make_loss(config, counts)
    trained = choices.names(
        heads.TASK_DIMS, config['model']['tasks'], 'model.tasks'
    )
    weights = {k: v for k, v in loss_fn.weights.items() if k in trained}
    return dataclasses.replace(loss_fn, weights=weights)

  def fitted(self, source: Any) -> task.Task:
    found = super().fitted(source)
    weighting = _make_weighting(self.config['loss'], found.loss_fn)
    return dataclasses.replace(found, weighting=weighting)

  def source(self, split: str) -> protocol.Source:
    return sources.make_source(self.config['data'], split)

  def transform(self, *, train: bool = False) -> pipeline.Transform:
    del train
    return functools.partial(
        transforms.window_batch, length=self.config['data']['window']
    )

  def in_memory(
      self, source: Any, *, shard_index: int = 0, shard_count: int = 1
  ) -> Any:
    del shard_index, shard_count  # features are small: each host holds all
    return source

  def empty_record(self, *, feature_dim: int = 0) -> Mapping[str, Any]:
    """Returns a window; one of the dataset, if there is one, without a width."""
    data = self.config['data']
    if data['dir'] and not feature_dim:
      return self.source('train')[0]
    if not feature_dim:
      raise errors.InputError(
          'the width of the features is not known: give --feature_dim=D, or '
          'the folder of a built dataset, --config.data.dir=DATA_DIR'
      )
    length = data['window']
    return multi_task.empty_labels(length) | {
        'features': np.zeros((length, feature_dim), np.float32),
        'frame_id': np.zeros(length, np.int32),
        'video': '',
        'video_id': np.int32(0),
        'start': np.True_,
        'window_length': np.int32(length),
        'real': np.True_,
    }

  def label_records(
      self, source: Any, fields: Sequence[str]
  ) -> Iterable[Mapping[str, Any]]:
    del fields  # the table of all frames is in memory
    return [source.videos.table.columns]

  def labelled_videos(self, source: Any) -> list[str]:
    frames = source.videos.table
    masks = [frames.columns[name] for name in label_counts.MASKS]
    known = np.column_stack(masks).any(axis=-1)
    return [frames.videos[i] for i in np.unique(frames.video_id[known])]

  def statistics(self, source: Any) -> dict[str, Any]:
    """Returns mean and standard deviation of every feature of the source.

    Empty where `data.norm` is not `train`. Reads every frame once.
    """
    if self.config['data']['norm'] != 'train':
      return {}
    mean, std = source.videos.train_statistics()
    return {'feature_norm': {'mean': mean, 'std': std}}

  def carry(self) -> PyTree[Array]:
    if not self.carried:
      return {}
    return self.model.initial_carry(self.config['data']['batch_size'])

  def init(self, key: Key[Array, ''], batch: Batch) -> Params:
    params = variables.init(
        self.model,
        key,
        batch['features'][:1],
        window_context.WindowContext(
            batch['frame_mask'][:1], batch['frame_id'][:1]
        ),
        self.model.initial_carry(1),
    )
    learned, statistics = self.weighting.init(jax.random.fold_in(key, 1))
    if learned:
      params[task.LOSS_WEIGHTS] = learned
    if statistics:
      params[variables.STATISTICS] |= {_WEIGHTING: statistics}
    return params

  def loss(
      self, params: Params, batch: Batch, key: Key[Array, '']
  ) -> tuple[Float[Array, ''], dict[str, Any]]:
    """Returns (weighted sum of the tasks' losses, scalars to log).

    The scalars also hold the new `batch_stats` and the next `carry`.
    """
    epoch = _epoch(batch)
    (output, carry), moved = self._apply(
        params,
        batch,
        self._context(batch)._replace(**self._truth(batch, epoch)),
        train=True,
        rngs={'dropout': key},
    )
    length = batch.get('window_length')
    if length is not None:
      # Padding rows must not count in a mean.
      length = jnp.where(batch['real'], length, 0)
    _, parts = self.loss_fn(output, batch, window_length=length)
    statistics = params[variables.STATISTICS].get(_WEIGHTING, {})
    total, statistics = self.weighting(
        parts,
        {name: jnp.any(batch[labels.MASKS[name]]) for name in parts},
        epoch,
        params.get(task.LOSS_WEIGHTS, {}),
        statistics,
    )
    if self.l2:
      total += self.l2 * self._squares(params)
    if statistics:
      moved[variables.STATISTICS] |= {_WEIGHTING: statistics}
    return total, {'loss': total} | parts | moved | self._carried(carry)

  def predict(self, params: Params, batch: Batch) -> dict[str, PyTree[Array]]:
    """Returns a `labels.Output` per frame, with the next `carry`."""
    (output, carry), _ = self._apply(
        params, batch, self._context(batch), train=False
    )
    return output | self._carried(carry)

  def _context(self, batch) -> window_context.WindowContext:
    return window_context.WindowContext(
        batch['frame_mask'], batch['frame_id'], batch.get('window_length')
    )

  def _apply(self, params, batch, context, **options):
    carry = batch.get('carry') if self.carried else None
    if carry is None:
      carry = self.model.initial_carry(batch['features'].shape[0])
    return variables.apply(
        self.model,
        params,
        batch['features'],
        context,
        carry,
        **options,
    )

  def _squares(self, params) -> Float[Array, '']:
    """Returns the sum of squares of the kernels of trained linear heads."""
    tasks = set(self.model.linear_heads) & set(self.model.tasks)
    kernels = [params[name]['head']['out']['kernel'] for name in sorted(tasks)]
    return sum((jnp.sum(jnp.square(x)) for x in kernels), jnp.float32(0.0))

  def _carried(self, carry):
    return {'carry': carry} if self.carried and carry else {}

  def _truth(self, batch, epoch) -> dict[str, Any]:
    """Returns the labels that are fed back in training, and their rate."""
    feedback = self.model.feedback
    if not feedback or feedback.kind != 'label' or not feedback.truth_rate:
      return {}
    rate = jnp.float32(feedback.truth_rate)
    if feedback.truth_decay:
      # Reference: AIM3-RUC, which counts epochs from 1.
      rate *= jnp.maximum(1.0 - (epoch + 1) / self.epochs, 0.0)
    names = (*labels.MASKS, *labels.MASKS.values())
    truth = {name: batch[name] for name in names}
    return {'truth': truth, 'truth_rate': rate}


def _make_weighting(
    section: Mapping[str, Any], loss_fn: multi_task_loss.MultiTaskLoss
) -> loss_weighting.Fixed:
  return loss_weighting.make(
      section['weighting'],
      weights=loss_fn.weights,
      least_loss=section['least_loss'],
  )


def _epoch(batch: Batch) -> Int[Array, '']:
  """Returns the epoch of the update, from 0; the same in every row."""
  return batch['epoch'][0] if 'epoch' in batch else jnp.int32(0)
