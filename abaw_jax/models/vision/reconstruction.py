"""Predictions of a masked autoencoder as images."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from abaw_jax.models.vision import vit


def predicted_images(
    images: Float[Array, 'b h w c'],
    pred: Float[Array, 'b n d'],
    *,
    patch_size: int,
    norm_pix: bool,
) -> Float[Array, 'b h w c']:
  """Returns images of the predicted patches, on the scale of `images`.

  A `norm_pix` model predicts normalised patches. As in the figures of the MAE
  paper, each patch gets the mean and the unbiased variance of the true patch.
  So brightness and contrast are not predictions of the model.
  """
  pred = pred.astype(jnp.float32)
  if norm_pix:
    target = vit.patchify(images, patch_size).astype(jnp.float32)
    mean = jnp.mean(target, axis=-1, keepdims=True)
    var = jnp.var(target, axis=-1, keepdims=True, ddof=1)
    pred = pred * jnp.sqrt(var + 1e-6) + mean
  return vit.unpatchify(pred, patch_size)


def hidden_pixels(
    mask: Bool[Array, 'b n'], patch_size: int
) -> Bool[Array, 'b h w 1']:
  """Returns True on the pixels of patches with a True mask."""
  patches = jnp.repeat(mask[..., None], patch_size**2, axis=-1)
  return vit.unpatchify(patches.astype(jnp.float32), patch_size) > 0
