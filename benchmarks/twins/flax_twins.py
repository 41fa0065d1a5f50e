"""The ViT and the MAE in plain Flax, to compare compiled steps with.

They use the layers of Flax as they are, as Google's big_vision does: autodiff,
`nn.remat` and `nn.scan`. They compute the same functions as our models, except that
Flax computes the softmax in the compute dtype.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from abaw_jax.models.layers import positions
from abaw_jax.models.vision import mae, vit

_POLICIES = {
    'dots': jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
    'all': None,
}


class Block(nn.Module):
  """Pre-norm transformer block; returns a pair, as `nn.scan` needs it."""

  num_heads: int
  dtype: DTypeLike

  @nn.compact
  def __call__(
      self, x: Float[Array, 'b n d'], _: None = None
  ) -> tuple[Float[Array, 'b n d'], None]:
    y = nn.LayerNorm(epsilon=1e-6, dtype=self.dtype)(x)
    x += nn.MultiHeadDotProductAttention(
        num_heads=self.num_heads, dtype=self.dtype, deterministic=True
    )(y, y)
    y = nn.LayerNorm(epsilon=1e-6, dtype=self.dtype)(x)
    y = nn.Dense(4 * x.shape[-1], dtype=self.dtype)(y)
    y = nn.Dense(x.shape[-1], dtype=self.dtype)(nn.gelu(y, approximate=False))
    return x + y, None


class Blocks(nn.Module):
  """A stack of blocks; the attributes are those of `vit.ViT`."""

  depth: int
  num_heads: int
  remat: str
  scan: bool
  dtype: DTypeLike

  @nn.compact
  def __call__(self, x: Float[Array, 'b n d']) -> Float[Array, 'b n d']:
    block = Block
    if self.remat != 'none':
      block = nn.remat(
          Block, prevent_cse=not self.scan, policy=_POLICIES[self.remat]
      )
    if self.scan:
      scanned = nn.scan(
          block,
          variable_axes={'params': 0},
          split_rngs={'params': True},
          length=self.depth,
      )
      return scanned(self.num_heads, self.dtype)(x, None)[0]
    for _ in range(self.depth):
      x, _ = block(self.num_heads, self.dtype)(x)
    return x


class ViT(nn.Module):
  """The twin of `like`, with fixed positions and mean pooling."""

  like: vit.ViT

  @nn.compact
  def __call__(
      self,
      images: Float[Array, 'b h w c'],
      keep: Any = None,
      *,
      train: bool = False,
  ) -> Array:
    """Returns one embedding per image, or with `keep` the tokens [b, n, d]."""
    del train
    twin = self.like
    patches = vit.patchify(images, twin.patch_size).astype(twin.dtype)
    codes = positions.sincos_2d(twin.grid, twin.dim)[None]
    x = nn.Dense(twin.dim, dtype=twin.dtype)(patches)
    x += jnp.asarray(codes[:, 1:], twin.dtype)
    if keep is not None:
      x = jnp.take_along_axis(x, keep[..., None], axis=1)
    cls_token = self.param(
        'cls_token', nn.initializers.normal(0.02), (1, 1, twin.dim)
    )
    cls_token = (cls_token + codes[:, :1]).astype(twin.dtype)
    cls_tokens = jnp.broadcast_to(cls_token, (x.shape[0], 1, twin.dim))
    x = jnp.concatenate([cls_tokens, x], axis=1)
    x = Blocks(twin.depth, twin.num_heads, twin.remat, twin.scan, twin.dtype)(x)
    x = nn.LayerNorm(epsilon=1e-6, dtype=twin.dtype)(x)
    if keep is not None:
      return x
    return jnp.mean(x[:, 1:], axis=1, dtype=jnp.float32)


class MAE(mae.MAE):
  """The twin of a MAE, with the same fields."""

  @classmethod
  def like(cls, model: mae.MAE) -> MAE:
    """Returns the twin of a model."""
    fields = {field.name for field in dataclasses.fields(model)}
    fields -= {'parent', 'name'}
    return cls(**{name: getattr(model, name) for name in fields})

  def setup(self):
    """Has no parameters of our model."""

  @nn.compact
  def __call__(
      self,
      images: Float[Array, 'b h w 3'],
      noise: Float[Array, 'b n'],
      *,
      train: bool,
  ) -> tuple[Float[Array, 'b n d'], Bool[Array, 'b n']]:
    """Returns predicted patches in image order and the mask, True = hidden."""
    del train
    encoder = self.encoder
    dim, dtype = self.decoder_dim, encoder.dtype
    order, rank, mask = mae.random_masking(noise, self.mask_ratio)
    visible = int(noise.shape[-1] * (1.0 - self.mask_ratio))
    x = ViT(encoder)(images, order[:, :visible])
    x = nn.Dense(dim, dtype=dtype)(x)
    token = self.param('mask_token', nn.initializers.normal(0.02), (1, 1, dim))
    hidden = (x.shape[0], noise.shape[-1] - visible, dim)
    tokens = jnp.broadcast_to(token.astype(dtype), hidden)
    patches = jnp.concatenate([x[:, 1:], tokens], axis=1)
    patches = jnp.take_along_axis(patches, rank[..., None], axis=1)
    x = jnp.concatenate([x[:, :1], patches], axis=1)
    x += jnp.asarray(positions.sincos_2d(encoder.grid, dim)[None], dtype)
    x = Blocks(
        self.decoder_depth,
        self.decoder_num_heads,
        encoder.remat,
        encoder.scan,
        dtype,
    )(x)
    x = nn.LayerNorm(epsilon=1e-6, dtype=dtype)(x)
    return nn.Dense(encoder.patch_size**2 * 3, dtype=dtype)(x)[:, 1:], mask
