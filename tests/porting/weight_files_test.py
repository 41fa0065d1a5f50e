"""Weight files by suffix; a file is complete or absent."""

import numpy as np
import pytest
import safetensors.torch
import torch

from abaw_jax.core import errors
from abaw_jax.porting import weight_files
from tests.core import disks


@pytest.mark.parametrize('suffix', ['pth', 'safetensors'])
def test_written_tensors_can_be_read(tmp_path, suffix):
  value = np.arange(6, dtype=np.float32).reshape(2, 3)
  path = tmp_path / 'new' / f'a.{suffix}'
  tensors = {'x': value, 'transposed': value.T}
  assert weight_files.write_tensors(path, tensors)
  found, arguments = weight_files.read_tensors(path)
  assert arguments == {}
  for name, expected in tensors.items():
    np.testing.assert_array_equal(found[name], expected)
  assert [x.name for x in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize('suffix', ['pth', 'safetensors'])
def test_other_content_is_not_overwritten(tmp_path, suffix):
  path = tmp_path / f'a.{suffix}'
  ones = {'x': np.ones(3, np.float32)}
  weight_files.write_tensors(path, ones)
  before = path.read_bytes()
  assert not weight_files.write_tensors(path, ones)
  with pytest.raises(errors.InputError, match='has other content'):
    weight_files.write_tensors(path, {'x': np.zeros(3, np.float32)})
  assert path.read_bytes() == before
  assert [x.name for x in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize('suffix', ['pth', 'safetensors'])
def test_files_have_the_usual_permissions(tmp_path, suffix):
  usual = tmp_path / 'usual'
  usual.touch()
  path = tmp_path / f'a.{suffix}'
  weight_files.write_tensors(path, {'x': np.ones(3, np.float32)})
  assert path.stat().st_mode == usual.stat().st_mode


@pytest.mark.parametrize('suffix', ['pth', 'safetensors'])
def test_a_full_disk_leaves_no_file(tmp_path, suffix):
  path = tmp_path / f'a.{suffix}'
  with disks.full(100), pytest.raises(errors.InputError, match='cannot write'):
    weight_files.write_tensors(path, {'x': np.ones(3000, np.float32)})
  assert not list(tmp_path.iterdir())


def test_safetensors_of_torch_can_be_read_in_every_precision(tmp_path):
  path = tmp_path / 'a.safetensors'
  tensors = {
      str(kind): torch.arange(5).to(kind)
      for kind in (torch.float32, torch.float16, torch.bfloat16, torch.int64)
  }
  safetensors.torch.save_file(tensors, path)
  found, _ = weight_files.read_tensors(path)
  assert set(found) == set(tensors)
  for value in found.values():
    np.testing.assert_array_equal(value.astype(np.float32), np.arange(5.0))


def test_broken_and_unknown_files_are_refused(tmp_path):
  path = tmp_path / 'a.safetensors'
  weight_files.write_tensors(path, {'x': np.ones(300, np.float32)})
  path.write_bytes(path.read_bytes()[:-5])
  other = tmp_path / 'a.h5'
  other.touch()
  for wrong, text in (
      (path, 'cannot be read as safetensors'),
      (other, r'ends in \.safetensors or \.pth or \.pt or \.bin'),
      (tmp_path / 'none.pth', 'no such file'),
  ):
    with pytest.raises(errors.InputError, match=text):
      weight_files.read_tensors(wrong)
