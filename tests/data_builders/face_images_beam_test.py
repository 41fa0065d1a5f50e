"""Apache Beam writes the same dataset as local processes."""

import pathlib
import subprocess
import sys

import pytest

from abaw_jax.core import errors
from abaw_jax.data_builders import build
from tests.data_builders import face_images_tree as tree


def test_the_direct_runner_builds_the_same_dataset(tmp_path):
  source = tmp_path / 'source'
  tree.tar(source)
  tree.run(source, tmp_path / 'local', 'tar', face_size=8)
  done = subprocess.run(
      [
          sys.executable,
          *tree.command(
              source,
              tmp_path / 'beam',
              '--config=tar',
              '--face_size=8',
              '--beam_runner=DirectRunner',
              '--beam_options=direct_num_workers=1',
          ),
      ],
      cwd=pathlib.Path(build.__file__).parents[1],
      capture_output=True,
      text=True,
      check=False,
  )
  assert done.returncode == 0, done.stderr
  local, beam = (tree.read(tmp_path / n, 'tar') for n in ('local', 'beam'))
  assert beam == local
  assert sum(map(len, local.values())) == 12
  files = [
      {
          p.name: p.read_bytes()
          for p in tree.folder(tmp_path / n, 'tar').iterdir()
      }
      for n in ('local', 'beam')
  ]
  assert files[0].keys() == files[1].keys()
  for name, data in files[0].items():
    if name.endswith('.json'):
      assert files[1][name] == data


def test_without_beam_the_message_has_the_install_command(
    tmp_path, monkeypatch
):
  monkeypatch.setitem(sys.modules, 'apache_beam', None)
  tree.folders(tmp_path / 'source')
  with pytest.raises(errors.InputError, match=r'abaw_jax\[beam\]'):
    tree.run(
        tmp_path / 'source', tmp_path, beam_runner='DirectRunner',
        num_workers=None,
    )  # fmt: skip
