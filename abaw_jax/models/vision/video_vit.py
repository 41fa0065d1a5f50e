"""The ViT of VideoMAE and MARLIN, which reads a window of frames of a video.

A token is a tubelet: the same patch in consecutive frames. References: Tong et al.,
arXiv 2203.12602; Wang et al., arXiv 2303.16727; Cai et al., arXiv 2211.06627.
"""

from jaxtyping import Array, Float
import numpy as np

from abaw_jax.models.layers import positions
from abaw_jax.models.vision import vit

SPANS = ('tubelet', 'window')


class VideoViT(vit.ViT):
  """A ViT of windows [b, t, h, w, 3]; it has no cls token.

  Attributes:
    num_frames: t, frames of a window; a multiple of `tubelet_size`.
    tubelet_size: frames of a tubelet.
    span: 'tubelet' averages the tokens of the same frames, and gives one embedding
      for each `tubelet_size` frames, [b, t / tubelet_size, d]; 'window' averages
      all tokens, [b, 1, d].
  """

  num_frames: int = 16
  tubelet_size: int = 2
  span: str = 'tubelet'

  @property
  def num_tubelets(self) -> int:
    """Number of tubelets along the time."""
    return self.num_frames // self.tubelet_size

  @property
  def num_patches(self) -> int:
    """Number of tokens of a window."""
    return self.num_tubelets * self.grid**2

  @property
  def patch_width(self) -> int:
    """Number of values of a tubelet."""
    return self.tubelet_size * super().patch_width

  @property
  def position_codes(self) -> Float[np.ndarray, '1 n d']:
    """Fixed codes of the tokens in their order: by time, row and column."""
    return positions.interleaved_sincos(self.num_patches, self.dim)[None]

  def patches(self, images: Float[Array, 'b t h w c']) -> Float[Array, 'b n p']:
    """Returns the pixels of each tubelet, by frame, row, column and channel."""
    b, _, _, _, c = images.shape
    n, t, p, g = (
        self.num_tubelets,
        self.tubelet_size,
        self.patch_size,
        self.grid,
    )
    x = images.reshape(b, n, t, g, p, g, p, c)
    x = x.transpose(0, 1, 3, 5, 2, 4, 6, 7)
    return x.reshape(b, n * g * g, t * p * p * c)

  def groups(self, patches: Float[Array, 'b n d']) -> Float[Array, 'b s m d']:
    """Returns the tokens of each embedding."""
    count = 1 if self.span == 'window' else self.num_tubelets
    return patches.reshape(len(patches), count, -1, patches.shape[-1])
