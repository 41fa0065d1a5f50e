"""The task protocol: all that the system asks of a kind of training."""

from __future__ import annotations

import abc
from collections.abc import Collection, Mapping
import dataclasses
import json
from typing import Any, ClassVar

from flax import linen as nn
from jaxtyping import Array, Float, Key, PyTree
import numpy as np

from abaw_jax.core import errors, files, fingerprint, storage_errors
from abaw_jax.data import pipeline
from abaw_jax.models import flops

Batch = Mapping[str, PyTree[Array]]
Params = PyTree[Array]
Rows = Mapping[str, np.ndarray]

# Top-level name of learned weights of losses. The optimizer neither decays nor
# clips them.
LOSS_WEIGHTS = 'loss_weights'
# Top-level name of weights that only training needs. Checkpoints have them, so that a
# run resumes; nothing else reads them.
IDENTITY_HEAD = 'identity_head'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task(abc.ABC):
  """A kind of training: its data, model, loss, predictions and scores.

  A subclass in a file of its own, listed in `registry.TASKS`, is a new task.
  `init`, `loss`, `predict`, `rows` and `draw` are pure functions that run inside
  jit; augmentation belongs to them, because it runs on the device.

  Attributes:
    config: plain nested dict of the experiment.
    model: the network.
  """

  # Value of `config.model.name`.
  name: ClassVar[str]
  # Key of `scores` that selects the best checkpoint, and its direction.
  score: ClassVar[str] = 'score'
  best: ClassVar[str] = 'max'
  # Key of `scores` by part that can have best weights of its own.
  part_scores: ClassVar[Mapping[str, str]] = {}
  # Name of a row of a batch.
  unit: ClassVar[str] = 'images'
  # Procedural dataset that it reads by default, a key of
  # `workflow.procedural.STAGES`.
  default_data: ClassVar[str] = 'frames'
  # Top-level part of the parameters that is the backbone.
  backbone: ClassVar[str] = 'backbone'
  # Other models whose backbone may start this one.
  starts_from: ClassVar[tuple[str, ...]] = ()
  # Whether it predicts valence, arousal, expression and AUs.
  predicts_labels: ClassVar[bool] = False
  # Whether other projects have a layout for the whole model, not only for its
  # backbone.
  has_layout: ClassVar[bool] = False
  # Fields of a batch that scoring needs next to the predictions.
  scored_fields: ClassVar[tuple[str, ...]] = ()
  # Name of the picture that `draw` makes ('' means none), its columns, and those
  # that are shown on request.
  picture: ClassVar[str] = ''
  columns: ClassVar[tuple[str, ...]] = ()
  extra_columns: ClassVar[tuple[str, ...]] = ()

  config: Mapping[str, Any] = dataclasses.field(repr=False, compare=False)
  model: nn.Module

  @classmethod
  @abc.abstractmethod
  def from_config(cls, config: Mapping[str, Any]) -> Task:
    """Returns the task of a config; raises InputError if a value is wrong."""

  @classmethod
  def complete(cls, config: dict[str, Any]) -> dict[str, Any]:
    """Returns the config with the values that follow from its dataset."""
    return config

  @classmethod
  def feature_outputs(cls, model: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the outputs of a `model` section that can serve as features.

    The embedding of the backbone is one without being named.
    """
    del model
    return ()

  @classmethod
  def stored(
      cls, model: Mapping[str, Any], shapes: Mapping[str, Any]
  ) -> Mapping[str, Any]:
    """Returns the shapes of parameters that weights to start from must have.

    Args:
      model: `model` section of those weights, of a model of the same name.
      shapes: of the parameters of the new model.

    Returns:
      `shapes` itself, or a new dict of top-level parts; then other parts are
      ignored.
    """
    del model
    return shapes

  # Data.

  @abc.abstractmethod
  def source(self, split: str) -> Any:
    """Returns the random-access source of a split, see `data.protocol`."""

  @abc.abstractmethod
  def transform(self, *, train: bool = False) -> pipeline.Transform:
    """Returns the function from records, and `rows`, to a batch; picklable."""

  def in_memory(
      self, source: Any, *, shard_index: int = 0, shard_count: int = 1
  ) -> Any:
    """Returns a source with the same examples, a `memory.Fillable`.

    Args:
      source: of a split.
      shard_index: index of this host.
      shard_count: number of hosts that evaluate the split together; 1 for a split
        to train on.

    Raises:
      InputError: the task cannot keep its data in memory.
    """
    raise errors.InputError(
        f'config.data.in_memory=True: a {self.name} task reads its data from disk '
        'only; set it to False'
    )

  def empty_record(self, *, feature_dim: int = 0) -> Mapping[str, Any]:
    """Returns a record without content, for the shapes of a batch.

    Args:
      feature_dim: width of cached features, for tasks that read them.

    Raises:
      InputError: the shapes do not follow from the config alone.
    """
    del feature_dim
    raise errors.InputError(
        f'config.model.name={self.name}: the shapes of its batches follow from '
        'a dataset only; give --config.data.dir=DATA_DIR'
    )

  # Training.

  def fitted(self, source: Any) -> Task:
    """Returns the task with the values that it takes from training labels."""
    del source
    return self

  def untrained(self, source: Any) -> dict[str, str]:
    """Returns the outputs that training leaves random, with the reasons.

    Args:
      source: training split.
    """
    del source
    return {}

  @abc.abstractmethod
  def init(self, key: Key[Array, ''], batch: Batch) -> Params:
    """Returns new parameters for batches of this shape."""

  @abc.abstractmethod
  def loss(
      self, params: Params, batch: Batch, key: Key[Array, '']
  ) -> tuple[Float[Array, ''], dict[str, Any]]:
    """Returns (loss to minimise, scalars to log).

    The scalars also hold the updated `batch_stats` of a model that has them, and
    the next `carry`, which the next batch receives.
    """

  def statistics(self, source: Any) -> dict[str, Any]:
    """Returns running statistics of the training data, by path, to start with."""
    del source
    return {}

  def carry(self) -> PyTree[Array]:
    """Returns the state that goes from batch to batch, before the first one."""
    return {}

  def flops(self, batch: Batch) -> int:
    """Returns the model FLOPs of training on one row of a batch like this."""
    freeze = self.config['optim']['freeze']
    return flops.train_flops(self.model, batch, freeze=freeze)

  @property
  def rates(self) -> Mapping[str, float]:
    """Learning rate of a part of the model / `optim.lr`; 1 for other parts."""
    return {}

  @property
  def num_blocks(self) -> int:
    """Transformer blocks of the backbone, for layer-wise decay; 0 means none."""
    return 0

  # Predictions.

  @abc.abstractmethod
  def predict(self, params: Params, batch: Batch) -> dict[str, PyTree[Array]]:
    """Returns the outputs of the model for every row, by name.

    They also hold the next `carry` of a task that has one.
    """

  def rows(self, output: Batch, batch: Batch) -> dict[str, Array]:
    """Returns the arrays that scoring reads: predictions as `pred_<name>`."""
    fields = {k: batch[k] for k in self.scored_fields if k in batch}
    return fields | {f'pred_{k}': v for k, v in output.items()}

  @abc.abstractmethod
  def scores(self, rows: Rows) -> dict[str, float]:
    """Returns all scores of a split; raises InputError if they have none."""

  def summary(self, scores: Mapping[str, float]) -> str:
    """Returns the scores in one line."""
    return f'{self.score} {scores[self.score]:.4f}'

  def part_total(self, parts: Mapping[str, float]) -> float:
    """Returns the score of a system whose parts have these scores.

    Args:
      parts: score by key of `part_scores`; NaN for a part without one.
    """
    return float(sum(parts.values()))

  def table(
      self, scores: Mapping[str, float], untrained: Collection[str] = ()
  ) -> list[str]:
    """Returns the lines of a table of all scores; marks those of `untrained`."""
    del scores, untrained
    return []

  def write(
      self,
      path: files.Path,
      rows: Rows,
      data: Mapping[str, fingerprint.Fingerprint],
  ) -> None:
    """Writes predictions as `.npz`.

    Args:
      path: of the file.
      rows: arrays by name, with the names of the source.
      data: fingerprint of each predicted dataset, by name.
    """
    with (
        storage_errors.writing(path.parent, path.name),
        files.replacing(path) as temporary,
        temporary.open('wb') as stream,
    ):
      np.savez_compressed(stream, **rows, data=json.dumps(data))

  def draw(
      self, params: Params, images: Array, key: Key[Array, '']
  ) -> dict[str, Array]:
    """Returns all columns, uint8 images [b, h, w, 3] each, and the `loss` [b].

    Empty for a task without a `picture`.
    """
    del params, images, key
    return {}
