"""The masked autoencoder (He et al., arXiv 2111.06377)."""

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from abaw_jax.models.layers import (
    batch_sharding,
    dense,
    positions,
    transformer_blocks,
)
from abaw_jax.models.vision import vit


def random_masking(
    noise: Float[Array, 'b n'], mask_ratio: float
) -> tuple[Int[Array, 'b n'], Int[Array, 'b n'], Bool[Array, 'b n']]:
  """Returns (order, rank, mask) of per-sample uniform masking.

  The `int(n * (1 - mask_ratio))` patches with the smallest noise stay visible.
  `order` has the patch indices, visible ones first, `rank` is its inverse
  permutation, and `mask` is True on hidden patches.
  """
  visible = int(noise.shape[-1] * (1.0 - mask_ratio))
  order = jnp.argsort(noise, axis=-1)
  rank = jnp.argsort(order, axis=-1)
  return order, rank, rank >= visible


@jax.custom_vjp
def permute(
    x: Float[Array, 'b n d'],
    index: Int[Array, 'b n'],
    inverse: Int[Array, 'b n'],
) -> Float[Array, 'b n d']:
  """Returns x[b, index[b, n]]; `inverse` must be the inverse permutation.

  The gradient is also a gather; autodiff would use a scatter.
  """
  del inverse
  return jnp.take_along_axis(x, index[..., None], axis=1)


def _permute_forward(x, index, inverse):
  return permute(x, index, inverse), (index, inverse)


def _permute_backward(residuals, g):
  index, inverse = residuals
  return permute(g, inverse, index), None, None


permute.defvjp(_permute_forward, _permute_backward)


def reconstruction_loss(
    images: Float[Array, 'b h w c'],
    pred: Float[Array, 'b n d'],
    mask: Bool[Array, 'b n'],
    *,
    patch_size: int,
    norm_pix: bool,
) -> Float[Array, 'b']:
  """Returns the squared error per image, averaged over its hidden patches.

  With `norm_pix` each target patch is standardised by its own mean and its
  **unbiased** variance (n - 1), plus 1e-6 under the root, as MAE does.
  """
  target = vit.patchify(images, patch_size).astype(jnp.float32)
  if norm_pix:
    mean = jnp.mean(target, axis=-1, keepdims=True)
    var = jnp.var(target, axis=-1, keepdims=True, ddof=1)
    target = (target - mean) * jax.lax.rsqrt(var + 1e-6)
  error = jnp.mean(jnp.square(pred.astype(jnp.float32) - target), axis=-1)
  hidden = mask.astype(jnp.float32)
  return jnp.sum(error * hidden, axis=-1) / jnp.sum(hidden, axis=-1)


class MAE(nn.Module):
  """Asymmetric autoencoder: the encoder reads only the visible patches.

  Attributes:
    encoder: the ViT to pretrain.
    decoder_dim: width of the decoder.
    decoder_depth: blocks of the decoder.
    decoder_num_heads: attention heads of the decoder.
    mask_ratio: share of hidden patches.
    norm_pix: whether targets are normalised per patch.
  """

  encoder: vit.ViT
  decoder_dim: int
  decoder_depth: int
  decoder_num_heads: int
  mask_ratio: float
  norm_pix: bool

  def setup(self):
    dtype = self.encoder.dtype
    self.decoder_embed = dense.dense(self.decoder_dim, None, dtype)
    self.mask_token = self.param(
        'mask_token', nn.initializers.normal(0.02), (1, 1, self.decoder_dim)
    )
    self.decoder_blocks = [
        transformer_blocks.Block(
            num_heads=self.decoder_num_heads,
            mlp_dim=4 * self.decoder_dim,
            dtype=dtype,
            cudnn=self.encoder.cudnn_attention,
        )
        for _ in range(self.decoder_depth)
    ]
    self.decoder_norm = nn.LayerNorm(epsilon=1e-6, dtype=dtype)
    self.decoder_pred = dense.dense(self.encoder.patch_size**2 * 3, None, dtype)

  def __call__(
      self,
      images: Float[Array, 'b h w 3'],
      noise: Float[Array, 'b n'],
      *,
      train: bool,
  ) -> tuple[Float[Array, 'b n d'], Bool[Array, 'b n']]:
    """Returns predicted patches in image order and the mask, True = hidden.

    `images` are normalised; `noise` is uniform and selects the hidden patches.
    """
    order, rank, mask = random_masking(noise, self.mask_ratio)
    visible = int(noise.shape[-1] * (1.0 - self.mask_ratio))
    tokens = self.encoder.encode(images, order[:, :visible], train=train)
    tokens = batch_sharding.shard_batch(self.encoder.norm(tokens))
    return self._decode(tokens, order, rank, train=train), mask

  def _decode(self, tokens, order, rank, *, train):
    """Returns predictions [b, n, d] from visible tokens, cls token first."""
    x = self.decoder_embed(tokens)
    b, _, dim = x.shape
    hidden = order.shape[-1] - (x.shape[1] - 1)
    mask_tokens = jnp.broadcast_to(
        self.mask_token.astype(x.dtype), (b, hidden, dim)
    )
    patches = jnp.concatenate([x[:, 1:], mask_tokens], axis=1)
    patches = permute(patches, rank, order)
    x = jnp.concatenate([x[:, :1], patches], axis=1)
    codes = positions.sincos_2d(self.encoder.grid, dim)
    x = x + jnp.asarray(codes, x.dtype)[None]
    x = transformer_blocks.apply_blocks(
        self.decoder_blocks,
        x,
        remat=self.encoder.remat,
        scan=self.encoder.scan,
        train=train,
    )
    x = self.decoder_norm(batch_sharding.shard_batch(x))
    return self.decoder_pred(batch_sharding.shard_batch(x))[:, 1:]
