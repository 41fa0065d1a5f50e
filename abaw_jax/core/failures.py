"""One line for failures of the machine, such as a full disk."""

from collections.abc import Iterator
import os
import traceback

from abaw_jax.core import errors, storage_errors


def explain(error: BaseException) -> str | None:
  """Returns one line about wrong input or a failure of the machine.

  None means that the exception is a bug.
  """
  if isinstance(error, errors.InputError):
    return str(error)
  for cause in _causes(error):
    line = storage_errors.line(cause) or _missing_platform(cause)
    if line:
      return line
  return None


def is_interrupt(error: BaseException) -> bool:
  """Returns whether Ctrl-C caused an exception, perhaps while it was handled."""
  return any(isinstance(e, KeyboardInterrupt) for e in _causes(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
  """Yields an exception and all that caused it, or that it interrupted."""
  while error is not None:
    yield error
    error = error.__cause__ or error.__context__


def _missing_platform(error: BaseException) -> str | None:
  """Returns a line if JAX found no device of the platform that is asked for."""
  frames = traceback.extract_tb(error.__traceback__)
  if not frames or not frames[-1].filename.endswith('jax/_src/xla_bridge.py'):
    return None
  reason = str(error).partition(' (set JAX_PLATFORMS')[0]
  return (
      f'JAX_PLATFORMS={os.environ.get("JAX_PLATFORMS", "")}: no such device here '
      f'({reason or "its plugin for JAX is not installed"}); unset it to use the '
      'devices of this machine'
  )
