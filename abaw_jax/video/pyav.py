"""Imports PyAV when it is needed."""

import types

from abaw_jax.core import errors


def load(path: object) -> types.ModuleType:
  """Returns the module `av`.

  Args:
    path: file that needs it, for the message.

  Raises:
    InputError: it is not installed.
  """
  try:
    import av
  except ImportError as e:
    raise errors.InputError(
        f"{path}: videos need PyAV; pip install 'abaw_jax[video]'"
    ) from e
  return av


def line(error: Exception) -> str:
  """Returns the cause of an error of FFmpeg in a few words."""
  return getattr(error, "strerror", None) or type(error).__name__
