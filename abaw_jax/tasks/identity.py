"""The task of telling people apart."""

from collections.abc import Mapping
import dataclasses
import functools
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key
import numpy as np

from abaw_jax.core import choices, errors
from abaw_jax.data import image_sources, pipeline, protocol, transforms
from abaw_jax.models.layers import variables
from abaw_jax.models.vision import identity
from abaw_jax.scoring import verification
from abaw_jax.tasks import images as image_tasks
from abaw_jax.tasks import margins, task

Batch, Params = task.Batch, task.Params


@dataclasses.dataclass(frozen=True, kw_only=True)
class IdentityTask(image_tasks.ImageTask):
  """Which of the people of the training split an image shows.

  Attributes:
    loss_name: a key of `margins.MARGINS`.
    margin: in radians for arcface, a cosine for cosface.
    scale: factor of the logits in the loss.
    easy_margin: whether wide angles get no margin.

  Raises:
    InputError: there is no such loss, or it needs cosines.
  """

  name: ClassVar[str] = 'identity'
  default_data: ClassVar[str] = 'people'
  starts_from: ClassVar[tuple[str, ...]] = ('mae', 'vit', 'convnet', 'frame')
  scored_fields: ClassVar[tuple[str, ...]] = ('identity',)

  model: identity.IdentityModel
  loss_name: str
  margin: float
  scale: float
  easy_margin: bool

  def __post_init__(self):
    margin = choices.choose(margins.MARGINS, self.loss_name, 'loss.name')
    if margin and self.model.head != 'cosine':
      raise errors.InputError(
          f'config.loss.name={self.loss_name}: a margin is between angles, but '
          f"config.model.head={self.model.head}; set it to 'cosine'"
      )

  @classmethod
  def options(cls, config: Mapping[str, Any]) -> dict[str, Any]:
    section = dict(config['loss'])
    return {'loss_name': section.pop('name')} | section

  @classmethod
  def complete(cls, config: dict[str, Any]) -> dict[str, Any]:
    """Returns the config with the number of training people in place of 0.

    Raises:
      InputError: it is given, but there are more people.
    """
    model, data = config['model'], config['data']
    num_people = image_sources.identity_source(data, 'train').num_groups
    num_classes = model['num_classes'] or num_people
    if num_classes < num_people:
      raise errors.InputError(
          f'config.model.num_classes={num_classes}: {data["name"]} '
          f'trains on {num_people} people; give as many, or 0 to count them'
      )
    return config | {'model': model | {'num_classes': num_classes}}

  def source(self, split: str) -> protocol.Source:
    return image_sources.identity_source(self.config['data'], split)

  def transform(self, *, train: bool = False) -> pipeline.Transform:
    del train
    return functools.partial(
        transforms.identity_batch, **image_tasks.decoding(self.config)
    )

  def empty_record(self, *, feature_dim: int = 0) -> Mapping[str, Any]:
    record = super().empty_record(feature_dim=feature_dim)
    return {**record, 'identity': np.int32(0)}

  def loss(
      self, params: Params, batch: Batch, key: Key[Array, '']
  ) -> tuple[Float[Array, ''], dict[str, Array]]:
    """Returns (mean loss of the images, scalars to log).

    `accuracy` is the share of images whose person has the largest logit, without
    a margin.
    """
    image_key, drop_key = jax.random.split(key)
    images = self.augmentation.train(image_key, batch['image'])
    output, moved = variables.apply(
        self.model, params, images, train=True, rngs={'dropout': drop_key}
    )
    logits = output['logits']
    columns = jnp.arange(logits.shape[-1])
    target = batch['identity'][:, None] == columns[None]
    largest = jnp.max(self._known(logits), axis=-1)
    right = margins.target_logits(logits, target) >= largest
    margin = margins.MARGINS[self.loss_name]
    if margin:
      harder = margin(logits, self.margin, easy_margin=self.easy_margin)
      logits = jnp.where(target, harder, logits)
    losses = margins.cross_entropy(
        self.scale * logits, target, num_classes=self.model.num_classes
    )
    loss = jnp.mean(losses)
    return loss, {'loss': loss, 'accuracy': jnp.mean(right)} | moved

  def predict(self, params: Params, batch: Batch) -> dict[str, Array]:
    """Returns three arrays for each image.

    `direction` [b, d] is its embedding at length 1, `identity` [b] the most
    likely person, and `known` [b] whether its true person is one of the model's.
    """
    output = self.evaluate(params, batch['image'])
    return {
        'direction': identity.l2_normalize(output['embedding']),
        'identity': jnp.argmax(self._known(output['logits']), axis=-1),
        'known': batch['identity'] < self.model.num_classes,
    }

  def scores(self, rows: task.Rows) -> dict[str, float]:
    """Returns the scores; `score` is the one that counts.

    It is the `accuracy` if all people are in the training split, and else the
    `AUC` of pairs of images, see `verification.verification`.
    """
    try:
      if rows['pred_known'].all():
        scores = verification.identification(
            rows['pred_identity'], rows['identity']
        )
        return scores | {'score': scores['accuracy']}
      scores = verification.verification(
          rows['pred_direction'], rows['identity']
      )
      return scores | {'score': scores['AUC']}
    except ValueError as e:
      raise errors.InputError(
          f'the people of this split cannot be scored: {e}; hold out more of '
          'them (--validation_share of the build), or take an earlier checkpoint'
      ) from e

  def summary(self, scores: Mapping[str, float]) -> str:
    parts = ' '.join(
        f'{key} {value:.4f}'
        for key, value in scores.items()
        if key != 'score' and not key.startswith('n_')
    )
    return f'score {scores["score"]:.4f} ({parts})'

  def _known(self, logits: Float[Array, 'b k']) -> Float[Array, 'b k']:
    """Returns the logits with -inf in the padding columns."""
    columns = jnp.arange(logits.shape[-1])[None]
    return jnp.where(columns < self.model.num_classes, logits, -jnp.inf)
