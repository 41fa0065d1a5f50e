"""Memory that a step frees is kept for the next one, where steps run on a CPU."""

import ctypes
import os
import pathlib

_LARGE = 2 << 20  # bytes of what tensors take
_SMALL = 1 << 10  # bytes below which each size has a list of its own

# Parameters of glibc's mallopt(3).
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_M_ARENA_MAX = -8
_NEVER = -1

# Device files of GPUs and TPUs.
_ACCELERATORS = ('nvidia[0-9]*', 'kfd', 'accel*', 'vfio/[0-9]*')


# Whether `keep_freed` holds in this process.
_kept = False


class _Mallinfo(ctypes.Structure):
  """What mallinfo2(3) of glibc returns."""

  _fields_ = [
      (name, ctypes.c_size_t)
      for name in (
          'arena', 'ordblks', 'smblks', 'hblks', 'hblkhd',
          'usmblks', 'fsmblks', 'uordblks', 'fordblks', 'keepcost',
      )
  ]  # fmt: skip


def keep_freed() -> bool:
  """Returns whether freed memory now stays with the process.

  XLA allocates all temporary memory of a step at once, and glibc gives so large
  a piece back to the kernel each time, which clears every page anew: a quarter
  of the step's CPU time is lost. Kept, the piece is the same in every step.

  Call it before JAX starts its threads: each would get an arena of its own, and
  those cannot hold large pieces. Nothing changes where the machine has an
  accelerator (temporary memory is on it then, and many threads that decode
  images are better off with arenas) and where the C library is not glibc.
  """
  if os.environ.get('JAX_PLATFORMS') != 'cpu' and has_accelerator():
    return False
  try:
    mallopt = ctypes.CDLL(None).mallopt
  except (AttributeError, OSError, TypeError):
    return False  # musl, macOS, Windows
  options = {_M_ARENA_MAX: 1, _M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: _NEVER}
  global _kept
  _kept = all(mallopt(name, value) for name, value in options.items())
  return _kept


def retire_fragments() -> int:
  """Takes what a compilation left behind off the allocator's lists, for good.

  A compiler leaves some 100,000 free pieces of all sizes. glibc keeps those of
  about one size in one list, which it walks for each allocation of that size,
  and kernels of XLA allocate thousands of times in a step. So pieces of 1 KiB to
  2 MiB are allocated here and never freed; their pages go back to the kernel
  first. Larger ones stay for tensors.

  Call it when something large was compiled, and only then: what a step has just
  freed is taken as well. Nothing happens unless `keep_freed` holds.

  Returns:
    Bytes that were taken.
  """
  if not _kept:
    return 0
  libc = ctypes.PyDLL(None)  # calls too short to let other threads in between
  try:
    mallinfo = libc.mallinfo2
  except AttributeError:
    return 0  # glibc before 2.33
  mallinfo.restype = _Mallinfo
  for function in (libc.malloc, libc.sbrk):
    function.restype = ctypes.c_void_p
  libc.malloc.argtypes = [ctypes.c_size_t]
  libc.sbrk.argtypes = [ctypes.c_ssize_t]
  libc.free.argtypes = [ctypes.c_void_p]

  libc.malloc_trim(0)
  info = mallinfo()
  # Behind all pieces lies what was never in use. An allocation from there says
  # that no piece is as large any more.
  end = libc.sbrk(0) - info.keepcost
  free = info.fordblks - info.keepcost
  large, taken = [], 0
  size = 1 << free.bit_length()
  while size >= _SMALL and taken < free:
    piece = libc.malloc(size)
    if piece is None or piece >= end:
      libc.free(piece)
      size //= 2
      continue
    taken += size
    if size >= _LARGE:
      large.append((piece, size))
  for piece, size in large:
    libc.free(piece)
    taken -= size
  return taken


def has_accelerator(devices: pathlib.Path = pathlib.Path('/dev')) -> bool:
  """Returns whether the machine shows the device file of a GPU or TPU."""
  return any(any(devices.glob(name)) for name in _ACCELERATORS)
