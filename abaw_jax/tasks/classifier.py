"""Converted weights: a backbone, alone or under a classifier. They only predict."""

from collections.abc import Mapping
import dataclasses
from typing import Any, ClassVar

from jaxtyping import Array, Float, Key

from abaw_jax.core import errors
from abaw_jax.data import image_sources, protocol
from abaw_jax.models.vision import classifier
from abaw_jax.tasks import images as image_tasks
from abaw_jax.tasks import task

Batch, Params = task.Batch, task.Params


@dataclasses.dataclass(frozen=True, kw_only=True)
class ViTClassifier(image_tasks.ImageTask):
  """A ViT of another project."""

  name: ClassVar[str] = 'vit'
  starts_from: ClassVar[tuple[str, ...]] = ('mae', 'frame', 'identity')
  has_layout: ClassVar[bool] = True

  model: classifier.Classifier

  @classmethod
  def feature_outputs(cls, model: Mapping[str, Any]) -> tuple[str, ...]:
    return ('logits',) if model.get('num_classes') else ()

  def source(self, split: str) -> protocol.Source:
    return image_sources.image_source(self.config['data'], split)

  def loss(
      self, params: Params, batch: Batch, key: Key[Array, '']
  ) -> tuple[Float[Array, ''], dict[str, Array]]:
    del params, batch, key
    raise errors.InputError(_ONLY_START.format(self.name))

  def predict(self, params: Params, batch: Batch) -> dict[str, Array]:
    """Returns the `embedding` of each image and, with classes, the `logits`."""
    return self.evaluate(params, batch['image'])

  def scores(self, rows: task.Rows) -> dict[str, float]:
    del rows
    raise errors.InputError(_ONLY_START.format(self.name))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvNetClassifier(ViTClassifier):
  """A convolutional network of another project."""

  name: ClassVar[str] = 'convnet'
  starts_from: ClassVar[tuple[str, ...]] = ('frame', 'identity')


_ONLY_START = (
    'config.model.name={}: converted weights have no loss and no score; start a '
    'frame model from them with --config.init_from'
)
