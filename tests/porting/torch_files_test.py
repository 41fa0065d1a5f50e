"""Reading and writing PyTorch files gives the same tensors as PyTorch."""

import argparse
import collections
import pathlib
import struct
import zipfile

import ml_dtypes
import numpy as np
import pytest
import torch

from abaw_jax.core import errors
from abaw_jax.porting import torch_reader, torch_writer

FORMATS = pytest.mark.parametrize('zipped', [True, False])


@pytest.fixture
def save(tmp_path):
  """Returns a function that saves an object and returns the path."""

  def save_content(content, zipped: bool = True, **options) -> pathlib.Path:
    path = tmp_path / 'file.pth'
    torch.save(content, path, _use_new_zipfile_serialization=zipped, **options)
    return path

  return save_content


@FORMATS
def test_tensors_of_every_type_are_read(save, zipped):
  rng = np.random.default_rng(0)
  values = rng.integers(0, 100, (3, 4))
  kinds = {
      torch.float64: np.float64,
      torch.float32: np.float32,
      torch.float16: np.float16,
      torch.bfloat16: ml_dtypes.bfloat16,
      torch.int64: np.int64,
      torch.int32: np.int32,
      torch.int16: np.int16,
      torch.int8: np.int8,
      torch.uint8: np.uint8,
      torch.bool: np.bool_,
  }
  state = {str(kind): torch.tensor(values).to(kind) for kind in kinds}
  tensors, arguments = torch_reader.read_checkpoint(
      save({'model': state}, zipped)
  )
  assert arguments == {}
  for kind, dtype in kinds.items():
    found = tensors[str(kind)]
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, values.astype(dtype))


@FORMATS
def test_views_and_shared_storages_are_read(save, zipped):
  base = torch.arange(24.0).reshape(4, 6)
  views = {
      'all': base,
      'transposed': base.T,
      'offset': base[1:, 2:5],
      'strided': base[::2, 1::3],
      'expanded': base[:, :1].expand(4, 5),
      'scalar': base[2, 3],
      'empty': base[:0],
      'parameter': torch.nn.Parameter(base[1]),
  }
  tensors, _ = torch_reader.read_checkpoint(
      save(collections.OrderedDict(views), zipped)
  )
  assert list(tensors) == list(views)
  for name, view in views.items():
    np.testing.assert_array_equal(tensors[name], view.detach().numpy())


@FORMATS
@pytest.mark.parametrize('protocol', [2, 4])
def test_a_training_checkpoint_can_be_read(save, zipped, protocol):
  module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2))
  optimizer = torch.optim.AdamW(module.parameters())
  module(torch.ones(1, 3)).sum().backward()
  optimizer.step()
  content = {
      'model': module.state_dict(),
      'optimizer': optimizer.state_dict(),
      'epoch': 7,
      'scaler': {'scale': 65536.0, 'growth_interval': 2000},
      'args': argparse.Namespace(
          norm_pix_loss=True, lr=None, milestones=[1, (2, 3)], tags={'a'}
      ),
  }
  path = save(content, zipped, pickle_protocol=protocol)
  tensors, arguments = torch_reader.read_checkpoint(path)
  assert arguments == vars(content['args'])
  assert set(tensors) == {'0.weight', '0.bias', '1.weight', '1.bias'}
  for name, value in module.state_dict().items():
    np.testing.assert_array_equal(tensors[name], value.numpy())


@FORMATS
def test_a_truncated_file_is_refused(save, zipped):
  path = save({'model': {'a': torch.ones(50), 'b': torch.ones(3)}}, zipped)
  complete = path.read_bytes()
  for end in sorted({0, 1, 3, 10, len(complete) // 2, len(complete) - 1}):
    path.write_bytes(complete[:end])
    with pytest.raises(errors.InputError, match=r'file\.pth'):
      torch_reader.read_checkpoint(path)


def test_a_changed_byte_of_a_zip_file_is_detected(save):
  path = save({'a': torch.ones(50)})
  broken = path.read_bytes().replace(
      struct.pack('<2f', 1, 1), struct.pack('<2f', 2, 1), 1
  )
  path.write_bytes(broken)
  with pytest.raises(errors.InputError, match='incomplete or damaged'):
    torch_reader.read_checkpoint(path)


@pytest.mark.parametrize(
    'content', [b'GIF89a', b'\x80\x02K\x01.', b'PK\x03\x04rest', b'<html>']
)
def test_other_files_are_refused(tmp_path, content):
  path = tmp_path / 'file.pth'
  path.write_bytes(content)
  with pytest.raises(errors.InputError, match=r'file\.pth'):
    torch_reader.read_checkpoint(path)


def test_other_zip_files_are_refused(tmp_path, save):
  path = save({'a': torch.ones(1)})
  with zipfile.ZipFile(path, 'a') as archive:
    archive.writestr('file/constants.pkl', b'')
  with zipfile.ZipFile(tmp_path / 'word.pth', 'w') as archive:
    archive.writestr('word/document.xml', b'')
  for name, text in (
      ('file.pth', 'TorchScript'),
      ('word.pth', 'not from torch'),
  ):
    with pytest.raises(errors.InputError, match=text):
      torch_reader.read_checkpoint(tmp_path / name)


def test_big_endian_files_are_refused(tmp_path, save):
  modern = save({'a': torch.ones(1)})
  swapped = tmp_path / 'big.pth'
  with (
      zipfile.ZipFile(modern) as old,
      zipfile.ZipFile(swapped, 'w') as new,
  ):
    for name in old.namelist():
      is_order = name.endswith('byteorder')
      new.writestr(name, b'big' if is_order else old.read(name))
  legacy = save({'a': torch.ones(1)}, False)
  content = legacy.read_bytes()
  place = content.index(b'little_endian') + len(b'little_endian')
  true = content.index(b'\x88', place)
  legacy.write_bytes(content[:true] + b'\x89' + content[true + 1 :])
  for path in (swapped, legacy):
    with pytest.raises(errors.InputError, match='big-endian'):
      torch_reader.read_checkpoint(path)


@pytest.mark.parametrize(
    ('content', 'text'),
    [
        ([torch.ones(1)], 'a list and no state dict'),
        ({'model': {'a': 3}}, 'a is a int and no tensor'),
        ({'epoch': 3}, 'epoch is a int and no tensor'),
    ],
)
def test_other_content_is_refused(save, content, text):
  with pytest.raises(errors.InputError, match=text):
    torch_reader.read_checkpoint(save(content))


def test_torch_can_read_our_files(tmp_path):
  rng = np.random.default_rng(0)
  tensors = {
      'matrix': rng.standard_normal((3, 5), np.float32).T,
      'scalar': np.float32(2.5).reshape(()),
      'empty': np.zeros((0, 4), np.float32),
      'four': rng.standard_normal((2, 3, 4, 5), np.float32)[:, ::2],
  }
  path = tmp_path / 'ours.pth'
  torch_writer.write_checkpoint(path, tensors)
  content = torch.load(path, weights_only=True)
  ours, _ = torch_reader.read_checkpoint(path)
  assert list(content) == ['model']
  assert list(content['model']) == list(ours) == list(tensors)
  for name, value in tensors.items():
    np.testing.assert_array_equal(content['model'][name].numpy(), value)
    np.testing.assert_array_equal(ours[name], value)
  content = path.read_bytes()
  torch_writer.write_checkpoint(path, tensors)
  assert path.read_bytes() == content
