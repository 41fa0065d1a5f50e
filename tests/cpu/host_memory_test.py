"""Freed memory stays with the process on CPUs, without what a compiler left."""

import json
import subprocess
import sys

import pytest

from abaw_jax.cpu import host_memory

# Takes 256 MiB and frees it, five times, as XLA does; prints the page faults of
# the last time. The allocation is made by another thread, as XLA's are.
PROGRAM = """
import ctypes, resource, sys, threading
from abaw_jax.training import host_memory
if sys.argv[1] == 'keep':
  assert host_memory.keep_freed()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
size = 256 << 20
def step():
  piece = libc.malloc(ctypes.c_size_t(size))
  ctypes.memset(piece, 1, size)
  libc.free(piece)
for _ in range(5):
  before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
  thread = threading.Thread(target=step)
  thread.start()
  thread.join()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

# Leaves free pieces of all sizes between others, and one that a tensor would
# take; prints where such sizes are found then.
FRAGMENTS = """
import ctypes, json, sys
from abaw_jax.training import host_memory
if sys.argv[1] != 'leave':
  assert host_memory.keep_freed()
libc = ctypes.PyDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
tensor = libc.malloc(64 << 20)
pieces = [libc.malloc(size) for size in range(2000, 100_000, 96)]
for piece in pieces[1::2]:
  libc.free(piece)
libc.free(tensor)
taken = host_memory.retire_fragments() if sys.argv[1] == 'retire' else 0
same = libc.malloc(60 << 20) == tensor
found = [libc.malloc(size) for size in (3000, 20_000, 90_000)]
print(json.dumps({
    'taken': taken,
    'fragments': sum(pieces[0] <= piece <= pieces[-1] for piece in found),
    'same tensor': same,
    'again': host_memory.retire_fragments(),
}))
"""


def run(program, how):
  done = subprocess.run(
      [sys.executable, '-c', program, how],
      check=True,
      capture_output=True,
      text=True,
      env={'JAX_PLATFORMS': 'cpu'},
  )
  return json.loads(done.stdout)


def test_kept_memory_is_not_cleared_anew():
  assert run(PROGRAM, 'keep') < 100
  assert run(PROGRAM, 'leave') > 100


def test_fragments_are_found_no_more_and_tensors_keep_their_place():
  kept = run(FRAGMENTS, 'keep')
  assert kept['fragments'] == 3
  retired = run(FRAGMENTS, 'retire')
  assert retired['fragments'] == 0
  assert retired['same tensor']
  freed = sum(range(2096, 100_000, 192))
  assert 0.9 * freed < retired['taken'] < 1.2 * freed


def test_nothing_is_taken_from_a_process_that_gives_memory_back():
  assert run(FRAGMENTS, 'leave')['again'] == 0


@pytest.mark.parametrize('name', ['nvidia0', 'accel3', 'kfd'])
def test_device_files_tell_an_accelerator(tmp_path, name):
  assert not host_memory.has_accelerator(tmp_path)
  (tmp_path / name).touch()
  assert host_memory.has_accelerator(tmp_path)


def test_a_driver_without_a_device_is_none(tmp_path):
  (tmp_path / 'nvidiactl').touch()
  (tmp_path / 'vfio').mkdir()
  (tmp_path / 'vfio' / 'vfio').touch()
  assert not host_memory.has_accelerator(tmp_path)


def test_a_machine_with_an_accelerator_is_left_alone(monkeypatch):
  monkeypatch.delenv('JAX_PLATFORMS', raising=False)
  monkeypatch.setattr(host_memory, 'has_accelerator', lambda: True)
  assert not host_memory.keep_freed()
