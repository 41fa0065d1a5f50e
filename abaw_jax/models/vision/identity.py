"""A backbone and a classifier with one weight vector per identity.

Weight vectors and logits are split over all devices of the mesh: each device
has the logits of all images for its own identities. With 100,000 identities and
512 channels, they would not fit on one device with the backbone.
"""

from flax import linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float

from abaw_jax.core import errors
from abaw_jax.models.layers import batch_sharding

# 'linear': product with the weight vector, plus a bias. 'cosine': cosine of the
# angle between embedding and weight vector.
HEADS = ('linear', 'cosine')
# The number of columns is a multiple of this, so that up to 256 devices share
# them evenly. Columns after the last identity are padding.
COLUMN_MULTIPLE = 256

_INITIALIZER = nn.initializers.normal(0.01)


def l2_normalize(
    x: Float[Array, '*b'], *, axis: int = -1
) -> Float[Array, '*b']:
  """Returns vectors with length 1 along `axis`; the gradient at 0 is finite."""
  square = jnp.sum(x * x, axis=axis, keepdims=True)
  return x * jax.lax.rsqrt(jnp.maximum(square, 1e-12))


class IdentityModel(nn.Module):
  """A backbone and a classifier of identities.

  Attributes:
    backbone: maps normalised images to one embedding each.
    num_classes: number of identities; 0 means not known yet.
    head: one of HEADS.
  """

  backbone: nn.Module
  num_classes: int
  head: str

  @nn.compact
  def __call__(
      self, images: Float[Array, 'b h w 3'], *, train: bool
  ) -> dict[str, Float[Array, 'b _']]:
    """Returns the `embedding` [b, d] and `logits` [b, k] with padded columns.

    Raises:
      InputError: if the number of identities is not known.
    """
    if not self.num_classes:
      raise errors.InputError(
          'config.model.num_classes=0: training takes the number from the '
          'dataset; without a dataset give the number of identities'
      )
    embedding = self.backbone(images, train=train)
    logits = Classes(self.num_columns, self.head, name='classes')(embedding)
    return {'embedding': embedding, 'logits': logits}

  @property
  def num_columns(self) -> int:
    """Width of the logits, with padded columns."""
    return -(-self.num_classes // COLUMN_MULTIPLE) * COLUMN_MULTIPLE


class Classes(nn.Module):
  """The weight vectors of all identities.

  Attributes:
    count: number of columns.
    head: one of HEADS.
  """

  count: int
  head: str

  @nn.compact
  def __call__(self, x: Float[Array, 'b d']) -> Float[Array, 'b k']:
    """Returns a float32 logit per column, split over the columns."""
    kernel = self.param('kernel', _INITIALIZER, (x.shape[-1], self.count))
    x = x.astype(jnp.float32)
    if self.head == 'cosine':
      x, kernel = l2_normalize(x), l2_normalize(kernel, axis=0)
    logits = jnp.matmul(_replicate(x), kernel)
    if self.head == 'linear':
      bias = self.param('bias', nn.initializers.zeros, (self.count,))
      logits += bias[None]
    return split_columns(logits)


def split_columns(x: Float[Array, 'b k']) -> Float[Array, 'b k']:
  """Returns `x`, constrained to a split over its last axis if a mesh is set.

  If the mesh does not divide the columns, XLA chooses the split.
  """
  mesh = jax.sharding.get_abstract_mesh()
  if mesh.empty or x.shape[-1] % mesh.size:
    return x
  spec = PartitionSpec(None, batch_sharding.BATCH_AXES)
  return jax.lax.with_sharding_constraint(x, spec)


def _replicate(x: Float[Array, 'b d']) -> Float[Array, 'b d']:
  """Returns `x`, replicated on every device if a mesh is set."""
  if jax.sharding.get_abstract_mesh().empty:
    return x
  return jax.lax.with_sharding_constraint(x, PartitionSpec())
