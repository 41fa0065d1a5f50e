"""Values that a score is made of are what they should be."""

from jaxtyping import Bool
import numpy as np


def check(fine: Bool[np.ndarray, 'n'], fault: str) -> None:
  """Raises ValueError that counts the elements where `fine` is False."""
  bad = np.count_nonzero(~fine)
  if bad:
    raise ValueError(f'{bad} of {fine.size} usable values are {fault}')
