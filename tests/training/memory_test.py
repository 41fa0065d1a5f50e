"""The size of data in memory; `resume_test` compares runs with and without it."""

import pytest

from abaw_jax.checkpoints import runs as runs_lib
from abaw_jax.core import errors
from abaw_jax.data import memory as memory_lib
from abaw_jax.tasks import registry
from abaw_jax.training import loop, memory
from tests.training import runs


def test_the_size_is_printed_before_reading(data_dir, monkeypatch, capsys):
  config = runs.smoke('mae', data_dir, data__in_memory=True)
  task = registry.make_task(config)
  splits = [task.source(split) for split in ('train', 'validation')]
  monkeypatch.setattr(memory_lib, 'free_bytes', lambda: 5_000_000_000)
  held = memory.load(task, *splits)
  count = sum(map(len, splits))
  size = count * 64 * 64 * 3
  assert sum(source.num_bytes for source in held) == size
  assert capsys.readouterr().out == (
      f'{count} images stay in memory: {size / 1e6:.1f} MB, 5.0 GB free\n'
  )


def test_too_little_memory_is_one_line_and_leaves_the_workdir_alone(
    data_dir, tmp_path, monkeypatch
):
  config = runs.smoke('mae', data_dir, data__in_memory=True)
  monkeypatch.setattr(memory_lib, 'free_bytes', lambda: 900_000)
  with pytest.raises(
      errors.InputError,
      match=r'^config\.data\.in_memory=True: the data need [\d.]+ MB, 0\.9 MB '
      r'free; at most 90% may be used: set it to False, or use',
  ):
    loop.train(config, tmp_path)
  assert not runs_lib.is_claimed(tmp_path)
