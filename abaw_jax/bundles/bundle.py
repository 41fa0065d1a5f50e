"""Loads a bundle to predict with it."""

from typing import Any

from abaw_jax.bundles import predictor, storage
from abaw_jax.core import files


def load(folder: files.Path, **options: Any) -> predictor.Predictor:
  """Returns the predictor of a bundle, on one device.

  Args:
    folder: folder that `abaw-jax bundle` wrote.
    **options: as for `Predictor`.

  Raises:
    InputError: as `storage.read_bundle`.
  """
  return predictor.Predictor(storage.read_bundle(folder), **options)
