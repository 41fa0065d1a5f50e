"""Tasks of a backbone with one linear classifier, as in public weights."""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from abaw_jax.core import errors, files, labels
from abaw_jax.data import image_sources, label_counts, protocol
from abaw_jax.models.layers import variables
from abaw_jax.models.vision import classifier
from abaw_jax.tasks import frame, multi_task_loss, task
from abaw_jax.tasks import images as image_tasks

_BATCH_SIZE = 64  # of a folder of weights
_LSD = tuple(labels.NATIVE_EXPRESSIONS['lsd'].values())
_LSD_IDS = labels.scored_expressions(['lsd'])

Batch, Params = task.Batch, task.Params


@dataclasses.dataclass(frozen=True, kw_only=True)
class ViTClassifier(image_tasks.ImageTask):
  """A ViT of another project; it only predicts."""

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
  """A convolutional network of another project; it only predicts."""

  name: ClassVar[str] = 'convnet'
  starts_from: ClassVar[tuple[str, ...]] = ('frame', 'identity')


@dataclasses.dataclass(frozen=True, kw_only=True)
class VideoNetwork(ViTClassifier):
  """A video network of another project; it only makes features of windows."""

  name: ClassVar[str] = 'video'
  starts_from: ClassVar[tuple[str, ...]] = ()
  has_layout: ClassVar[bool] = False

  def init(self, key, batch):
    frames = self.augmentation.evaluate(batch['image'][0])
    return variables.init(self.model, key, frames[None])


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExpressionTask(frame.FrameTask):
  """Expressions, and valence and arousal if the classifier has them.

  An expression that the classifier does not know has the logit -inf. There are no
  action units.

  Attributes:
    order: names of the classifier's outputs.
  """

  model: classifier.Classifier
  order: tuple[str, ...]

  @classmethod
  def feature_outputs(cls, model: Mapping[str, Any]) -> tuple[str, ...]:
    return ('logits',)

  def predict(self, params: Params, batch: Batch) -> dict[str, Array]:
    """Returns a `labels.Output` without action units."""
    logits = self.evaluate(params, batch['image'])['logits']
    return label_output(logits, self.order)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ZeroShotTask(ExpressionTask):
  """A converted classifier, without training.

  The logit of Contempt is left out. The probability of Other is 0.
  """

  name: ClassVar[str] = 'zero_shot'
  starts_from: ClassVar[tuple[str, ...]] = ()

  loss_fn: None = None

  @classmethod
  def options(cls, config: Mapping[str, Any]) -> dict[str, Any]:
    return {'mixup': 0.0, 'order': config['outputs']}

  def loss(
      self, params: Params, batch: Batch, key: Key[Array, '']
  ) -> tuple[Float[Array, ''], dict[str, Array]]:
    del params, batch, key
    raise errors.InputError(_ONLY_START.format(self.name))


@dataclasses.dataclass(frozen=True, kw_only=True)
class LsdTask(ExpressionTask):
  """The six expressions of the challenge "learning from synthetic data".

  A linear layer with six outputs on a backbone, which may come from a model with
  other outputs. Faces with another expression have no label.
  """

  name: ClassVar[str] = 'lsd'
  starts_from: ClassVar[tuple[str, ...]] = (
      'frame', *frame.FrameTask.starts_from,
  )  # fmt: skip

  @classmethod
  def options(cls, config: Mapping[str, Any]) -> dict[str, Any]:
    return super().options(config) | {'order': _LSD}

  @classmethod
  def make_loss(
      cls,
      config: Mapping[str, Any],
      counts: label_counts.LabelCounts | None = None,
  ) -> multi_task_loss.MultiTaskLoss:
    loss = super().make_loss(config, counts)
    of_six = {
        field: tuple(values[i] for i in _LSD_IDS)
        for field in ('class_weights', 'class_offsets')
        if (values := getattr(loss, field)) is not None
    }
    return dataclasses.replace(loss, **of_six)

  def untrained(self, source: Any) -> dict[str, str]:
    del source
    return {}

  def compare(
      self, output: Batch, batch: Batch
  ) -> tuple[Float[Array, ''], dict[str, Array]]:
    if 'expression_probs' in batch:
      probs = batch['expression_probs']
    else:
      probs = jax.nn.one_hot(batch['expression'], labels.NUM_EXPRESSIONS)
    probs = probs[:, jnp.array(_LSD_IDS)]
    return self.loss_fn(
        {'expression': output['logits']},
        {
            **batch,
            'expression_probs': probs,
            'expr': batch['expr'] & probs.any(axis=-1),
        },
    )


def label_output(
    logits: Float[Array, 'b n'], order: Sequence[str]
) -> dict[str, Array]:
  """Returns a `labels.Output` of a classifier, without action units.

  Args:
    logits: of the classifier.
    order: names of its outputs; valence and arousal may be among them.
  """
  va = {
      name: logits[:, order.index(name)]
      for name in ('valence', 'arousal')
      if name in order
  }
  return va | {'expression': gather(logits, order, labels.EXPRESSIONS)}


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
