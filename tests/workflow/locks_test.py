"""Every command that fills a folder refuses one that another command fills."""

import errno
import json

import numpy as np
import pytest

from abaw_jax.checkpoints import weights
from abaw_jax.core import errors
from abaw_jax.data_builders.s_aff_wild2 import records
from tests.core import locked
from tests.data_builders import aff_wild2_tree as tree
from tests.data_builders import built
from tests.training import runs

MTL = '--config=mtl:smoke'
# Command -> arguments; the folder is the last one.
COMMANDS = {
    'abaw_jax.train': (MTL, '--workdir='),
    'abaw_jax.crossvalidate': (MTL, '--workdir='),
    'abaw_jax.dependency': (MTL, '--workdir='),
    'abaw_jax.sweep': (MTL, '--sweep=optim.lr=1,2', '--workdir='),
    'abaw_jax.demo': ('--workdir=',),
    'abaw_jax.data_builders.procedural.__main__': ('--out=',),
}


def content(folder) -> dict:
  """Returns the bytes of every file, and None for a folder, by path."""
  return {
      path: path.read_bytes() if path.is_file() else None
      for path in folder.rglob('*')
  }


def test_a_second_command_is_one_line_and_changes_nothing(tmp_path):
  (tmp_path / 'config.json').write_text(json.dumps({'seed': 1}))
  with locked.by_another(tmp_path, inside=True) as pid:
    before = content(tmp_path)
    results = runs.finish_all(
        {
            module: lambda module=module, args=args: runs.start(
                module, *args[:-1], f'{args[-1]}{tmp_path}'
            )
            for module, args in COMMANDS.items()
        }
    )
    assert content(tmp_path) == before
  for status, out, err in results.values():
    assert (status, out, err.count('\n')) == (2, '', 1), err
    assert f'error: {tmp_path}: is being filled by process {pid} on' in err


def test_a_second_build_changes_nothing(tmp_path):
  source, data = tree.small().write(tmp_path / 'source'), tmp_path / 'data'
  with locked.by_another(built.folder(data)):
    before = content(data)
    with pytest.raises(errors.InputError, match='is being filled by process'):
      built.run(source, data)
    assert content(data) == before
  built.run(source, data)


def test_an_overwrite_that_fails_keeps_the_old_dataset(tmp_path, monkeypatch):
  source, data = tree.small().write(tmp_path / 'source'), tmp_path / 'data'
  built.run(source, data)
  before = content(data)
  with monkeypatch.context() as patch:
    patch.setattr(records, 'sequences', _full)
    with pytest.raises(errors.InputError, match='No space left'):
      built.run(source, data, overwrite=True)
  assert content(data) == before
  built.run(source, data, overwrite=True)
  assert content(data).keys() == before.keys()


def _full(rows, size):
  raise OSError(errno.ENOSPC, 'No space left on device')


def test_a_second_conversion_changes_nothing(tmp_path):
  out = tmp_path / 'weights'
  arguments = {'w': np.ones(3, np.float32)}, {'model': {}}, {}
  with locked.by_another(out):
    with pytest.raises(errors.InputError, match='is being filled by process'):
      weights.write_folder(out, *arguments)
    assert not out.exists()
  assert weights.write_folder(out, *arguments)
