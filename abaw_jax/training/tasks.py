"""Where model, labels and loss meet: one task per kind of training.

A task is pure: `init` makes parameters, `loss` is differentiated by the step and
`predict` is what evaluation runs. Augmentation belongs to the loss because it
runs on the device, inside the jitted step. `score` is the evaluation's key that
decides which checkpoint is best, `best` whether more or less of it is, and
`unit` is what a row of its batches is called.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any, ClassVar, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from abaw_jax.models import frameworks, mae, zoo
from abaw_jax.training import augment, losses

Batch = Mapping[str, Array]
Params = PyTree[Array]


@runtime_checkable
class Task(Protocol):
  """What the steps, the loop and evaluation ask of a task."""

  score: ClassVar[str]
  best: ClassVar[str]
  unit: ClassVar[str]

  def init(self, key: Key[Array, ''], batch: Batch) -> Params:
    """Returns new parameters for batches of this shape."""

  def loss(
      self, params: Params, batch: Batch, key: Key[Array, '']
  ) -> tuple[Float[Array, ''], dict[str, Array]]:
    """Returns (what training makes small, scalars to log)."""

  def predict(self, params: Params, batch: Batch) -> dict[str, Array]:
    """Returns one value or vector per row of the batch, by name."""


@dataclasses.dataclass(frozen=True)
class Augmentation:
  """What happens to uint8 images on the device.

  Attributes:
    mean: RGB mean that is subtracted, on the scale [0, 1].
    std: RGB deviation that is divided by, on the scale [0, 1].
    crop_scale: least share of the area that a random crop keeps; 1 = no crop.
    flip: whether half of the training images are mirrored.
  """

  mean: tuple[float, float, float]
  std: tuple[float, float, float]
  crop_scale: float
  flip: bool

  def train(
      self, key: Key[Array, ''], images: Array, size: int
  ) -> Float[Array, 'b h w 3']:
    """Returns randomly cropped, flipped and normalised images."""
    crop_key, flip_key = jax.random.split(key)
    if self.crop_scale < 1.0:
      images = augment.random_resized_crop(
          crop_key, images, size=size, scale=(self.crop_scale, 1.0)
      )
    if self.flip:
      images = augment.random_flip(flip_key, images)
    return augment.normalize(images, self.mean, self.std)

  def evaluate(self, images: Array) -> Float[Array, 'b h w 3']:
    """Returns normalised images."""
    return augment.normalize(images, self.mean, self.std)


@dataclasses.dataclass(frozen=True)
class MAETask:
  """Masked reconstruction of images; reads no label."""

  score: ClassVar[str] = 'loss'
  best: ClassVar[str] = 'min'
  unit: ClassVar[str] = 'images'

  model: mae.MAE
  augmentation: Augmentation

  def init(self, key: Key[Array, ''], batch: Batch) -> Params:
    images = self.augmentation.evaluate(batch['image'][:1])
    noise = jnp.zeros((1, self.model.encoder.num_patches))
    return self.model.init(key, images, noise, train=False)['params']

  def loss(
      self, params: Params, batch: Batch, key: Key[Array, '']
  ) -> tuple[Float[Array, ''], dict[str, Array]]:
    """Returns (mean loss over the images, scalars to log)."""
    image_key, mask_key, drop_key = jax.random.split(key, 3)
    images = self.augmentation.train(
        image_key, batch['image'], self.model.encoder.image_size
    )
    loss = jnp.mean(
        self._loss(params, images, mask_key, train=True, drop_key=drop_key)
    )
    return loss, {'loss': loss}

  def predict(self, params: Params, batch: Batch) -> dict[str, Array]:
    """Returns the `loss` [b] of each image under one fixed mask."""
    images = self.augmentation.evaluate(batch['image'])
    # One draw for all images, so that a score depends on the weights alone.
    key = jax.random.key(0)
    return {'loss': self._loss(params, images, key, train=False)}

  def _loss(self, params, images, mask_key, *, train, drop_key=None):
    noise = jax.random.uniform(
        mask_key, (images.shape[0], self.model.encoder.num_patches)
    )
    pred, mask = self.model.apply(
        {'params': params},
        images,
        noise,
        train=train,
        rngs={'dropout': drop_key} if train else {},
    )
    return mae.reconstruction_loss(
        images,
        pred,
        mask,
        patch_size=self.model.encoder.patch_size,
        norm_pix=self.model.norm_pix,
    )


@dataclasses.dataclass(frozen=True)
class FrameTask:
  """All labels of one image at a time."""

  score: ClassVar[str] = 'P_MTL'
  best: ClassVar[str] = 'max'
  unit: ClassVar[str] = 'images'

  model: frameworks.FrameModel
  augmentation: Augmentation
  weights: dict[str, float]
  va_loss: str

  def init(self, key: Key[Array, ''], batch: Batch) -> Params:
    images = self.augmentation.evaluate(batch['image'][:1])
    return self.model.init(key, images, train=False)['params']

  def loss(
      self, params: Params, batch: Batch, key: Key[Array, '']
  ) -> tuple[Float[Array, ''], dict[str, Array]]:
    """Returns (weighted sum of the tasks' losses, scalars to log)."""
    image_key, drop_key = jax.random.split(key)
    images = self.augmentation.train(
        image_key, batch['image'], self.model.backbone.image_size
    )
    output = self.model.apply(
        {'params': params}, images, train=True, rngs={'dropout': drop_key}
    )
    total, parts = losses.multi_task_loss(
        output, batch, weights=self.weights, va_loss=self.va_loss
    )
    return total, {'loss': total} | parts

  def predict(self, params: Params, batch: Batch) -> dict[str, Array]:
    """Returns a `labels.Output` with the `embedding` of each image."""
    images = self.augmentation.evaluate(batch['image'])
    return self.model.apply({'params': params}, images, train=False)


@dataclasses.dataclass(frozen=True)
class TemporalTask:
  """All labels of every frame of a window of cached features."""

  score: ClassVar[str] = 'P_MTL'
  best: ClassVar[str] = 'max'
  unit: ClassVar[str] = 'frames'

  model: frameworks.ShareEncoder
  weights: dict[str, float]
  va_loss: str

  def init(self, key: Key[Array, ''], batch: Batch) -> Params:
    return self.model.init(
        key, batch['features'][:1], batch['frame_mask'][:1], train=False
    )['params']

  def loss(
      self, params: Params, batch: Batch, key: Key[Array, '']
  ) -> tuple[Float[Array, ''], dict[str, Array]]:
    """Returns (weighted sum of the tasks' losses, scalars to log)."""
    output = self.model.apply(
        {'params': params},
        batch['features'],
        batch['frame_mask'],
        train=True,
        rngs={'dropout': key},
    )
    total, parts = losses.multi_task_loss(
        output, batch, weights=self.weights, va_loss=self.va_loss
    )
    return total, {'loss': total} | parts

  def predict(self, params: Params, batch: Batch) -> dict[str, Array]:
    """Returns a `labels.Output` per frame."""
    return self.model.apply(
        {'params': params}, batch['features'], batch['frame_mask'], train=False
    )


TASKS: dict[str, Any] = {
    'mae': MAETask,
    'frame': FrameTask,
    'temporal': TemporalTask,
}


def make_task(config: Mapping[str, Any]) -> Task:
  """Returns the task of a config's `model`, `augment` and `loss` sections."""
  model = zoo.make_model(**config['model'])
  sections = {}
  if 'augment' in config:
    sections['augmentation'] = Augmentation(**config['augment'])
  if 'loss' in config:
    sections |= config['loss']
  return TASKS[config['model']['name']](model, **sections)
