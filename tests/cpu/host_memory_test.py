"""On CPUs freed memory stays in the process; accelerators are detected."""

import subprocess
import sys

import pytest

from abaw_jax.cpu import host_memory

# Allocates and frees 256 MiB five times, in another thread like XLA. Prints the
# page faults of the last time.
PROGRAM = """
import ctypes, resource, sys, threading
from abaw_jax.cpu import host_memory
if sys.argv[1] == 'keep':
  assert host_memory.keep_freed()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
size = 256 << 20
def step():
  block = libc.malloc(ctypes.c_size_t(size))
  ctypes.memset(block, 1, size)
  libc.free(block)
for _ in range(5):
  before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
  thread = threading.Thread(target=step)
  thread.start()
  thread.join()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(mode):
  done = subprocess.run(
      [sys.executable, '-c', PROGRAM, mode],
      check=True,
      capture_output=True,
      text=True,
      env={'JAX_PLATFORMS': 'cpu'},
  )
  return int(done.stdout)


def test_kept_memory_is_not_cleared_again():
  assert page_faults('keep') < 100
  assert page_faults('default') > 100


@pytest.mark.parametrize('name', ['nvidia0', 'accel3', 'kfd'])
def test_a_device_file_means_an_accelerator(tmp_path, name):
  assert not host_memory.has_accelerator(tmp_path)
  (tmp_path / name).touch()
  assert host_memory.has_accelerator(tmp_path)


def test_a_driver_without_a_device_is_not_an_accelerator(tmp_path):
  (tmp_path / 'nvidiactl').touch()
  (tmp_path / 'vfio').mkdir()
  (tmp_path / 'vfio' / 'vfio').touch()
  assert not host_memory.has_accelerator(tmp_path)


def test_nothing_changes_on_a_machine_with_an_accelerator(monkeypatch):
  monkeypatch.delenv('JAX_PLATFORMS', raising=False)
  monkeypatch.setattr(host_memory, 'has_accelerator', lambda: True)
  assert not host_memory.keep_freed()
