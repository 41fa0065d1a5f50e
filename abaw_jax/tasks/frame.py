"""The task of a static model: one image at a time."""

from collections.abc import Mapping
import dataclasses
import functools
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from abaw_jax.augmentation import mixup
from abaw_jax.core import choices, errors, files
from abaw_jax.data import image_sources, pipeline, protocol, transforms
from abaw_jax.models.layers import gradient_reversal, variables
from abaw_jax.models.multi_task import frame_model, heads
from abaw_jax.sequences import pseudo_labels
from abaw_jax.tasks import images as image_tasks
from abaw_jax.tasks import losses, multi_task, task

Batch, Params = task.Batch, task.Params


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrameTask(multi_task.LabelTask, image_tasks.ImageTask):
  """All labels of one image at a time.

  Attributes:
    mixup: strength of mixed images; 0 turns them off.
    mixing: one of `mixup.METHODS`.
    identity_adversarial: factor of the reversed gradient of the identity head; 0 =
      no head.
    num_identities: people or videos of the training split; 0 if they are not known,
      as for evaluation, where there is no head either.
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
  identity_adversarial: float = 0.0
  num_identities: int = 0
  draw_expressions: bool = False

  @classmethod
  def options(cls, config: Mapping[str, Any]) -> dict[str, Any]:
    targets = config['data']['expression_targets'] if 'data' in config else ''
    return {
        'loss_fn': cls.make_loss(config),
        'mixup': config['loss']['mixup'],
        'mixing': _mixing(config['loss']),
        'identity_adversarial': _identity_adversarial(config),
        'draw_expressions': targets == 'probability',
    }

  @classmethod
  def feature_outputs(cls, model: Mapping[str, Any]) -> tuple[str, ...]:
    del model
    return tuple(heads.TASK_DIMS)

  def source(self, split: str) -> protocol.Source:
    data, train = self.config['data'], split == 'train'
    path = data.get('pseudo_labels', '')  # older configs have none
    fill = functools.partial(pseudo_labels.Labelled, path=files.path(path))
    return image_sources.frame_source(
        data,
        split,
        identities=train and self.identity_adversarial > 0,
        fill=fill if path and train else None,
    )

  def transform(self, *, train: bool = False) -> pipeline.Transform:
    targets = self.config['data']['expression_targets']
    return functools.partial(
        transforms.frame_batch,
        **image_tasks.decoding(self.config),
        probs=train and targets != 'majority',
        identity=train and self.num_identities > 0,
    )

  def empty_record(self, *, feature_dim: int = 0) -> Mapping[str, Any]:
    row = {k: v[0] for k, v in multi_task.empty_labels(1).items()}
    return row | dict(super().empty_record(feature_dim=feature_dim))

  def fitted(self, source: Any) -> task.Task:
    found = super().fitted(source)
    if not self.identity_adversarial:
      return found
    return dataclasses.replace(found, num_identities=source.num_identities)

  @classmethod
  def stored(
      cls, model: Mapping[str, Any], shapes: Mapping[str, Any]
  ) -> Mapping[str, Any]:
    """Returns the shapes without those of the identity head."""
    del model
    if task.IDENTITY_HEAD not in shapes:
      return shapes
    return {k: v for k, v in shapes.items() if k != task.IDENTITY_HEAD}

  def init(self, key: Key[Array, ''], batch: Batch) -> Params:
    params = super().init(key, batch)
    if self.num_identities:
      output = jax.eval_shape(self.evaluate, params, batch['image'][:1])
      shape = output['embedding'].shape[-1], self.num_identities
      kernel = jax.nn.initializers.lecun_normal()(
          jax.random.fold_in(key, 1), shape
      )
      params[task.IDENTITY_HEAD] = {
          'kernel': kernel, 'bias': jnp.zeros(shape[1:])
      }  # fmt: skip
    return params

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

    def loss(output, batch):
      total, parts = self.compare(output, batch)
      if self.num_identities:
        head = params[task.IDENTITY_HEAD]
        identity = self._identity_loss(head, output['embedding'], batch)
        total, parts = total + identity, parts | {'identity': identity}
      return total, parts

    def blended(output):
      return mixup.blend_losses(functools.partial(loss, output), batch, share)

    if not self.mixup:
      total, parts = loss(output, batch)
    elif self.mixing == 'mixaugment':
      own, mixed = (
          jax.tree.map(lambda x, i=i: _pairs(x)[:, i], output) for i in (0, 1)
      )
      total, parts = jax.tree.map(jnp.add, loss(own, batch), blended(mixed))
    else:
      total, parts = blended(output)
    return total, {'loss': total} | parts | moved

  def _identity_loss(self, head, embedding, batch) -> Float[Array, '']:
    """Returns the cross-entropy of identities, adversarial to the backbone.

    The head minimises it. The backbone receives the reversed gradient, so that its
    embedding tells people apart less and less. Reference: FMAE-IAT (Ning et al.,
    arXiv 2407.11243).
    """
    embedding = gradient_reversal.reverse(
        embedding.astype(jnp.float32), self.identity_adversarial
    )
    logits = embedding @ head['kernel'] + head['bias'][None]
    known = batch['real'] & (batch['identity'] >= 0)
    return losses.cross_entropy(logits, batch['identity'], known)

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


def _identity_adversarial(config: Mapping[str, Any]) -> float:
  """Returns the factor of the reversed gradient; older configs have none."""
  factor = config['loss'].get('identity_adversarial', 0.0)
  if factor and config.get('optim', {}).get('freeze') == 'backbone':
    raise errors.InputError(
        f'config.loss.identity_adversarial={factor}: config.optim.freeze=backbone, '
        "so no part receives the reversed gradient; set one of them to 0 or ''"
    )
  return factor


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
