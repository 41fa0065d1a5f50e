"""The task of a static model: one image at a time."""

from collections.abc import Mapping
import dataclasses
from typing import ClassVar

import jax
from jaxtyping import Array, Float, Key, PyTree

from abaw_jax.models import frameworks, variables
from abaw_jax.training import augment, losses, mixup

Batch = Mapping[str, Array]
Params = PyTree[Array]


@dataclasses.dataclass(frozen=True)
class FrameTask:
  """All labels of one image at a time."""

  score: ClassVar[str] = 'P_MTL'
  best: ClassVar[str] = 'max'
  unit: ClassVar[str] = 'images'

  model: frameworks.FrameModel
  augmentation: augment.Augmentation
  weights: dict[str, float]
  va_loss: str
  mixup: float

  def init(self, key: Key[Array, ''], batch: Batch) -> Params:
    images = self.augmentation.evaluate(batch['image'][:1])
    return variables.init(self.model, key, images)

  def loss(
      self, params: Params, batch: Batch, key: Key[Array, '']
  ) -> tuple[Float[Array, ''], dict[str, Array]]:
    """Returns (weighted sum of the tasks' losses, scalars to log)."""
    image_key, drop_key, mixup_key = jax.random.split(key, 3)
    images = self.augmentation.train(image_key, batch['image'])
    if self.mixup:
      share = mixup.draw_share(mixup_key, self.mixup)
      images = mixup.blend(images, share)
    output, moved = variables.apply(
        self.model, params, images, train=True, rngs={'dropout': drop_key}
    )

    def loss(batch):
      return losses.multi_task_loss(
          output, batch, weights=self.weights, va_loss=self.va_loss
      )

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
