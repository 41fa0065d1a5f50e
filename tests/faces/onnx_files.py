"""Writes small ONNX networks without the package `onnx`.

Such a network finds a face wherever an image has a white cell. Field numbers are
those of onnx.proto.
"""

import numpy as np


def _varint(value):
  out = b''
  while value > 127:
    out += bytes([value & 127 | 128])
    value >>= 7
  return out + bytes([value])


def _field(number, value):
  if isinstance(value, int):
    return _varint(number << 3) + _varint(value)
  value = value.encode() if isinstance(value, str) else value
  return _varint(number << 3 | 2) + _varint(len(value)) + value


def _node(kind, inputs, output, **ints):
  text = b''.join(_field(1, name) for name in inputs)
  text += _field(2, output) + _field(3, output) + _field(4, kind)
  for name, value in ints.items():
    attribute = _field(1, name)
    if isinstance(value, int):
      attribute += _field(3, value) + _field(20, 2)
    else:
      attribute += b''.join(_field(8, x) for x in value) + _field(20, 7)
    text += _field(5, attribute)
  return _field(1, text)


def _tensor(name, values):
  values = np.asarray(values)
  kind = 7 if values.dtype == np.int64 else 1
  raw = values.astype('<i8' if kind == 7 else '<f4').tobytes()
  dims = b''.join(_field(1, size) for size in values.shape)
  return _field(5, dims + _field(2, kind) + _field(8, name) + _field(9, raw))


def _value(number, name, shape):
  dims = b''.join(_field(1, _field(1, size)) for size in shape)
  kind = _field(1, _field(1, 1) + _field(2, dims))
  return _field(number, _field(1, name) + _field(2, kind))


def write(path, heads, *, size, strides=(8, 16, 32)):
  """Writes a network for RGB or BGR images.

  Args:
    path: the file.
    heads: functions from stride to (output name, weight of the mean of a cell, bias
      of each channel, whether a sigmoid follows, shape of the output).
    size: side of the image.
    strides: sides of the cells.
  """
  nodes, tensors, outputs = b'', b'', b''
  for stride in strides:
    cells = f'cells_{stride}'
    nodes += _node(
        'AveragePool', ['input'], cells,
        kernel_shape=[stride] * 2, strides=[stride] * 2,
    )  # fmt: skip
    for head in heads:
      name, weight, bias, is_sigmoid, shape = head(stride)
      channels = len(bias)
      kernel = np.full((channels, 3, 1, 1), weight / 3, np.float32)
      tensors += _tensor(f'{name}_w', kernel)
      tensors += _tensor(f'{name}_b', np.float32(bias))
      tensors += _tensor(f'{name}_s', np.int64(shape))
      nodes += _node('Conv', [cells, f'{name}_w', f'{name}_b'], f'{name}_c')
      nodes += _node('Transpose', [f'{name}_c'], f'{name}_t', perm=[0, 2, 3, 1])
      last = f'{name}_r' if is_sigmoid else name
      nodes += _node('Reshape', [f'{name}_t', f'{name}_s'], last)
      if is_sigmoid:
        nodes += _node('Sigmoid', [last], name)
      rows = (size // stride) ** 2
      outputs += _value(12, name, [rows if x == -1 else x for x in shape])
  graph = nodes + _field(2, 'made') + tensors
  graph += _value(11, 'input', [1, 3, size, size]) + outputs
  opset = _field(1, '') + _field(2, 11)
  path.write_bytes(_field(1, 7) + _field(7, graph) + _field(8, opset))
  return path
