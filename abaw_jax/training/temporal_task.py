"""The task of a temporal model: windows of cached features."""

from collections.abc import Mapping
import dataclasses
from typing import ClassVar

from jaxtyping import Array, Float, Key, PyTree

from abaw_jax.models import frameworks, variables
from abaw_jax.training import losses

Batch = Mapping[str, Array]
Params = PyTree[Array]


@dataclasses.dataclass(frozen=True)
class TemporalTask:
  """All labels of every frame of a window of cached features."""

  score: ClassVar[str] = 'P_MTL'
  best: ClassVar[str] = 'max'
  unit: ClassVar[str] = 'frames'

  model: frameworks.ShareEncoder
  weights: dict[str, float]
  va_loss: str

  def init(self, key: Key[Array, ''], batch: Batch) -> Params:
    return variables.init(
        self.model, key, batch['features'][:1], batch['frame_mask'][:1]
    )

  def loss(
      self, params: Params, batch: Batch, key: Key[Array, '']
  ) -> tuple[Float[Array, ''], dict[str, Array]]:
    """Returns (weighted sum of the tasks' losses, scalars to log)."""
    output, moved = variables.apply(
        self.model,
        params,
        batch['features'],
        batch['frame_mask'],
        train=True,
        rngs={'dropout': key},
    )
    total, parts = losses.multi_task_loss(
        output, batch, weights=self.weights, va_loss=self.va_loss
    )
    return total, {'loss': total} | parts | moved

  def predict(self, params: Params, batch: Batch) -> dict[str, Array]:
    """Returns a `labels.Output` per frame."""
    output, _ = variables.apply(
        self.model,
        params,
        batch['features'],
        batch['frame_mask'],
        train=False,
    )
    return output
