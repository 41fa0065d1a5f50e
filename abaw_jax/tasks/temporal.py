"""The task of a temporal model: windows of cached features."""

from collections.abc import Mapping
import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree

from abaw_jax.models.layers import variables
from abaw_jax.models.multi_task import feedback as feedbacks
from abaw_jax.models.multi_task import frameworks
from abaw_jax.steps import optimizers
from abaw_jax.tasks import loss_weighting, multi_task_loss

Batch = Mapping[str, PyTree[Array]]
Params = PyTree[Array]

# The running statistics of a balance of losses, beside those of the model.
_BALANCE = 'loss_balance'


@dataclasses.dataclass(frozen=True)
class TemporalTask:
  """All labels of every frame of a window of cached features.

  Attributes:
    model: the network.
    loss_fn: the tasks' losses; those of the trained ones count.
    balance: adds them up.
    l2: times the sum of squares of the kernels of linear heads, added to the
      loss.
    carried: whether the state of the encoder goes from batch to batch, row by
      row, as `carry` of a batch and of what `loss` and `predict` return.
    epochs: of the whole training, by the end of which `truth_decay` ends.
  """

  score: ClassVar[str] = 'score'
  best: ClassVar[str] = 'max'
  unit: ClassVar[str] = 'frames'

  model: frameworks.TemporalModel
  loss_fn: multi_task_loss.MultiTaskLoss
  balance: loss_weighting.Fixed
  l2: float = 0.0
  carried: bool = False
  epochs: float | int = 1.0

  def init(self, key: Key[Array, ''], batch: Batch) -> Params:
    params = variables.init(
        self.model,
        key,
        batch['features'][:1],
        batch['frame_mask'][:1],
        self.model.initial_carry(1),
        frame_id=batch['frame_id'][:1],
    )
    learned, statistics = self.balance.init(jax.random.fold_in(key, 1))
    if learned:
      params[optimizers.LOSS_WEIGHTS] = learned
    if statistics:
      params[variables.STATISTICS] |= {_BALANCE: statistics}
    return params

  def loss(
      self, params: Params, batch: Batch, key: Key[Array, '']
  ) -> tuple[Float[Array, ''], dict[str, Any]]:
    """Returns (balanced sum of the tasks' losses, scalars to log).

    Beside the scalars stand moved `batch_stats`, and the next `carry`.
    """
    epoch = _epoch(batch)
    (output, carry), moved = self._apply(
        params,
        batch,
        train=True,
        rngs={'dropout': key},
        **self._truth(batch, epoch),
    )
    length = batch.get('window_length')
    if length is not None:
      # Rows that only fill up the batch are in no mean.
      length = jnp.where(batch['real'], length, 0)
    _, parts = self.loss_fn(output, batch, window_length=length)
    statistics = params[variables.STATISTICS].get(_BALANCE, {})
    total, statistics = self.balance(
        parts,
        {task: jnp.any(batch[feedbacks.MASKS[task]]) for task in parts},
        epoch,
        params.get(optimizers.LOSS_WEIGHTS, {}),
        statistics,
    )
    if self.l2:
      total += self.l2 * self._squares(params)
    if statistics:
      moved[variables.STATISTICS] |= {_BALANCE: statistics}
    return total, {'loss': total} | parts | moved | self._carried(carry)

  def predict(self, params: Params, batch: Batch) -> dict[str, PyTree[Array]]:
    """Returns a `labels.Output` per frame, with the next `carry`."""
    (output, carry), _ = self._apply(params, batch, train=False)
    return output | self._carried(carry)

  def _apply(self, params, batch, *, train, **options):
    carry = batch.get('carry') if self.carried else None
    if carry is None:
      carry = self.model.initial_carry(batch['features'].shape[0])
    return variables.apply(
        self.model,
        params,
        batch['features'],
        batch['frame_mask'],
        carry,
        train=train,
        frame_id=batch['frame_id'],
        window_length=batch.get('window_length'),
        **options,
    )

  def _squares(self, params) -> Float[Array, '']:
    """Returns the sum of squares of the kernels of trained linear heads."""
    tasks = set(self.model.linear) & set(self.model.trained)
    kernels = [params[task]['head']['out']['kernel'] for task in sorted(tasks)]
    return sum((jnp.sum(jnp.square(x)) for x in kernels), jnp.float32(0.0))

  def _carried(self, carry):
    return {'carry': carry} if self.carried and carry else {}

  def _truth(self, batch, epoch) -> dict[str, Any]:
    """Returns the labels that are fed back in training, and how many of them."""
    feedback = self.model.feedback
    if not feedback or feedback.kind != 'label' or not feedback.truth_rate:
      return {}
    rate = jnp.float32(feedback.truth_rate)
    if feedback.truth_decay:
      # Reference: AIM3-RUC, which counts epochs from 1.
      rate *= jnp.maximum(1.0 - (epoch + 1) / self.epochs, 0.0)
    names = (*feedbacks.MASKS, *feedbacks.MASKS.values())
    truth = {name: batch[name] for name in names}
    return {'truth': truth, 'truth_rate': rate}


def _epoch(batch: Batch) -> Int[Array, '']:
  """Returns the epoch of the update, from 0; the same in every row."""
  return batch['epoch'][0] if 'epoch' in batch else jnp.int32(0)
