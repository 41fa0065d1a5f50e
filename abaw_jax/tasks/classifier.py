"""Converted weights: a backbone, alone or under a classifier. They only predict."""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from abaw_jax.core import errors, files, labels
from abaw_jax.data import image_sources, protocol
from abaw_jax.models.vision import classifier
from abaw_jax.tasks import frame, task
from abaw_jax.tasks import images as image_tasks

_BATCH_SIZE = 64  # of a folder of weights

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


@dataclasses.dataclass(frozen=True, kw_only=True)
class ZeroShotTask(frame.FrameTask):
  """Expressions, and valence and arousal if the classifier has them.

  The logit of Contempt is left out. The probability of Other, which the classifier
  does not know, is 0. There are no action units.

  Attributes:
    order: names of the classifier's outputs.
  """

  name: ClassVar[str] = 'zero_shot'
  starts_from: ClassVar[tuple[str, ...]] = ()

  model: classifier.Classifier
  loss_fn: None = None
  order: tuple[str, ...]

  @classmethod
  def make_model(cls, section: Mapping[str, Any]) -> classifier.Classifier:
    return super().make_model(section | {'name': 'convnet'})

  @classmethod
  def options(cls, config: Mapping[str, Any]) -> dict[str, Any]:
    return {'mixup': 0.0, 'order': config['outputs']}

  def loss(
      self, params: Params, batch: Batch, key: Key[Array, '']
  ) -> tuple[Float[Array, ''], dict[str, Array]]:
    del params, batch, key
    raise errors.InputError(_ONLY_START.format(self.name))

  def predict(self, params: Params, batch: Batch) -> dict[str, Array]:
    """Returns a `labels.Output` without action units."""
    logits = self.evaluate(params, batch['image'])['logits']
    va = {
        name: logits[:, self.order.index(name)]
        for name in ('valence', 'arousal')
        if name in self.order
    }
    return va | {'expression': gather(logits, self.order, labels.EXPRESSIONS)}


def gather(
    logits: Float[Array, 'b n'], order: Sequence[str], wanted: Sequence[str]
) -> Float[Array, 'b k']:
  """Returns the logits of the wanted classes; -inf for a class without a logit.

  Args:
    logits: of a classifier.
    order: names of its outputs.
    wanted: names of classes, such as `labels.EXPRESSIONS`, or those of
      `labels.NATIVE_EXPRESSIONS['lsd']`.
  """
  positions = jnp.array(labels.positions(order, wanted))
  return jnp.where(positions >= 0, logits[:, positions], -jnp.inf)


def complete(
    config: Mapping[str, Any], order: tuple[str, ...], data: files.Path
) -> dict[str, Any]:
  """Returns the config of a folder of weights as one that predicts a dataset.

  Args:
    config: sections `model` and `augment` of a converted classifier.
    order: names of its outputs.
    data: `<data_dir>/<dataset>` to predict.

  Raises:
    InputError: the classifier lacks an expression.
  """
  lacking = [x for x in labels.EXPRESSIONS[:-1] if x not in order]
  if lacking:
    raise errors.InputError(
        f'the classifier has no output for {", ".join(lacking)}; give weights '
        'of an expression classifier'
    )
  return {
      **config,
      'model': config['model'] | {'name': 'zero_shot'},
      'outputs': order,
      'mesh': {'fsdp': 1},
      'data': {
          'dir': str(data.parent),
          'name': data.name,
          'weights': '',
          'validation': '',
          'class_balance': 'none',
          'expression_targets': 'majority',
          'face_size': 0,
          'batch_size': _BATCH_SIZE,
          'read_threads': 4,
          'in_memory': False,
      },
  }


_ONLY_START = (
    'config.model.name={}: converted weights have no loss and no score; start a '
    'frame model from them with --config.init_from'
)
