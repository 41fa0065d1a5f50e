"""Label counts of a dataset, and class weights computed from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
import dataclasses
from typing import Any

from jaxtyping import Float, Int
import numpy as np

from abaw_jax.core import errors, labels, numbers

# Fields of a record that are counted, and its masks.
FIELDS = ('expression', 'expr', 'au', 'au_mask', 'va', 'valence', 'arousal')
MASKS = ('va', 'expr', 'au_mask')
# Numerators of class weights that are computed from counts.
CLASS_WEIGHTS = {'counts': 'max', 'mean_counts': 'mean'}
# Equal bins of valence and of arousal in [-1, 1].
NUM_VA_BINS = 40
# Powers of the inverse density that weight a label.
VA_WEIGHTS = {'inverse': 1.0, 'sqrt_inverse': 0.5}


@dataclasses.dataclass(frozen=True, eq=False)
class LabelCounts:
  """Number of rows with each label.

  Attributes:
    expression: rows labelled with each expression.
    au_present: rows in which each AU is present.
    au_known: rows in which each AU is labelled.
    va: rows with labelled valence and arousal.
    bins: labels in each bin of 'valence' and of 'arousal', see `va_bin`.
  """

  expression: Int[np.ndarray, '8']
  au_present: Int[np.ndarray, '12']
  au_known: Int[np.ndarray, '12']
  va: int = 0
  bins: Mapping[str, Int[np.ndarray, '40']] = dataclasses.field(
      default_factory=dict
  )

  @classmethod
  def of(cls, records: Iterable[Mapping[str, Any]]) -> LabelCounts:
    """Returns the counts over all records; a record holds one row or many."""
    expression = np.zeros(labels.NUM_EXPRESSIONS, np.int64)
    au_present = np.zeros(labels.NUM_AUS, np.int64)
    au_known = np.zeros(labels.NUM_AUS, np.int64)
    va = 0
    values = {'valence': [], 'arousal': []}
    for record in records:
      expr = np.atleast_1d(record['expr'])
      classes = np.atleast_1d(record['expression'])[expr]
      np.add.at(expression, classes, 1)
      mask = np.atleast_2d(record['au_mask'])
      au_known += mask.sum(axis=0)
      va += int(np.sum(record['va']))
      for name, found in values.items():
        found.append(np.atleast_1d(record[name])[np.atleast_1d(record['va'])])
      au_present += (mask & (np.atleast_2d(record['au']) == 1)).sum(axis=0)
    bins = {
        name: np.bincount(va_bin(np.concatenate(found)), minlength=NUM_VA_BINS)
        for name, found in values.items()
    }
    return cls(expression, au_present, au_known, va, bins)

  def class_weights(self, numerator: str = 'max') -> Float[np.ndarray, '8']:
    """Returns the numerator / count of each expression; 0 if its count is 0.

    Weight 0 keeps label smoothing from training an expression without rows.

    Args:
      numerator: the 'max' or the 'mean' of the counts that are not 0.
    """
    count = self.expression
    seen = count[count > 0] if count.any() else np.zeros(1)
    top = seen.max() if numerator == 'max' else seen.mean()
    return np.where(count, top / np.maximum(count, 1), 0.0)

  def va_weights(
      self, kind: str, sigma: float
  ) -> dict[str, Float[np.ndarray, '40']]:
    """Returns the weight of each bin of valence and of arousal.

    It is the inverse of the label density after smoothing by a Gaussian (Yang et
    al., arXiv 2102.09554). The mean over all counted labels is 1.

    Args:
      kind: a key of VA_WEIGHTS, 1 / density or its square root.
      sigma: standard deviation of the Gaussian, in the units of a label.
    """
    centre = np.arange(NUM_VA_BINS) * (2 / NUM_VA_BINS)
    distance = (centre[:, None] - centre) / sigma
    kernel = np.exp(-np.square(distance) / 2)
    weights = {}
    for name, count in self.bins.items():
      # A bin with labels has a density of at least 1; the others have no use.
      density = np.maximum(kernel @ count, 1.0)
      weight = density ** -VA_WEIGHTS[kind]
      total = count @ weight
      weights[name] = weight * (count.sum() / total if total else 1.0)
    return weights

  def task_weights(self) -> dict[str, float]:
    """Returns max(count) / count of the labelled rows of each task.

    The count of the AUs is that of the AU with the most labels. A count of 0 is
    taken as 1; the loss of such a task is 0.
    """
    rows = {
        'va': self.va,
        'expr': int(self.expression.sum()),
        'au_mask': int(self.au_known.max()),
    }
    most = max(rows.values())
    return {
        task: most / max(rows[mask], 1) for task, mask in labels.MASKS.items()
    }

  def expression_shares(self) -> Float[np.ndarray, '8']:
    """Returns the frequency of each expression; a count of 0 is taken as 1."""
    return np.maximum(self.expression, 1) / max(self.expression.sum(), 1)

  def au_weights(
      self,
  ) -> tuple[Float[np.ndarray, '12'], Float[np.ndarray, '12']]:
    """Returns n / (2 n_present) and n / (2 n_absent) of each AU.

    With these weights, present and absent contribute equally. n is the number of
    rows in which the AU is labelled. Counts of 0 are taken as 1; no row uses their
    weight.
    """
    n, present = self.au_known, self.au_present
    return n / (2 * np.maximum(present, 1)), n / (
        2 * np.maximum(n - present, 1)
    )


def class_weights(
    text: str, counts: LabelCounts | None
) -> Float[np.ndarray, '8'] | None:
  """Returns a factor for each expression; None means 1.

  Args:
    text: value of `loss.class_weights`.
    counts: of the training labels; None if they are not known.

  Raises:
    InputError: the value is wrong.
  """
  if text == 'none':
    return None
  if text in CLASS_WEIGHTS:
    return counts and counts.class_weights(CLASS_WEIGHTS[text])
  try:
    weights = np.array([numbers.number(x.strip()) for x in text.split(',')])
  except ValueError:
    weights = np.zeros(0)
  if len(weights) != labels.NUM_EXPRESSIONS or min(weights) < 0:
    raise errors.InputError(
        f"config.loss.class_weights={text}: give 'none', 'counts', "
        f"'mean_counts' or {labels.NUM_EXPRESSIONS} numbers of at least 0, "
        f'separated by commas, in the order {", ".join(labels.EXPRESSIONS)}'
    )
  return weights


def va_bin(values: Any) -> Any:
  """Returns the bin of each valence or arousal, 0 .. NUM_VA_BINS - 1.

  Args:
    values: float32 labels in [-1, 1], an array of NumPy or JAX; labels outside get
      the first or the last bin.
  """
  bins = ((values + 1) * (NUM_VA_BINS / 2)).astype('int32')
  return bins.clip(0, NUM_VA_BINS - 1)


def is_labelled(records: Iterable[Mapping[str, Any]]) -> dict[str, bool]:
  """Returns whether any record has a label of `va`, of `expr` and of each AU.

  It reads only as many records as needed.

  Args:
    records: with the fields MASKS; a record holds one row or many.
  """
  names = ('va', 'expr', *labels.AU_NAMES)
  known = np.zeros(len(names), bool)
  for record in records:
    aus = np.atleast_2d(record['au_mask']).any(axis=0)
    known |= [np.any(record['va']), np.any(record['expr']), *aus]
    if known.all():
      break
  return dict(zip(names, known.tolist(), strict=True))
