"""ONNX graphs of single layers, and the refusals of the format."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn import functional

from abaw_jax.core import errors
from abaw_jax.cpu import pooling
from abaw_jax.exporting import command, functions, onnx_graph


def function(call, shape, dtype='float32', out=('b', 'h', 'w', 3)):
  return functions.Function(
      name='f',
      call=lambda x: {'y': call(x)},
      inputs=(functions.Tensor('x', dtype, shape, ''),),
      outputs=(functions.Tensor('y', 'float32', out, ''),),
  )


# jax2onnx exports `nn.max_pool` without its padding, and says nothing.
@pytest.mark.parametrize('side', [7, 8])
def test_pooling_equals_torch(side):
  x = np.random.default_rng(0).standard_normal((2, side, side, 3), np.float32)
  theirs = torch.tensor(x.transpose(0, 3, 1, 2))
  for call, want in (
      (pooling.max_pool, functional.max_pool2d(theirs, 3, 2, 1)),
      (pooling.average_pool, functional.avg_pool2d(theirs, 2, 2)),
  ):
    graph = onnx_graph.serialize(function(call, ('b', side, side, 3)))
    found = onnx_graph.load(graph)(x)['y']
    np.testing.assert_allclose(
        found, want.numpy().transpose(0, 2, 3, 1), atol=1e-6
    )


def test_an_operation_without_onnx_is_one_line():
  fft = function(lambda x: jnp.abs(jax.lax.linalg.eigh(x)[1]), ('b', 4, 4))
  with pytest.raises(errors.InputError, match='give --format=stablehlo') as e:
    onnx_graph.serialize(fft)
  assert '\n' not in str(e.value)


def test_inputs_and_outputs_have_different_names():
  same = function(lambda x: x + 1, ('b', 2))
  same = dataclasses.replace(
      same,
      call=lambda x: {'x': x + 1},
      outputs=(same.outputs[0]._replace(name='x', shape=('b', 2)),),
  )
  renamed = onnx_graph.adapted(same)
  assert [tensor.name for tensor in renamed.outputs] == ['next_x']
  found = onnx_graph.load(onnx_graph.serialize(renamed))(np.ones((3, 2), 'f4'))
  np.testing.assert_array_equal(found['next_x'], np.full((3, 2), 2))


def test_too_many_weights_and_missing_packages_are_refused(
    monkeypatch, tmp_path
):
  large = dataclasses.replace(
      function(lambda x: x, ('b', 1)), weight_bytes=2**31
  )
  with pytest.raises(errors.InputError, match=r'2\.1 GB of weights'):
    onnx_graph.adapted(large)
  find = onnx_graph.importlib.util.find_spec
  monkeypatch.setattr(
      onnx_graph.importlib.util,
      'find_spec',
      lambda name: None if name == 'jax2onnx' else find(name),
  )
  with pytest.raises(errors.InputError, match='needs jax2onnx: pip install'):
    command.export(tmp_path, tmp_path / 'out', file_format='onnx')
