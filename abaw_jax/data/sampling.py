"""The images that training draws: class-balanced, or of a share of the videos."""

import fractions
import functools
import math
from typing import Any

from jaxtyping import Int
import numpy as np

from abaw_jax.core import errors, labels
from abaw_jax.data import order as order_lib
from abaw_jax.data import protocol


class ClassBalanced(protocol.Wrapper):
  """A source of labelled images whose training order is class-balanced.

  Each expression is drawn equally often. Images without an expression are drawn
  as often as without class balance. Evaluation does not change. The records, of one
  dataset or a mixture, have `expression` and `expr`.
  """

  def for_training(self, seed: int) -> order_lib.Shuffled:
    """Returns the examples in the order of training; reads all labels once."""
    classes = self._classes
    present, counts = np.unique(classes, return_counts=True)
    has_class = present < labels.NUM_EXPRESSIONS
    num_labelled = int(counts[has_class].sum())
    weights = [
        fractions.Fraction(num_labelled, int(has_class.sum()))
        if known
        else fractions.Fraction(count)
        for known, count in zip(has_class, counts.tolist(), strict=True)
    ]
    order = order_lib.Order(tuple(counts.tolist()), tuple(weights), seed)
    return order_lib.Shuffled(
        self._source, order, np.argsort(classes, kind='stable')
    )

  @functools.cached_property
  def _classes(self) -> Int[np.ndarray, 'n']:
    """The class of each record; NUM_EXPRESSIONS if it has none."""
    return np.array(
        [
            record['expression'] if record['expr'] else labels.NUM_EXPRESSIONS
            for record in self._source.with_fields('expression', 'expr')
        ]
    )


class VideoShare(protocol.Wrapper):
  """The records of some videos of another source."""

  def __init__(self, source: Any, share: float, seed: int):
    """Chooses the videos; reads the names of all records once.

    Args:
      source: images with the field `video`, of one dataset.
      share: of the videos, in (0, 1]; at least one video is kept.
      seed: the draw of the videos. A larger share has the videos of a smaller
        share with the same seed, and more.

    Raises:
      InputError: the images are not from videos.
    """
    super().__init__(source)
    names = source.names({}).get('video')
    if names is None:
      raise errors.InputError(
          f'config.data.video_share={share}: the images of {source} are not from '
          'videos; set it to 1'
      )
    videos = np.random.default_rng(seed).permutation(np.unique(names))
    self.videos = videos[: math.ceil(share * len(videos))]
    self._indices = np.flatnonzero(np.isin(names, self.videos))

  def with_fields(self, *fields: str) -> 'VideoShare':
    """Returns the same records with these fields only."""
    found = object.__new__(VideoShare)
    vars(found).update(vars(self), _source=self._source.with_fields(*fields))
    return found

  def names(self, rows: protocol.Rows) -> protocol.Rows:
    """Returns the fields that identify each record; see `Source`."""
    found = self._source.names(rows)
    return {key: values[self._indices] for key, values in found.items()}

  def where(self, index: int) -> str:
    """Returns the dataset and the name of a record for error messages."""
    return self._source.where(int(self._indices[index]))

  def __len__(self) -> int:
    return len(self._indices)

  def __getitem__(self, index: int) -> dict[str, Any]:
    return self._source[int(self._indices[index])]

  def __iter__(self):
    return (self[index] for index in range(len(self)))

  def __repr__(self) -> str:
    return f'{type(self).__name__}({self._source!r}, {len(self.videos)} videos)'
