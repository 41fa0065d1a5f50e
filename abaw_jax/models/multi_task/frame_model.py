"""The static multi-task model: a backbone and linear heads."""

from flax import linen as nn
from jaxtyping import Array, Float

from abaw_jax.models.multi_task import heads


class FrameModel(nn.Module):
  """A backbone and linear task heads, for single images.

  Attributes:
    backbone: maps normalised images to one embedding each.
    dropout: dropout rate on the embedding.
  """

  backbone: nn.Module
  dropout: float

  def setup(self):
    self.heads = heads.MultiTaskHeads(self.dropout)

  def __call__(
      self, images: Float[Array, 'b h w 3'], *, train: bool
  ) -> dict[str, Array | dict[str, Array]]:
    """Returns a `labels.Output` per image, with its `embedding` [b, d]."""
    embedding = self.backbone(images, train=train)
    return self.heads(embedding, train=train) | {'embedding': embedding}
