"""Task heads: from one embedding per frame to the four outputs."""

from flax import linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from abaw_jax.core import labels
from abaw_jax.models.layers import basic, initializers

# Output width per task, in the order in which tasks are always listed.
TASK_DIMS = {
    'valence': 1,
    'arousal': 1,
    'expression': labels.NUM_EXPRESSIONS,
    'au': labels.NUM_AUS,
}


class TaskHead(nn.Module):
  """MLP with dropout on its input and after every ReLU.

  Reference: AIM3-RUC, the same construction for regressors and classifiers.

  Attributes:
    out_dim: width of the output.
    hidden_dims: widths of the hidden layers; empty means one linear layer.
    dropout: dropout rate.
    law: of the kernels, a key of `initialisation.LAWS`.
  """

  out_dim: int
  hidden_dims: tuple[int, ...] = ()
  dropout: float = 0.0
  law: str = 'default'

  @nn.compact
  def __call__(
      self, x: Float[Array, '*b d'], *, train: bool
  ) -> tuple[Float[Array, '*b k'], Float[Array, '*b f']]:
    """Returns (output, hidden): linear float32 outputs and what they read."""
    kernel_init = initializers.LAWS[self.law]
    x = nn.Dropout(self.dropout)(x, deterministic=not train)
    for i, dim in enumerate(self.hidden_dims):
      x = nn.relu(basic.dense(dim, f'fc{i + 1}', x.dtype, kernel_init)(x))
      x = nn.Dropout(self.dropout)(x, deterministic=not train)
    out = basic.dense(self.out_dim, 'out', jnp.float32, kernel_init)(x)
    return out, x


class MultiTaskHeads(nn.Module):
  """One head per task on a shared embedding.

  Attributes:
    hidden_dims: hidden widths of every head.
    dropout: dropout rate of every head.
  """

  hidden_dims: tuple[int, ...] = ()
  dropout: float = 0.0

  @nn.compact
  def __call__(
      self, x: Float[Array, '*b d'], *, train: bool
  ) -> dict[str, Array | dict[str, Array]]:
    """Returns a `labels.Output`; leading axes are those of `x`."""
    output, hidden = {}, {}
    for task, dim in TASK_DIMS.items():
      head = TaskHead(dim, self.hidden_dims, self.dropout, name=task)
      output[task], hidden[task] = head(x, train=train)
    for task in ('valence', 'arousal'):
      output[task] = output[task][..., 0]
    return output | {'hidden': hidden}
