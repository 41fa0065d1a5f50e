"""The task of a static model: one image at a time."""

from collections.abc import Mapping
import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from abaw_jax.augmentation import augment, mixup
from abaw_jax.models.layers import variables
from abaw_jax.models.multi_task import frameworks
from abaw_jax.tasks import multi_task_loss

Batch = Mapping[str, Array]
Params = PyTree[Array]


@dataclasses.dataclass(frozen=True)
class FrameTask:
  """All labels of one image at a time.

  Attributes:
    model: maps normalised images to all outputs.
    augmentation: what happens to images on the device.
    loss_fn: compares outputs with labels.
    mixup: how strongly images are blended, 0 = not.
    draw_expressions: whether each image is given one expression, drawn from its
      `expression_probs` anew each time.
  """

  score: ClassVar[str] = 'score'
  best: ClassVar[str] = 'max'
  unit: ClassVar[str] = 'images'

  model: frameworks.FrameModel
  augmentation: augment.Augmentation
  loss_fn: multi_task_loss.MultiTaskLoss
  mixup: float
  draw_expressions: bool = False

  def init(self, key: Key[Array, ''], batch: Batch) -> Params:
    images = self.augmentation.evaluate(batch['image'][:1])
    return variables.init(self.model, key, images)

  def loss(
      self, params: Params, batch: Batch, key: Key[Array, '']
  ) -> tuple[Float[Array, ''], dict[str, Array]]:
    """Returns (weighted sum of the tasks' losses, scalars to log)."""
    image_key, drop_key, mixup_key, label_key = jax.random.split(key, 4)
    images = self.augmentation.train(image_key, batch['image'])
    if self.mixup:
      share = mixup.draw_share(mixup_key, self.mixup)
      images = mixup.blend(images, share)
    output, moved = variables.apply(
        self.model, params, images, train=True, rngs={'dropout': drop_key}
    )

    if self.draw_expressions:
      drawn = _draw_expressions(label_key, batch['expression_probs'])
      batch = {**batch, 'expression_probs': drawn}

    def loss(batch):
      return self.loss_fn(output, batch)

    if self.mixup:
      total, parts = mixup.blend_losses(loss, batch, share)
    else:
      total, parts = loss(batch)
    return total, {'loss': total} | parts | moved

  def predict(self, params: Params, batch: Batch) -> dict[str, Array]:
    """Returns a `labels.Output` with the `embedding` of each image."""
    images = self.augmentation.evaluate(batch['image'])
    output, _ = variables.apply(self.model, params, images, train=False)
    return output


def _draw_expressions(
    key: Key[Array, ''], probs: Float[Array, 'b k']
) -> Float[Array, 'b k']:
  """Returns one class of each row, with probability 1; any for a row of 0."""
  drawn = jax.random.categorical(key, jnp.log(probs), axis=-1)
  return jax.nn.one_hot(drawn, probs.shape[-1])
