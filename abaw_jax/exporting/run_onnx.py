"""Predicts consecutive faces of one person with the networks of this folder.

  python run_onnx.py FACES.npy OUTPUT.npz

FACES.npy is uint8 [n, s, s, 3]. Needs only ONNX Runtime and NumPy.
"""

import json
import pathlib
import sys

import numpy as np
import onnxruntime

folder = pathlib.Path(__file__).parent
card = json.loads((folder / 'model.json').read_text())
faces = np.load(sys.argv[1])


def load(name):
  session = onnxruntime.InferenceSession(
      folder / f'{name}.onnx', providers=['CPUExecutionProvider']
  )
  names = [output.name for output in session.get_outputs()]
  return lambda inputs: dict(
      zip(names, session.run(names, inputs), strict=True)
  )


outputs = load('frame')({'faces': faces})
for name, facts in card['temporal'].items():
  network, parts, size = load(name), [], facts['window']
  shapes = enumerate(facts['carry'])
  carry = {f'carry{i}': np.zeros((1, *x), np.float32) for i, x in shapes}
  for start in range(0, len(faces), size):
    part = outputs['features'][None, start : start + size]
    frames = np.arange(start, start + part.shape[1], dtype=np.int32)[None]
    inputs = {
        'features': part,
        'frame_id': frames,
        'mask': frames >= 0,
        'window_length': np.full(1, part.shape[1], np.int32),
    }
    found = network(inputs | carry)
    carry = {key: found.pop(f'next_{key}') for key in carry}
    parts.append({key: x[0] for key, x in found.items()})
  for key in parts[0]:
    outputs[f'{name}/{key}'] = np.concatenate([part[key] for part in parts])
np.savez(sys.argv[2], **outputs)
