"""Folders that cannot be read or written, and full disks, are one line."""

import errno
import io
import os
import pathlib

import pytest

from abaw_jax.core import errors
from abaw_jax.data_builders import check
from tests.core import disks
from tests.data_builders import aff_wild2_tree, built, face_images_tree

DATASETS = {
    's_aff_wild2': (
        lambda root: aff_wild2_tree.small().write(root),
        lambda *args: built.run(*args),
    ),
    'face_images': (
        lambda root: face_images_tree.people(root, 8),
        lambda *args: face_images_tree.run(*args),
    ),
}


def read_only(monkeypatch, folder: pathlib.Path) -> None:
  """Makes `folder` read-only; `chmod` does not stop the superuser."""
  mkdir = os.mkdir

  def refuse(path, *args, **kwargs):
    if pathlib.Path(os.fspath(path)).is_relative_to(folder):
      raise OSError(errno.EROFS, os.strerror(errno.EROFS), os.fspath(path))
    mkdir(path, *args, **kwargs)

  monkeypatch.setattr(os, 'mkdir', refuse)


@pytest.mark.parametrize('name', DATASETS)
def test_a_read_only_folder_is_one_line(tmp_path, monkeypatch, name):
  write, build = DATASETS[name]
  source, data = write(tmp_path / 'source'), tmp_path / 'data'
  data.mkdir()
  read_only(monkeypatch, data)
  with pytest.raises(errors.InputError) as caught:
    build(source, data)
  message = f'{data}: cannot write the dataset (Read-only file system; '
  assert str(caught.value).startswith(message)
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize('name', DATASETS)
def test_a_full_disk_is_one_line_and_the_build_continues(tmp_path, name):
  write, build = DATASETS[name]
  source, data = write(tmp_path / 'source'), tmp_path / 'data'
  with disks.full(4000), pytest.raises(errors.InputError) as caught:
    build(source, data)
  assert f'{data}: cannot write the dataset (File too' in str(caught.value)
  build(source, data)
  build(source, data)


@pytest.mark.parametrize('name', DATASETS)
@pytest.mark.parametrize('functions', ['stat', 'listdir scandir', 'open'])
def test_a_source_that_cannot_be_read_is_named(
    tmp_path, monkeypatch, name, functions
):
  write, build = DATASETS[name]
  source = write(tmp_path / 'source')

  def refusing(function):
    def refuse(path, *args, **kwargs):
      own = not isinstance(path, int) and str(source) in os.fspath(path)
      if own and (functions != 'stat' or pathlib.Path(path) != source):
        raise PermissionError(errno.EACCES, 'Permission denied', str(path))
      return function(path, *args, **kwargs)

    return refuse

  for function in functions.split():
    module = io if function == 'open' else os
    monkeypatch.setattr(module, function, refusing(getattr(module, function)))
  with pytest.raises(errors.InputError, match='cannot be read'):
    build(source, tmp_path / 'data')
  config = None if name == 's_aff_wild2' else 'folders'
  options = {'source_dir': source, 'config': config, 'decode': True}
  if name == 'face_images' and functions == 'open':
    assert not check.check(name, **options)
    return
  with pytest.raises(errors.InputError, match='cannot be read'):
    check.check(name, **options)
