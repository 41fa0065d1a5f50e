"""The Vision Transformer, with the names and the mathematics of MAE's encoder.

References: Dosovitskiy et al., arXiv 2010.11929; He et al., arXiv 2111.06377.
"""

from flax import linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int
import numpy as np

from abaw_jax.models import layers, positions


def patchify(
    images: Float[Array, 'b h w c'], patch_size: int
) -> Float[Array, 'b n d']:
  """Returns flat patches, row by row; d = patch_size**2 * c, channels last."""
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
  """Vision transformer with fixed sine-cosine positions and a cls token.

  Attributes:
    image_size: side of the square input in pixels; a multiple of `patch_size`.
    patch_size: side of a patch in pixels.
    dim: width of a token.
    depth: number of blocks.
    num_heads: attention heads per block.
    pool: 'mean' averages the patch tokens, 'cls' takes the cls token.
    mlp_ratio: width of the MLP over `dim`.
    drop_path: stochastic depth of the last block; grows linearly from 0.
    dtype: compute dtype; parameters are float32.
  """

  image_size: int
  patch_size: int
  dim: int
  depth: int
  num_heads: int
  pool: str = 'mean'
  mlp_ratio: float = 4.0
  drop_path: float = 0.0
  dtype: DTypeLike = jnp.float32

  def setup(self):
    self.patch_embed = nn.Dense(
        self.dim,
        kernel_init=nn.initializers.xavier_uniform(),
        dtype=self.dtype,
    )
    self.cls_token = self.param(
        'cls_token', nn.initializers.normal(0.02), (1, 1, self.dim)
    )
    rates = np.linspace(0.0, self.drop_path, self.depth)
    self.blocks = [
        layers.Block(
            num_heads=self.num_heads,
            mlp_dim=int(self.dim * self.mlp_ratio),
            drop_path=float(rate),
            dtype=self.dtype,
        )
        for rate in rates
    ]
    self.norm = nn.LayerNorm(epsilon=1e-6, dtype=self.dtype)

  @property
  def num_patches(self) -> int:
    """Number of patches of an image."""
    return (self.image_size // self.patch_size) ** 2

  def encode(
      self,
      images: Float[Array, 'b h w c'],
      keep: Int[Array, 'b k'] | None = None,
      *,
      train: bool,
  ) -> Float[Array, 'b n d']:
    """Returns normalised tokens, the cls token first.

    Args:
      images: normalised images of side `image_size`.
      keep: indices of the patches to encode; None means all. Patches are
        gathered before they are embedded, so hidden ones cost nothing.
      train: whether stochastic depth is drawn.
    """
    patches = patchify(images, self.patch_size).astype(self.dtype)
    codes = jnp.asarray(
        positions.sincos_2d(self.image_size // self.patch_size, self.dim),
        self.dtype,
    )
    cls_code, codes = codes[:1], codes[None, 1:]
    if keep is not None:
      patches = jnp.take_along_axis(patches, keep[..., None], axis=1)
      codes = jnp.take_along_axis(codes, keep[..., None], axis=1)
    tokens = self.patch_embed(patches) + codes
    cls_token = self.cls_token.astype(self.dtype) + cls_code[None]
    cls_tokens = jnp.broadcast_to(
        cls_token, (tokens.shape[0], 1, tokens.shape[-1])
    )
    tokens = jnp.concatenate([cls_tokens, tokens], axis=1)
    for block in self.blocks:
      tokens = block(tokens, train=train)
    return layers.split_batch(self.norm(layers.split_batch(tokens)))

  def __call__(
      self, images: Float[Array, 'b h w c'], *, train: bool
  ) -> Float[Array, 'b d']:
    """Returns one embedding per image, pooled as `pool` says."""
    tokens = self.encode(images, train=train)
    if self.pool == 'cls':
      return tokens[:, 0]
    return jnp.mean(tokens[:, 1:], axis=1, dtype=jnp.float32)
