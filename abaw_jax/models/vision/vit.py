"""The Vision Transformer, with the names and the equations of MAE's encoder.

References: Dosovitskiy et al., arXiv 2010.11929; He et al., arXiv 2111.06377.
"""

from flax import linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int
import numpy as np

from abaw_jax.models.layers import (
    batch_sharding,
    dense,
    positions,
    transformer_blocks,
)


def patchify(
    images: Float[Array, 'b h w c'], patch_size: int
) -> Float[Array, 'b n d']:
  """Returns flat patches, row by row, d = patch_size**2 * c, channels last."""
  b, h, w, c = images.shape
  p = patch_size
  x = images.reshape(b, h // p, p, w // p, p, c)
  x = x.transpose(0, 1, 3, 2, 4, 5)
  return x.reshape(b, (h // p) * (w // p), p * p * c)


def unpatchify(
    patches: Float[Array, 'b n d'], patch_size: int
) -> Float[Array, 'b h w c']:
  """Returns the square images whose `patchify` is `patches`."""
  b, n, d = patches.shape
  p = patch_size
  grid = int(np.sqrt(n))
  x = patches.reshape(b, grid, grid, p, p, d // (p * p))
  x = x.transpose(0, 1, 3, 2, 4, 5)
  return x.reshape(b, grid * p, grid * p, d // (p * p))


class ViT(nn.Module):
  """Vision transformer with a cls token.

  Attributes:
    image_size: side of the square input in pixels; a multiple of `patch_size`.
    patch_size: side of a patch in pixels.
    dim: width of a token.
    depth: number of blocks.
    num_heads: attention heads per block.
    pool: 'mean' averages the normalised patch tokens, 'mean_norm' normalises
      the average of the patch tokens (MAE's fine-tuning), 'cls' takes the
      normalised cls token.
    positions: 'sincos' for fixed codes, 'learned' for a parameter that starts
      with these codes.
    mlp_ratio: hidden width of the MLP / `dim`.
    drop_path: stochastic depth rate of the last block; it grows linearly from
      0.
    remat: rematerialisation policy, a key of `rematerialization.POLICIES`.
    scan: whether one block is compiled for all, see
      `transformer_blocks.apply_blocks`.
    dtype: compute dtype; parameters are float32.
    cudnn_attention: see `attention.attend`.
    lora: of the dense layers; `patch_embed` is one of them. See `dense.dense`.
  """

  image_size: int
  patch_size: int
  dim: int
  depth: int
  num_heads: int
  pool: str = 'mean'
  positions: str = 'sincos'
  mlp_ratio: float = 4.0
  drop_path: float = 0.0
  remat: str = 'none'
  scan: bool = False
  dtype: DTypeLike = jnp.float32
  cudnn_attention: bool = False
  lora: dense.Lora | None = None

  def setup(self):
    adapts = self.lora and 'patch_embed' in self.lora.targets
    self.patch_embed = dense.dense(
        self.dim, None, self.dtype, lora=self.lora if adapts else None
    )
    self.cls_token = self.param(
        'cls_token', nn.initializers.normal(0.02), (1, 1, self.dim)
    )
    codes = positions.sincos_2d(self.grid, self.dim)[None]
    if self.positions == 'learned':
      self.pos_embed = self.param('pos_embed', lambda _: jnp.asarray(codes))
    else:
      self.pos_embed = codes
    self.blocks = [
        transformer_blocks.Block(
            num_heads=self.num_heads,
            mlp_dim=int(self.dim * self.mlp_ratio),
            dtype=self.dtype,
            cudnn=self.cudnn_attention,
            lora=self.lora,
        )
        for _ in range(self.depth)
    ]
    self.norm = nn.LayerNorm(epsilon=1e-6, dtype=self.dtype)

  @property
  def grid(self) -> int:
    """Number of patches along a side of an image."""
    return self.image_size // self.patch_size

  @property
  def num_patches(self) -> int:
    """Number of patches of an image."""
    return self.grid**2

  def encode(
      self,
      images: Float[Array, 'b h w c'],
      keep: Int[Array, 'b k'] | None = None,
      *,
      train: bool,
  ) -> Float[Array, 'b n d']:
    """Returns tokens after the last block, before the norm, cls token first.

    `images` are normalised. `keep` has the indices of the patches to encode;
    None means all. Other patches are removed before the embedding.
    """
    patches = patchify(images, self.patch_size).astype(self.dtype)
    codes = jnp.asarray(self.pos_embed, self.dtype)
    cls_code, codes = codes[:, :1], codes[:, 1:]
    if keep is not None:
      patches = jnp.take_along_axis(patches, keep[..., None], axis=1)
      codes = jnp.take_along_axis(codes, keep[..., None], axis=1)
    tokens = self.patch_embed(patches) + codes
    cls_token = self.cls_token.astype(self.dtype) + cls_code
    cls_tokens = jnp.broadcast_to(
        cls_token, (tokens.shape[0], 1, tokens.shape[-1])
    )
    tokens = jnp.concatenate([cls_tokens, tokens], axis=1)
    tokens = transformer_blocks.apply_blocks(
        self.blocks,
        tokens,
        drop_path=self.drop_path,
        remat=self.remat,
        scan=self.scan,
        train=train,
    )
    return batch_sharding.shard_batch(tokens)

  def __call__(
      self, images: Float[Array, 'b h w c'], *, train: bool
  ) -> Float[Array, 'b d']:
    """Returns one embedding per image, pooled with `pool`."""
    tokens = self.encode(images, train=train)
    if self.pool == 'cls':
      return self.norm(tokens[:, 0])
    if self.pool == 'mean':
      tokens = batch_sharding.shard_batch(self.norm(tokens))
    mean = jnp.mean(tokens[:, 1:], axis=1, dtype=jnp.float32)
    return self.norm(mean) if self.pool == 'mean_norm' else mean
