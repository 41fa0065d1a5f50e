"""Keeps freed memory in the process, for steps on CPUs with glibc."""

import ctypes
import os
import pathlib

# Parameters of glibc's mallopt(3).
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_M_ARENA_MAX = -8
_NEVER = -1

# Device files of GPUs and TPUs.
_ACCELERATORS = ('nvidia[0-9]*', 'kfd', 'accel*', 'vfio/[0-9]*')


def keep_freed() -> bool:
  """Makes glibc keep freed memory in the process; returns whether it does.

  XLA allocates the temporary memory of a step as one block. By default glibc
  returns such blocks to the kernel, which clears every page again. That costs
  10 to 25% of the CPU time of a step.

  A preloaded tcmalloc is faster, also because XLA's compiler fragments glibc's
  heap: `LD_PRELOAD=libtcmalloc_minimal.so.4 abaw-jax train ...` (package
  libtcmalloc-minimal4 of Debian and Ubuntu) trains ViT-S 1.09 and
  EfficientNet-B0 1.18 times as fast as this function, with 8 images. It is only
  an option, because a process cannot preload a library into itself.

  Call this before JAX starts its threads. Otherwise each thread gets its own
  arena, which cannot hold large blocks. Nothing changes if the machine has an
  accelerator, which holds the temporary memory (decoding threads are faster
  with arenas), or if the C library is not glibc.
  """
  if os.environ.get('JAX_PLATFORMS') != 'cpu' and has_accelerator():
    return False
  try:
    mallopt = ctypes.CDLL(None).mallopt
  except (AttributeError, OSError, TypeError):
    return False  # musl, macOS, Windows
  options = {_M_ARENA_MAX: 1, _M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: _NEVER}
  return all(mallopt(name, value) for name, value in options.items())


def has_accelerator(devices: pathlib.Path = pathlib.Path('/dev')) -> bool:
  """Returns whether the machine has the device file of a GPU or TPU."""
  return any(any(devices.glob(name)) for name in _ACCELERATORS)
