"""The Vision Transformer, with the names and the equations of MAE's encoder.

Its options give the networks of DINOv2, DINOv3, CLIP and SigLIP. References:
Dosovitskiy et al., arXiv 2010.11929; He et al., arXiv 2111.06377; Darcet et al.,
arXiv 2309.16588 (registers).
"""

import functools

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
from abaw_jax.models.vision import attention_pool


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
  """Vision transformer.

  Attributes:
    image_size: side of the square input in pixels; a multiple of `patch_size`.
    patch_size: side of a patch in pixels.
    dim: width of a token.
    depth: number of blocks.
    num_heads: attention heads per block.
    pool: 'mean' averages the normalised patch tokens, 'mean_norm' normalises
      the average of the patch tokens (MAE's fine-tuning), 'mean_raw' averages them
      without a norm, 'cls' takes the normalised cls token, 'attention' is
      `AttentionPool` of the normalised tokens.
    positions: 'sincos' for fixed codes, 'learned' for a parameter that starts
      with these codes, 'rotary' for `positions.axial_angles` of queries and keys.
    drop_path: stochastic depth rate of the last block; it grows linearly from
      0.
    remat: rematerialisation policy, a key of `rematerialization.POLICIES`.
    scan: whether one block is compiled for all, see
      `transformer_blocks.apply_blocks`.
    dtype: compute dtype; parameters are float32.
    cudnn_attention: see `attention.attend`.
    mlp_dim: hidden width of the MLP; 0 = 4 * `dim`.
    activation: of the MLP, a key of `dense.ACTIVATIONS`.
    layer_scale: see `transformer_blocks.Block`.
    num_registers: learned tokens after the cls token, without positions.
    class_token: whether there is a cls token.
    pre_norm: whether the tokens are normalised before the first block.
    norm_eps: epsilon of the norms.
    lora: of the dense layers; `patch_embed` is one of them. See `dense.dense`.
  """

  image_size: int
  patch_size: int
  dim: int
  depth: int
  num_heads: int
  pool: str = 'mean'
  positions: str = 'sincos'
  drop_path: float = 0.0
  remat: str = 'none'
  scan: bool = False
  dtype: DTypeLike = jnp.float32
  cudnn_attention: bool = False
  mlp_dim: int = 0
  activation: str = 'gelu'
  layer_scale: bool = False
  num_registers: int = 0
  class_token: bool = True
  pre_norm: bool = False
  norm_eps: float = 1e-6
  lora: dense.Lora | None = None

  def setup(self):
    adapts = self.lora and 'patch_embed' in self.lora.targets
    self.patch_embed = dense.dense(
        self.dim, None, self.dtype, lora=self.lora if adapts else None
    )
    normal = nn.initializers.normal(0.02)
    if self.class_token:
      self.cls_token = self.param('cls_token', normal, (1, 1, self.dim))
    codes = self.position_codes
    if self.positions == 'learned':
      self.pos_embed = self.param('pos_embed', lambda _: jnp.asarray(codes))
    else:
      self.pos_embed = codes
    if self.num_registers:
      shape = (1, self.num_registers, self.dim)
      self.reg_token = self.param('reg_token', normal, shape)
    norm = functools.partial(
        nn.LayerNorm, epsilon=self.norm_eps, dtype=self.dtype
    )
    if self.pre_norm:
      self.norm_pre = norm()
    self.blocks = [
        transformer_blocks.Block(
            num_heads=self.num_heads,
            mlp_dim=self.hidden_dim,
            dtype=self.dtype,
            cudnn=self.cudnn_attention,
            activation=self.activation,
            layer_scale=self.layer_scale,
            norm_eps=self.norm_eps,
            lora=self.lora,
        )
        for _ in range(self.depth)
    ]
    self.norm = norm()
    if self.pool == 'attention':
      self.attn_pool = attention_pool.AttentionPool(
          num_heads=self.num_heads,
          mlp_dim=self.hidden_dim,
          activation=self.activation,
          norm_eps=self.norm_eps,
          dtype=self.dtype,
      )

  @property
  def hidden_dim(self) -> int:
    """Hidden width of the MLP."""
    return self.mlp_dim or 4 * self.dim

  @property
  def num_prefix(self) -> int:
    """Number of tokens before those of the patches."""
    return self.class_token + self.num_registers

  @property
  def grid(self) -> int:
    """Number of patches along a side of an image."""
    return self.image_size // self.patch_size

  @property
  def num_patches(self) -> int:
    """Number of patches of an image."""
    return self.grid**2

  @property
  def patch_width(self) -> int:
    """Number of values of a patch."""
    return 3 * self.patch_size**2

  @property
  def position_codes(self) -> Float[np.ndarray, '1 n d']:
    """Fixed codes of the cls token, if there is one, and the patches."""
    codes = positions.sincos_2d(self.grid, self.dim)
    return codes[None, not self.class_token :]

  def patches(self, images: Float[Array, 'b h w c']) -> Float[Array, 'b n p']:
    """Returns the pixels of each patch."""
    return patchify(images, self.patch_size)

  def groups(self, patches: Float[Array, 'b n d']) -> Float[Array, '*b n d']:
    """Returns the tokens of patches, grouped as they are averaged."""
    return patches

  def encode(
      self,
      images: Float[Array, 'b *t h w c'],
      keep: Int[Array, 'b k'] | None = None,
      *,
      train: bool,
  ) -> Float[Array, 'b n d']:
    """Returns tokens after the last block, before the norm, patches last.

    `images` are normalised. `keep` has the indices of the patches to encode;
    None means all. Other patches are removed before the embedding.
    """
    patches = self.patches(images).astype(self.dtype)
    if self.positions == 'rotary':
      cls_code = codes = jnp.zeros((), self.dtype)
    else:
      codes = jnp.asarray(self.pos_embed, self.dtype)
      split = int(self.class_token)
      cls_code, codes = codes[:, :split], codes[:, split:]
    if keep is not None:
      patches = jnp.take_along_axis(patches, keep[..., None], axis=1)
      codes = jnp.take_along_axis(codes, keep[..., None], axis=1)
    tokens = self.patch_embed(patches) + codes
    prefix = []
    if self.class_token:
      prefix.append(self.cls_token.astype(self.dtype) + cls_code)
    if self.num_registers:
      prefix.append(self.reg_token.astype(self.dtype))
    prefix = [
        jnp.broadcast_to(x, (tokens.shape[0], *x.shape[1:])) for x in prefix
    ]
    tokens = jnp.concatenate([*prefix, tokens], axis=1)
    if self.pre_norm:
      tokens = self.norm_pre(tokens)
    tokens = transformer_blocks.apply_blocks(
        self.blocks,
        tokens,
        drop_path=self.drop_path,
        remat=self.remat,
        scan=self.scan,
        train=train,
        angles=self._angles(),
    )
    return batch_sharding.shard_batch(tokens)

  def _angles(self) -> Float[Array, '1 n a'] | None:
    """Returns rotary angles of all tokens; those before the patches have none."""
    if self.positions != 'rotary':
      return None
    angles = positions.axial_angles(self.grid, self.dim // self.num_heads)
    angles = np.pad(angles, ((self.num_prefix, 0), (0, 0)))
    return jnp.asarray(angles)[None]

  def __call__(
      self, images: Float[Array, 'b *t h w c'], *, train: bool
  ) -> Float[Array, 'b *s d']:
    """Returns one embedding per image, pooled with `pool`."""
    tokens = self.encode(images, train=train)
    if self.pool == 'cls':
      return self.norm(tokens[:, 0])
    if self.pool not in ('mean_norm', 'mean_raw'):
      tokens = batch_sharding.shard_batch(self.norm(tokens))
    if self.pool == 'attention':
      return self.attn_pool(tokens)
    patches = self.groups(tokens[:, self.num_prefix :])
    mean = jnp.mean(patches, axis=-2, dtype=jnp.float32)
    return self.norm(mean) if self.pool == 'mean_norm' else mean
