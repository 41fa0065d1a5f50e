"""The task of telling people apart."""

from collections.abc import Mapping
import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from abaw_jax.augmentation import augment
from abaw_jax.core import choices, errors
from abaw_jax.models.layers import variables
from abaw_jax.models.vision import identity
from abaw_jax.tasks import margins

Batch = Mapping[str, Array]
Params = PyTree[Array]


@dataclasses.dataclass(frozen=True)
class IdentityTask:
  """Which of the people of the training split an image shows.

  Attributes:
    model: gives an embedding and a logit for each person.
    augmentation: of the images.
    name: a key of `margins.MARGINS`.
    margin: in radians for arcface, a cosine for cosface.
    scale: factor of the logits in the loss.
    easy_margin: whether wide angles get no margin.

  Raises:
    InputError: there is no such loss, or it needs cosines.
  """

  score: ClassVar[str] = 'score'
  best: ClassVar[str] = 'max'
  unit: ClassVar[str] = 'images'

  model: identity.IdentityModel
  augmentation: augment.Augmentation
  name: str
  margin: float
  scale: float
  easy_margin: bool

  def __post_init__(self):
    margin = choices.choose(margins.MARGINS, self.name, 'loss.name')
    if margin and self.model.head != 'cosine':
      raise errors.InputError(
          f'config.loss.name={self.name}: a margin is between angles, but '
          f"config.model.head={self.model.head}; set it to 'cosine'"
      )

  def init(self, key: Key[Array, ''], batch: Batch) -> Params:
    images = self.augmentation.evaluate(batch['image'][:1])
    return variables.init(self.model, key, images)

  def loss(
      self, params: Params, batch: Batch, key: Key[Array, '']
  ) -> tuple[Float[Array, ''], dict[str, Array]]:
    """Returns (mean loss over the images, scalars to log).

    `accuracy` is the share of images whose person has the largest logit, before
    any margin.
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
    right = margins.at_target(logits, target) >= largest
    margin = margins.MARGINS[self.name]
    if margin:
      harder = margin(logits, self.margin, easy_margin=self.easy_margin)
      logits = jnp.where(target, harder, logits)
    losses = margins.cross_entropy(
        self.scale * logits, target, num_classes=self.model.num_classes
    )
    loss = jnp.mean(losses)
    return loss, {'loss': loss, 'accuracy': jnp.mean(right)} | moved

  def predict(self, params: Params, batch: Batch) -> dict[str, Array]:
    """Returns of each image what it is scored by.

    That is the `direction` [b, d] of its embedding, at length 1, the most likely
    `identity` [b], and whether its own is `known` [b], one of the model's.
    """
    images = self.augmentation.evaluate(batch['image'])
    output, _ = variables.apply(self.model, params, images, train=False)
    return {
        'direction': identity.unit(output['embedding']),
        'identity': jnp.argmax(self._known(output['logits']), axis=-1),
        'known': batch['identity'] < self.model.num_classes,
    }

  def _known(self, logits: Float[Array, 'b k']) -> Float[Array, 'b k']:
    """Returns the logits with -inf in the columns of nobody."""
    columns = jnp.arange(logits.shape[-1])[None]
    return jnp.where(columns < self.model.num_classes, logits, -jnp.inf)
