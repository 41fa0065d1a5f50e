"""A pickled module is read as its state dict."""

import collections
import enum
import functools
import logging
import os
import pathlib
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from abaw_jax.core import errors
from abaw_jax.porting import torch_reader

ZIPPED = pytest.mark.parametrize('zipped', [True, False])


class Gate(nn.Module):
  """A module with every kind of attribute."""

  def __init__(self):
    super().__init__()
    self.register_parameter('absent', None)
    self.register_buffer('scale', torch.arange(3.0))
    self.register_buffer('scratch', torch.zeros(2), persistent=False)
    self.weight = nn.Parameter(torch.randn(4, 3))
    self.act = nn.functional.silu  # a function
    self.dtype_of = torch.Tensor  # a class
    self.settings = {'rate': 0.2, 'sizes': [1, (2, 3)], 'names': {'a'}}


class Network(nn.Module):
  """A class that the reader does not know."""

  def __init__(self):
    super().__init__()
    self.blocks = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.SiLU(), Gate()
    )
    self.pool = None
    self.classifier = nn.Sequential(nn.Linear(4, 2))
    self.register_module('nothing', None)

  def __setstate__(self, state):
    pytest.fail('code of a pickled class was executed')


class Attack:
  """Runs a command during unpickling."""

  def __init__(self, command: str):
    self.command = command

  def __reduce__(self):
    return os.system, (self.command,)


@pytest.fixture(name='network')
def _network() -> Network:
  torch.manual_seed(0)
  return Network()


def save(content, path, zipped=True):
  torch.save(content, path, _use_new_zipfile_serialization=zipped)
  return path


@ZIPPED
@pytest.mark.filterwarnings('ignore:Couldn.t retrieve source code')
def test_a_module_gives_its_state_dict(tmp_path, network, zipped):
  expected = network.state_dict()
  for content in (network, {'model': network}, {'state_dict': network}):
    path = save(content, tmp_path / 'module.pt', zipped)
    tensors, arguments = torch_reader.read_checkpoint(path)
    assert list(tensors) == list(expected)
    assert arguments == {}
    for name, value in expected.items():
      np.testing.assert_array_equal(tensors[name], value.numpy())


@pytest.mark.parametrize('protocol', [2, 4])
def test_a_module_next_to_a_state_dict_is_ignored(tmp_path, protocol):
  path = tmp_path / 'both.pth'
  content = {'model': {'a': torch.ones(2)}, 'args': nn.Linear(2, 2)}
  torch.save(content, path, pickle_protocol=protocol)
  tensors, _ = torch_reader.read_checkpoint(path)
  np.testing.assert_array_equal(tensors['a'], np.ones(2))


@ZIPPED
@pytest.mark.filterwarnings('ignore:Couldn.t retrieve source code')
def test_an_attack_inside_a_module_executes_nothing(tmp_path, network, zipped):
  witness = tmp_path / 'witness'
  attack = Attack(f'touch {witness}')
  network.blocks[3].settings = attack
  path = save(network, tmp_path / 'evil.pt', zipped)
  with pytest.raises(errors.InputError) as error:
    torch_reader.read_checkpoint(path)
  message = str(error.value)
  assert not witness.exists()
  assert message.startswith(f'{path}: asks for {os.system.__module__}.system,')
  assert "torch.save({'model': module.state_dict()}, path)" in message
  assert '\n' not in message
  pickle.loads(pickle.dumps(attack))
  assert witness.exists(), 'the attack does not work'


class Format(enum.Enum):
  """A helper of timm 0.9 and later has this type."""

  NCHW = 'NCHW'


class Settings(dict):
  """A dict with items and attributes."""


@ZIPPED
@pytest.mark.filterwarnings('ignore:Couldn.t retrieve source code')
def test_helper_objects_of_a_module_are_not_needed(tmp_path, network, zipped):
  settings = Settings(rate=0.5)
  settings.name = 'x'
  network.blocks[3].settings = [
      Format.NCHW,
      torch.device('cpu'),
      torch.Size((1, 2)),
      functools.partial(nn.LayerNorm, eps=1e-6),
      np.float64(0.25),
      np.arange(3),
      pathlib.PurePosixPath('runs'),
      collections.deque([1, 2]),
      logging.getLogger('training'),
      slice(1, 2),
      settings,
  ]
  path = save(network, tmp_path / 'module.pt', zipped)
  tensors, _ = torch_reader.read_checkpoint(path)
  assert list(tensors) == list(network.state_dict())


def test_a_helper_object_is_no_tensor(tmp_path):
  content = {'model': {'a.b': torch.ones(2), 'c': torch.device('cpu')}}
  path = save(content, tmp_path / 'file.pth')
  with pytest.raises(errors.InputError, match='c is a Instance and no tensor'):
    torch_reader.read_checkpoint(path)


def test_the_message_has_the_name_of_the_call(tmp_path, network):
  network.blocks[3].settings = Attack('true')
  path = save({'model': network}, tmp_path / 'module.pt')
  with pytest.raises(errors.InputError, match=r'asks for \w+\.system, which'):
    torch_reader.read_checkpoint(path)


def test_other_objects_are_refused(tmp_path):
  path = save(np.float32, tmp_path / 'object.pt')
  with pytest.raises(errors.InputError, match='and no state dict'):
    torch_reader.read_checkpoint(path)
  path = save(Counted(), tmp_path / 'object.pt')
  with pytest.raises(errors.InputError, match=r'Counted and no PyTorch module'):
    torch_reader.read_checkpoint(path)


class Counted:
  """Not a module; its second attribute is in a slot."""

  __slots__ = ('__dict__', 'count')

  def __init__(self):
    self.count = 3
    self.order = collections.OrderedDict(a=1)


def test_a_module_inside_itself_is_refused(tmp_path):
  inner = nn.Sequential(nn.Linear(1, 1))
  inner._modules['again'] = inner
  path = save(inner, tmp_path / 'loop.pt')
  with pytest.raises(errors.InputError, match='contains itself'):
    torch_reader.read_checkpoint(path)
