"""A backbone with or without a linear classifier, as in public weights."""

from flax import linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float


class Classifier(nn.Module):
  """A backbone and, if there are classes, one linear layer.

  Attributes:
    backbone: maps normalised images to one embedding each.
    num_classes: width of the linear layer; 0 means no linear layer.
  """

  backbone: nn.Module
  num_classes: int = 0

  @nn.compact
  def __call__(
      self, images: Float[Array, 'b *t h w 3'], *, train: bool
  ) -> dict[str, Float[Array, 'b *s _']]:
    """Returns the `embedding` [b, d] and, if there are classes, `logits`.

    A video network reads windows of frames, [b, t, h, w, 3], and returns [b, s, d].
    """
    output = {'embedding': self.backbone(images, train=train)}
    if self.num_classes:
      head = nn.Dense(self.num_classes, dtype=jnp.float32, name='head')
      output['logits'] = head(output['embedding'])
    return output
