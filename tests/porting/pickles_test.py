"""Pickles that ask for code to be executed are refused without executing it."""

import copyreg
import functools
import io
import os
import pathlib
import pickle
import subprocess

import numpy as np
import pytest
import torch

from abaw_jax.core import errors
from abaw_jax.porting import pickles, torch_reader, torch_values


class Call:
  """An object whose pickle is a function call."""

  def __init__(self, function, *arguments):
    self.call = function, arguments

  def __reduce__(self):
    return self.call

  def __call__(self):
    """Makes the object callable, so that calls can be nested."""


def attacks(witness: pathlib.Path) -> dict[str, object]:
  """Returns objects that write a file during unpickling."""
  touch = f'touch {witness}'
  write = f'open({str(witness)!r}, "w")'
  return {
      'os.system': Call(os.system, touch),
      'subprocess': Call(subprocess.getoutput, touch),
      'eval': Call(eval, write),
      'exec': Call(exec, write),
      'a partial': Call(functools.partial(os.system, touch)),
      'nested getattr': Call(
          Call(getattr, Call(__import__, 'os'), 'system'), touch
      ),
      'copyreg': Call(copyreg._reconstructor, io.FileIO, object, None),
      'a file': Call(io.FileIO, str(witness), 'w'),
      'a file of numpy': Call(np.memmap, str(witness), 'u1', 'w+', 0, (1,)),
  }


@pytest.mark.parametrize('name', attacks(pathlib.Path('witness')))
@pytest.mark.parametrize('zipped', [True, False])
def test_code_is_refused_and_not_executed(tmp_path, name, zipped):
  witness = tmp_path / 'witness'
  path = tmp_path / 'evil.pth'
  content = {'model': {'a': torch.ones(2)}, 'args': attacks(witness)[name]}
  torch.save(content, path, _use_new_zipfile_serialization=zipped)
  with pytest.raises(errors.InputError) as error:
    torch_reader.read_checkpoint(path)
  message = str(error.value)
  assert not witness.exists()
  assert message.startswith(f'{path}: asks for ')
  assert 'no code was executed' in message
  assert "torch.save({'model': module.state_dict()}, path)" in message


@pytest.mark.parametrize('name', ['os.system', 'subprocess', 'nested getattr'])
def test_the_attacks_work_with_pickle(tmp_path, name):
  witness = tmp_path / 'witness'
  pickle.loads(pickle.dumps(attacks(witness)[name]))
  assert witness.exists()


def test_the_message_has_the_refused_name(tmp_path):
  path = tmp_path / 'evil.pth'
  torch.save(Call(os.system, 'true'), path)
  with pytest.raises(errors.InputError, match=r'asks for (posix|nt)\.system'):
    torch_reader.read_checkpoint(path)


TENSOR = b'ctorch._utils\n_rebuild_tensor_v2\n'
ORDERED = b'ccollections\nOrderedDict\n'
STORAGE = b'(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x04tQ'


@pytest.mark.parametrize(
    'program',
    {
        # Attacks on the stack machine.
        'a call of a string': b'\x80\x02U\x02os)R.',
        'a call of a type of storage': b'\x80\x02ctorch\nFloatStorage\n)R.',
        'a stacked name': b'\x80\x04\x8c\x02os\x8c\x06system\x93)R.',
        'a dotted name': b'\x80\x04\x8c\x05torch\x8c\x09os.system\x93)R.',
        'an instance': b'\x80\x02(ios\nsystem\n.',
        'an old object': b'\x80\x02(cos\nsystem\no.',
        'an extension code': b'\x80\x02\x82\x01.',
        'a text name': b'\x80\x02Pname\n.',
        'a state for a constructor': b'\x80\x02' + TENSOR + b'}b.',
        'a state for a tuple': b'\x80\x02)}b.',
        'items of a constructor': b'\x80\x02' + ORDERED + b'U\x01aK\x01s.',
        # Broken pickles.
        'no end': b'\x80\x02}',
        'nothing on the stack': b'\x80\x02.',
        'no mark': b'\x80\x02t.',
        'no memo': b'\x80\x02h\x05.',
        'an unhashable key': b'\x80\x02}]K\x01s.',
        'an unknown instruction': b'\x80\x02\xff.',
        'a tensor without a storage': b'\x80\x02'
        + TENSOR
        + b'(K\x00K\x00K\x02\x85K\x01\x85tR.',
        'a tensor beyond its storage': b'\x80\x02'
        + TENSOR
        + b'('
        + STORAGE
        + b'K\x02K\x03\x85K\x01\x85tR.',
        'a tensor before its storage': b'\x80\x02'
        + TENSOR
        + b'('
        + STORAGE
        + b'J\xff\xff\xff\xffK\x01\x85K\x01\x85tR.',
        'a tensor with a negative stride': b'\x80\x02'
        + TENSOR
        + b'('
        + STORAGE
        + b'K\x03K\x02\x85J\xff\xff\xff\xff\x85tR.',
    }.items(),
    ids=lambda item: item[0],
)
def test_attacks_and_broken_pickles_are_refused(program):
  with pytest.raises(errors.InputError, match=r'^a\.pth: '):
    pickles.load(io.BytesIO(program[1]), pathlib.Path('a.pth'))


@pytest.mark.parametrize('protocol', [2, 3, 4, 5])
def test_plain_values_are_read(protocol):
  value = {
      'numbers': [0, -1, 255, 65536, 2**40, -(2**70), 1.5, float('inf')],
      'texts': ['', 'ä', 'x' * 300],
      'truths': (True, False, None),
      'tuples': [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
      'nested': {1: {(2, 3): [[]]}},
  }
  value['again'] = value['nested']
  stream = io.BytesIO(pickle.dumps(value, protocol=protocol) + b'rest')
  assert pickles.load(stream, pathlib.Path('a.pth')) == value
  assert stream.read() == b'rest'


def test_only_plain_constructors_are_allowed():
  assert set(torch_values.CONSTRUCTORS) == {
      'torch._utils _rebuild_tensor_v2',
      'torch._utils _rebuild_parameter',
      'torch._utils _rebuild_parameter_with_state',
      'collections OrderedDict',
      'builtins set',
      '__builtin__ set',
  }
