"""A backbone under one weight vector for each of many people.

The vectors are split over all devices of the mesh, and so are the logits: each
device holds those of the whole batch against its own people. With 100,000 people
and 512 numbers each, neither would fit beside the backbone otherwise.
"""

from flax import linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float

from abaw_jax.core import errors
from abaw_jax.models.layers import basic

# 'linear': product with the vector, and a bias; 'cosine': of the angle between
# embedding and vector.
HEADS = ('linear', 'cosine')
# Columns are a multiple of it, so that up to so many devices share them evenly;
# those behind the last person are nobody's.
MULTIPLE = 256

_INIT = nn.initializers.normal(0.01)


def unit(x: Float[Array, '*b'], *, axis: int = -1) -> Float[Array, '*b']:
  """Returns vectors along an axis at length 1; the gradient at 0 is finite."""
  square = jnp.sum(x * x, axis=axis, keepdims=True)
  return x * jax.lax.rsqrt(jnp.maximum(square, 1e-12))


class IdentityModel(nn.Module):
  """A backbone and what tells people apart by its embeddings.

  Attributes:
    backbone: maps normalised images to one embedding each.
    num_classes: people; 0 = not known yet.
    head: one of HEADS.
  """

  backbone: nn.Module
  num_classes: int
  head: str

  @nn.compact
  def __call__(
      self, images: Float[Array, 'b h w 3'], *, train: bool
  ) -> dict[str, Float[Array, 'b _']]:
    """Returns the `embedding` [b, d] and `logits` [b, k], nobody's included.

    Raises:
      InputError: if the number of people is not known.
    """
    if not self.num_classes:
      raise errors.InputError(
          'config.model.num_classes=0: is filled in from the dataset when '
          'training starts; without one, give the number of people'
      )
    embedding = self.backbone(images, train=train)
    logits = Classes(self.num_columns, self.head, name='classes')(embedding)
    return {'embedding': embedding, 'logits': logits}

  @property
  def num_columns(self) -> int:
    """Width of the logits."""
    return -(-self.num_classes // MULTIPLE) * MULTIPLE


class Classes(nn.Module):
  """The vectors of all people.

  Attributes:
    count: columns.
    head: one of HEADS.
  """

  count: int
  head: str

  @nn.compact
  def __call__(self, x: Float[Array, 'b d']) -> Float[Array, 'b k']:
    """Returns a float32 logit for each column, held to a split over columns."""
    kernel = self.param('kernel', _INIT, (x.shape[-1], self.count))
    x = x.astype(jnp.float32)
    if self.head == 'cosine':
      x, kernel = unit(x), unit(kernel, axis=0)
    logits = jnp.matmul(_everywhere(x), kernel)
    if self.head == 'linear':
      bias = self.param('bias', nn.initializers.zeros, (self.count,))
      logits += bias[None]
    return split_columns(logits)


def split_columns(x: Float[Array, 'b k']) -> Float[Array, 'b k']:
  """Returns `x`, held to a split over its last axis where a mesh is set.

  A mesh that does not divide the columns leaves it to XLA.
  """
  mesh = jax.sharding.get_abstract_mesh()
  if mesh.empty or x.shape[-1] % mesh.size:
    return x
  spec = PartitionSpec(None, basic.BATCH_AXES)
  return jax.lax.with_sharding_constraint(x, spec)


def _everywhere(x: Float[Array, 'b d']) -> Float[Array, 'b d']:
  """Returns `x`, a whole copy on every device where a mesh is set."""
  if jax.sharding.get_abstract_mesh().empty:
    return x
  return jax.lax.with_sharding_constraint(x, PartitionSpec())
