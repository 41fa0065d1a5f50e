"""Task heads, from one embedding per frame to the outputs of all tasks."""

from flax import linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from abaw_jax.core import labels
from abaw_jax.models.layers import dense, initializers

# Output width of each task; every list of tasks has this order.
TASK_DIMS = {
    'valence': 1,
    'arousal': 1,
    'expression': labels.NUM_EXPRESSIONS,
    'au': labels.NUM_AUS,
}


class TaskHead(nn.Module):
  """MLP with dropout on its input and after every ReLU.

  Reference: AIM3-RUC, for regression and classification.

  Attributes:
    out_dim: output width.
    hidden_dims: widths of the hidden layers; () means one linear layer.
    dropout: dropout rate.
    initializer: initializer of the kernels, a key of `initializers.KERNELS`.
  """

  out_dim: int
  hidden_dims: tuple[int, ...] = ()
  dropout: float = 0.0
  initializer: str = 'default'

  @nn.compact
  def __call__(
      self, x: Float[Array, '*b d'], *, train: bool
  ) -> tuple[Float[Array, '*b k'], Float[Array, '*b f']]:
    """Returns (float32 output, hidden state: the input of the last layer)."""
    kernel_init = initializers.KERNELS[self.initializer]
    x = nn.Dropout(self.dropout)(x, deterministic=not train)
    for i, dim in enumerate(self.hidden_dims):
      x = nn.relu(dense.dense(dim, f'fc{i + 1}', x.dtype, kernel_init)(x))
      x = nn.Dropout(self.dropout)(x, deterministic=not train)
    out = dense.dense(self.out_dim, 'out', jnp.float32, kernel_init)(x)
    return out, x


class MultiTaskHeads(nn.Module):
  """One linear head per task on a shared embedding, after dropout."""

  dropout: float

  @nn.compact
  def __call__(
      self, x: Float[Array, '*b d'], *, train: bool
  ) -> dict[str, Array | dict[str, Array]]:
    """Returns a `labels.Output` with the leading axes of `x`."""
    output, hidden = {}, {}
    for task, dim in TASK_DIMS.items():
      head = TaskHead(dim, dropout=self.dropout, name=task)
      output[task], hidden[task] = head(x, train=train)
    for task in ('valence', 'arousal'):
      output[task] = output[task][..., 0]
    return output | {'hidden': hidden}
