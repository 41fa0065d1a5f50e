"""The task of a masked autoencoder."""

from collections.abc import Mapping
import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree, UInt8

from abaw_jax.augmentation import augment
from abaw_jax.models.layers import variables
from abaw_jax.models.vision import mae, reconstruction

Batch = Mapping[str, Array]
Params = PyTree[Array]


@dataclasses.dataclass(frozen=True)
class MAETask:
  """Masked reconstruction of images; reads no label."""

  score: ClassVar[str] = 'loss'
  best: ClassVar[str] = 'min'
  unit: ClassVar[str] = 'images'

  model: mae.MAE
  augmentation: augment.Augmentation

  def init(self, key: Key[Array, ''], batch: Batch) -> Params:
    images = self.augmentation.evaluate(batch['image'][:1])
    noise = jnp.zeros((1, self.model.encoder.num_patches))
    return variables.init(self.model, key, images, noise)

  def loss(
      self, params: Params, batch: Batch, key: Key[Array, '']
  ) -> tuple[Float[Array, ''], dict[str, Array]]:
    """Returns (mean loss over the images, scalars to log)."""
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

  def reconstruct(
      self,
      params: Params,
      images: UInt8[Array, 'b h w 3'],
      noise: Float[Array, 'b n'],
  ) -> dict[str, Array]:
    """Returns images to look at, uint8 [b,h,w,3], and the `loss` [b] of each.

    `original` is what the model is given, `masked` has hidden patches grey,
    `reconstructed` has the prediction there, `predicted` has it everywhere.
    `noise` decides which patches are hidden, see `mae.random_masking`.
    """
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
