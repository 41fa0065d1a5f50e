"""The 15 label columns of a frame in the files of AIM3-RUC.

They are valence, arousal, expression and the 12 AUs, with the values and sentinels
of `labels`.
"""

from jaxtyping import Float, Shaped
import numpy as np

from abaw_jax.core import errors, labels

WIDTH = 3 + labels.NUM_AUS
# A frame has all AUs or none, as in the rules of the challenge; or every AU is
# used that a frame has, as in the loss of AIM3-RUC.
AU_LABELS = ('rows', 'entries')
_LAST = labels.NUM_EXPRESSIONS - 1
# Columns, smallest value, largest value and sentinel.
_RANGES = {
    'valence': (slice(0, 1), -1, 1, labels.VA_MISSING),
    'arousal': (slice(1, 2), -1, 1, labels.VA_MISSING),
    'expression': (slice(2, 3), 0, _LAST, labels.EXPRESSION_MISSING),
    'AU': (slice(3, WIDTH), 0, 1, labels.AU_MISSING),
}


def check(label: Shaped[np.ndarray, 't k'], where: str) -> None:
  """Raises an InputError that names the first invalid value of each kind."""
  for name, (columns, low, high, missing) in _RANGES.items():
    values = label[:, columns]
    known = (values >= low) & (values <= high)
    if name in ('expression', 'AU'):
      known &= values == np.round(values)
    bad = ~(known | (values == missing))
    if bad.any():
      row, column = np.argwhere(bad)[0]
      raise errors.InputError(
          f'{where}: row {row}: {name} is {values[row, column]:g}; it must be '
          f'{low} to {high}, or {missing:g} if it is missing'
      )


def missing(count: int) -> Float[np.ndarray, 't k']:
  """Returns the label columns of `count` frames without labels."""
  label = np.full((count, WIDTH), labels.AU_MISSING, np.float64)
  label[:, :2] = labels.VA_MISSING
  label[:, 2] = labels.EXPRESSION_MISSING
  return label


def num_incomplete(label: Shaped[np.ndarray, 't k']) -> int:
  """Returns the number of frames that have some AUs, but not all of them."""
  known = label[:, 3:] != labels.AU_MISSING
  return int((known.any(axis=-1) & ~known.all(axis=-1)).sum())


def columns(
    label: Shaped[np.ndarray, 't k'], au_labels: str
) -> dict[str, np.ndarray]:
  """Returns labels and masks by their names in the `sequences` schema."""
  au = label[:, 3:].astype(np.int8)
  known = au != labels.AU_MISSING
  if au_labels == 'rows':
    known[~known.all(axis=-1)] = False
  return {
      'valence': label[:, 0].astype(np.float32),
      'arousal': label[:, 1].astype(np.float32),
      'expression': label[:, 2].astype(np.int32),
      'au': au,
      'va': (label[:, :2] != labels.VA_MISSING).all(axis=-1),
      'expr': label[:, 2] != labels.EXPRESSION_MISSING,
      'au_mask': known,
  }
