"""The device that ours and its peer share, and the table that is printed."""

from collections.abc import Callable, Iterable
import os

from abaw_jax.core import cli


def share(device: str) -> None:
  """Lets JAX leave room for PyTorch; ends where JAX runs on something else.

  Call it before JAX is used.

  Args:
    device: 'cpu' or 'gpu'.
  """
  os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
  import jax

  from abaw_jax.cpu import host_memory

  host_memory.keep_freed()  # as the train command does
  if jax.default_backend() != device:
    cli.fail(
        f'--device={device}: JAX runs on {jax.default_backend()}; choose that, '
        'or set JAX_PLATFORMS'
    )


def warm_up(steps: Iterable[Callable[[], object]]) -> None:
  """Runs steps once, which compiles them, then leaves memory as `train` does.

  Once more, and caches are full.
  """
  from abaw_jax.cpu import host_memory

  steps = list(steps)
  for step in steps:
    step()
  host_memory.retire_fragments()
  for step in steps:
    step()


def print_row(*cells: str, head: bool = False) -> None:
  """Prints a row of a table in Markdown, with a line below the first."""
  print(f'| {" | ".join(cells)} |', flush=True)
  if head:
    print(f'|{" --- |" * len(cells)}', flush=True)
