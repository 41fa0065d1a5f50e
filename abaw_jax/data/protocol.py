"""The interface of every data source: training, evaluation and messages."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from abaw_jax.core import fingerprint
from abaw_jax.data import order as order_lib

Rows = dict[str, np.ndarray]


@runtime_checkable
class TrainingExamples(Protocol):
  """The endless examples of training, epoch after epoch."""

  def __getitem__(self, index: int) -> dict[str, Any]:
    """Returns the fields of one example."""
    ...

  def where(self, index: int) -> str:
    """Returns the name of an example for error messages, see `Source.where`."""
    ...

  def batch(self, indices: Sequence[int], *, rows: int) -> Rows | None:
    """Returns the batch of some examples, or None; see `Source.batch`."""
    ...

  def num_examples(self, epochs: float | int) -> float | int:
    """Returns the number of examples in `epochs` epochs.

    It includes padding examples, if batches of this source have them.
    """
    ...


@runtime_checkable
class Source(Protocol):
  """A split of a dataset.

  A class that inherits from it defines `__len__`, `__getitem__` and `names`. It
  then trains on a new permutation in each epoch, and evaluates in order.
  """

  def __len__(self) -> int:
    """Returns the number of examples in one epoch."""
    ...

  def __getitem__(self, index: int) -> dict[str, Any]:
    """Returns the fields of one example."""
    ...

  def where(self, index: int) -> str:
    """Returns the name of an example for error messages.

    It is empty if the errors of the transform already name the example.
    """
    del index
    return ''

  def batch(self, indices: Sequence[int], *, rows: int) -> Rows | None:
    """Returns the batch of some examples, padded to `rows`, if that is faster.

    It is the same batch as the task's transform makes. None means that the examples
    must be read one by one and transformed.
    """
    del indices, rows
    return None

  def for_training(self, seed: int) -> TrainingExamples:
    """Returns the examples in the order of training.

    Args:
      seed: any integer from 0; the order depends on nothing else.
    """
    return order_lib.Shuffled(self, order_lib.Order((len(self),), None, seed))

  def for_evaluation(self) -> 'Source':
    """Returns a source that contains every frame exactly once."""
    return self

  def listed(self, rows: Mapping[str, np.ndarray]) -> Rows:
    """Returns the predictions of every row of the split's list.

    Args:
      rows: one array per field; one entry per frame that was evaluated.
    """
    return dict(rows)

  def fingerprints(self) -> dict[str, fingerprint.Fingerprint]:
    """Returns the fingerprint of each dataset of this source, by name."""
    return {}

  def names(self, rows: Mapping[str, np.ndarray]) -> Rows:
    """Returns the fields that identify each row, such as `video`.

    Args:
      rows: predictions, as `listed` returns them.
    """
    ...


class Wrapper(Source):
  """The records of another source; subclasses change their order or content."""

  def __init__(self, source: Any):
    """Keeps the source, which has `with_fields`."""
    self._source = source

  def with_fields(self, *fields: str) -> Any:
    """Returns the records of the other source with these fields only."""
    return self._source.with_fields(*fields)

  def fingerprints(self) -> dict[str, fingerprint.Fingerprint]:
    """Returns the fingerprint of each dataset, by name."""
    return self._source.fingerprints()

  def names(self, rows: Mapping[str, np.ndarray]) -> Rows:
    """Returns the fields that identify each record; see `Source`."""
    return self._source.names(rows)

  def where(self, index: int) -> str:
    """Returns the dataset and the name of a record for error messages."""
    return self._source.where(index)

  def __len__(self) -> int:
    return len(self._source)

  def __getitem__(self, index: int) -> dict[str, Any]:
    return self._source[index]

  def __repr__(self) -> str:
    return f'{type(self).__name__}({self._source!r})'
