"""The task of a static model: one image at a time."""

from collections.abc import Mapping
import dataclasses
import functools
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from abaw_jax.augmentation import mixup
from abaw_jax.core import choices, errors
from abaw_jax.data import image_sources, pipeline, protocol, transforms
from abaw_jax.models.layers import variables
from abaw_jax.models.multi_task import frame_model, heads
from abaw_jax.tasks import images as image_tasks
from abaw_jax.tasks import multi_task, task

Batch, Params = task.Batch, task.Params


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrameTask(multi_task.LabelTask, image_tasks.ImageTask):
  """All labels of one image at a time.

  Attributes:
    mixup: strength of mixed images; 0 turns them off.
    mixing: one of `mixup.METHODS`.
    draw_expressions: whether each image gets one expression, drawn from its
      `expression_probs` at every step.
  """

  name: ClassVar[str] = 'frame'
  starts_from: ClassVar[tuple[str, ...]] = (
      'mae', 'vit', 'convnet', 'identity',
  )  # fmt: skip

  model: frame_model.FrameModel
  mixup: float
  mixing: str = 'mixup'
  draw_expressions: bool = False

  @classmethod
  def options(cls, config: Mapping[str, Any]) -> dict[str, Any]:
    targets = config['data']['expression_targets'] if 'data' in config else ''
    return {
        'loss_fn': cls.make_loss(config),
        'mixup': config['loss']['mixup'],
        'mixing': _mixing(config['loss']),
        'draw_expressions': targets == 'probability',
    }

  @classmethod
  def feature_outputs(cls, model: Mapping[str, Any]) -> tuple[str, ...]:
    del model
    return tuple(heads.TASK_DIMS)

  def source(self, split: str) -> protocol.Source:
    return image_sources.frame_source(self.config['data'], split)

  def transform(self, *, train: bool = False) -> pipeline.Transform:
    targets = self.config['data']['expression_targets']
    return functools.partial(
        transforms.frame_batch,
        **image_tasks.decoding(self.config),
        probs=train and targets != 'majority',
    )

  def empty_record(self, *, feature_dim: int = 0) -> Mapping[str, Any]:
    row = {k: v[0] for k, v in multi_task.empty_labels(1).items()}
    return row | dict(super().empty_record(feature_dim=feature_dim))

  def loss(
      self, params: Params, batch: Batch, key: Key[Array, '']
  ) -> tuple[Float[Array, ''], dict[str, Array]]:
    """Returns (weighted sum of the tasks' losses, scalars to log)."""
    image_key, drop_key, mixup_key, label_key = jax.random.split(key, 4)
    images = self.augmentation.train(image_key, batch['image'])
    if self.mixup:
      images, share = mixup.mix(
          mixup_key, images, method=self.mixing, alpha=self.mixup
      )
    output, moved = variables.apply(
        self.model, params, images, train=True, rngs={'dropout': drop_key}
    )

    if self.draw_expressions:
      drawn = _draw_expressions(label_key, batch['expression_probs'])
      batch = {**batch, 'expression_probs': drawn}

    if not self.mixup:
      total, parts = self.compare(output, batch)
    elif self.mixing == 'mixaugment':
      own, mixed = (
          jax.tree.map(lambda x, i=i: _pairs(x)[:, i], output) for i in (0, 1)
      )
      total, parts = jax.tree.map(
          jnp.add, self.compare(own, batch), self._blended(mixed, batch, share)
      )
    else:
      total, parts = self._blended(output, batch, share)
    return total, {'loss': total} | parts | moved

  def _blended(self, output, batch, share):
    """Returns `compare` on the labels of both images of a mix."""
    return mixup.blend_losses(
        lambda batch: self.compare(output, batch), batch, share
    )

  def flops(self, batch: Batch) -> int:
    both = self.mixup and self.mixing == 'mixaugment'
    return (2 if both else 1) * super().flops(batch)

  def compare(
      self, output: Batch, batch: Batch
  ) -> tuple[Float[Array, ''], dict[str, Array]]:
    """Returns (weighted sum of the tasks' losses, scalars to log).

    Args:
      output: output of the model.
      batch: labels and masks.
    """
    return self.loss_fn(output, batch)

  def predict(self, params: Params, batch: Batch) -> dict[str, Array]:
    """Returns a `labels.Output` with the `embedding` of each image."""
    return self.evaluate(params, batch['image'])


def _pairs(x: Array) -> Array:
  """Returns an array [2b, ...] as pairs [b, 2, ...]."""
  return x.reshape(-1, 2, *x.shape[1:])


def _mixing(section: Mapping[str, Any]) -> str:
  """Returns the kind of mixed images of a `loss` section."""
  mixing = section.get('mixing', 'mixup')  # older configs have none
  choices.choose(dict.fromkeys(mixup.METHODS), mixing, 'loss.mixing')
  if mixing != 'mixup' and not section['mixup']:
    raise errors.InputError(
        f'config.loss.mixing={mixing}: config.loss.mixup is 0, so no images are '
        'mixed; give --config.loss.mixup=ALPHA, such as 1.0'
    )
  return mixing


def _draw_expressions(
    key: Key[Array, ''], probs: Float[Array, 'b k']
) -> Float[Array, 'b k']:
  """Returns one drawn class per row, one-hot; any class for a row of zeros."""
  drawn = jax.random.categorical(key, jnp.log(probs), axis=-1)
  return jax.nn.one_hot(drawn, probs.shape[-1])
