"""The task of a masked autoencoder."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key
import numpy as np

from abaw_jax.data import image_sources, protocol
from abaw_jax.models.layers import variables
from abaw_jax.models.vision import mae, reconstruction
from abaw_jax.tasks import images as image_tasks
from abaw_jax.tasks import task

Batch, Params = task.Batch, task.Params


@dataclasses.dataclass(frozen=True, kw_only=True)
class MAETask(image_tasks.ImageTask):
  """Masked reconstruction of images; reads no label."""

  name: ClassVar[str] = 'mae'
  score: ClassVar[str] = 'loss'
  best: ClassVar[str] = 'min'
  backbone: ClassVar[str] = 'encoder'
  starts_from: ClassVar[tuple[str, ...]] = ('vit',)
  has_layout: ClassVar[bool] = True
  picture: ClassVar[str] = 'reconstruction'
  columns: ClassVar[tuple[str, ...]] = ('original', 'masked', 'reconstructed')
  extra_columns: ClassVar[tuple[str, ...]] = ('predicted',)

  model: mae.MAE

  def source(self, split: str) -> protocol.Source:
    return image_sources.image_source(self.config['data'], split)

  def init(self, key: Key[Array, ''], batch: Batch) -> Params:
    images = self.augmentation.evaluate(batch['image'][:1])
    noise = jnp.zeros((1, self.model.encoder.num_patches))
    return variables.init(self.model, key, images, noise)

  def loss(
      self, params: Params, batch: Batch, key: Key[Array, '']
  ) -> tuple[Float[Array, ''], dict[str, Array]]:
    """Returns (mean loss of the images, scalars to log)."""
    image_key, mask_key, drop_key = jax.random.split(key, 3)
    images = self.augmentation.train(image_key, batch['image'])
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

  def scores(self, rows: task.Rows) -> dict[str, float]:
    return {'loss': float(np.mean(rows['pred_loss'], dtype=np.float64))}

  def draw(
      self, params: Params, images: Array, key: Key[Array, '']
  ) -> dict[str, Array]:
    """Returns images, uint8 [b, h, w, 3] by column, and the `loss` [b].

    `original` is the input of the model, `masked` has grey in place of hidden
    patches, `reconstructed` has the prediction there, `predicted` has it
    everywhere. `key` decides which patches are hidden.
    """
    noise = jax.random.uniform(
        key, (images.shape[0], self.model.encoder.num_patches)
    )
    images = self.augmentation.evaluate(images)
    (pred, mask), _ = variables.apply(
        self.model, params, images, noise, train=False
    )
    size = self.model.encoder.patch_size
    predicted = reconstruction.predicted_images(
        images, pred, patch_size=size, norm_pix=self.model.norm_pix
    )
    original, predicted = map(self.augmentation.pixels, (images, predicted))
    hidden = reconstruction.hidden_pixels(mask, size)
    return {
        'original': original,
        'masked': jnp.where(hidden, jnp.uint8(128), original),
        'reconstructed': jnp.where(hidden, predicted, original),
        'predicted': predicted,
        'loss': self._error(images, pred, mask),
    }

  def _loss(self, params, images, mask_key, *, train, drop_key=None):
    noise = jax.random.uniform(
        mask_key, (images.shape[0], self.model.encoder.num_patches)
    )
    (pred, mask), _ = variables.apply(
        self.model,
        params,
        images,
        noise,
        train=train,
        rngs={'dropout': drop_key} if train else None,
    )
    return self._error(images, pred, mask)

  def _error(self, images, pred, mask):
    return mae.reconstruction_loss(
        images,
        pred,
        mask,
        patch_size=self.model.encoder.patch_size,
        norm_pix=self.model.norm_pix,
    )
