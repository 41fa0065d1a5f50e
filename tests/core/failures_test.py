"""Ctrl-C and failures of the machine are one line."""

import os
import signal
import subprocess
import sys

from array_record.python import array_record_module
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet
import pytest
import safetensors.numpy

from abaw_jax.core import failures, storage_errors
from tests.core import disks
from tests.training import runs

# A command whose main function is the code of the test.
SCRIPT = """
import sys
from abaw_jax.core import cli
def main():
  exec(sys.stdin.read(), {})
if __name__ == '__main__':
  cli.run(main, 'A command of a test.')
"""
DEVICES = 'import jax; jax.devices()'
# Python drops an exception in __del__.
LOST = """
import os, signal, time
class Lost:
  def __del__(self):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0)
Lost()
time.sleep(60)
"""
CLEANUP = """
try:
  raise KeyboardInterrupt
finally:
  raise ValueError('the cleanup was interrupted')
"""
WORKERS = """
from tests.checkpoints import deaths
batches = deaths.batches(2)
print('starting', flush=True)
while True:
  next(batches)
"""


def start(code: str, **env: str) -> subprocess.Popen:
  process = subprocess.Popen(
      [sys.executable, '-c', SCRIPT],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
      env=runs.environment(**env),
      start_new_session=True,
  )
  process.stdin.write(code)
  process.stdin.close()
  process.stdin = None
  return process


@pytest.mark.parametrize('platform', ['cuda', 'tpu'])
def test_a_platform_that_is_not_there_is_one_line(platform):
  status, _, err = runs.finish(start(DEVICES, JAX_PLATFORMS=platform))
  assert (status, err.count('\n')) == (2, 1), err
  assert f'error: JAX_PLATFORMS={platform}: no such device here' in err


def test_a_device_without_enough_memory_is_one_line():
  with pytest.raises(Exception, match='RESOURCE_EXHAUSTED') as caught:
    jnp.zeros(2**50, jnp.uint8).block_until_ready()
  line = failures.explain(caught.value)
  assert line.startswith('the device has too little memory (RESOURCE_EXHAUSTED')
  assert '\n' not in line


def test_libtpu_is_quiet_on_a_machine_without_a_tpu():
  status, _, err = runs.finish(start(DEVICES, JAX_PLATFORMS=''))
  assert (status, err) == (0, '')


@pytest.mark.parametrize('code', [LOST, CLEANUP], ids=['lost', 'cleanup'])
def test_ctrl_c_is_one_line(code):
  status, _, err = runs.finish(start(code))
  assert (status, err) == (130, 'interrupted\n')


@pytest.mark.parametrize('seconds', [0.0, 1.0])
def test_ctrl_c_with_workers_is_one_line(seconds):
  process = start(WORKERS)
  assert process.stdout.readline() == 'starting\n'
  with pytest.raises(subprocess.TimeoutExpired):
    process.wait(seconds)
  os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it
  status, _, err = runs.finish(process)
  assert (status, err) == (130, 'interrupted\n')


def _array_record(path, values):
  writer = array_record_module.ArrayRecordWriter(os.fspath(path), '')
  writer.write(values.tobytes())
  writer.close()


WRITERS = {
    'npz': lambda path, x: np.savez_compressed(path, x=x),
    'parquet': lambda path, x: parquet.write_table(pa.table({'x': x}), path),
    'csv': lambda path, x: csv.write_csv(pa.table({'x': x}), path),
    'safetensors': lambda path, x: safetensors.numpy.save_file({'x': x}, path),
    'array_record': _array_record,
}


@pytest.mark.parametrize('suffix', WRITERS)
def test_a_full_disk_is_one_line_for_every_writer(tmp_path, suffix):
  values = np.random.default_rng(0).random(20_000)
  with disks.full(1000), pytest.raises(Exception, match=r'\S') as caught:
    WRITERS[suffix](tmp_path / f'a.{suffix}', values)
  line = storage_errors.line(caught.value)
  assert 'File too large' in line
  assert '\n' not in line


def test_other_errors_keep_their_traceback():
  assert storage_errors.line(FileNotFoundError(2, 'no such file', 'x')) is None
  assert storage_errors.line(ValueError('a bug')) is None
