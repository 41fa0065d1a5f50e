"""Predicts consecutive faces of one person with the networks of this folder.

  python run.py FACES.npy OUTPUT.npz

FACES.npy is uint8 [n, s, s, 3]. Needs only JAX and NumPy.
"""

import json
import pathlib
import sys

from jax import export
import numpy as np

folder = pathlib.Path(__file__).parent
card = json.loads((folder / 'model.json').read_text())
faces = np.load(sys.argv[1])


def load(name):
  content = (folder / f'{name}.stablehlo').read_bytes()
  return export.deserialize(bytearray(content)).call


outputs = {k: np.asarray(x) for k, x in load('frame')(faces).items()}
for name, facts in card['temporal'].items():
  network, parts, size = load(name), [], facts['window']
  carry = [np.zeros((1, *shape), np.float32) for shape in facts['carry']]
  for start in range(0, len(faces), size):
    part = outputs['features'][None, start : start + size]
    frames = np.arange(start, start + part.shape[1], dtype=np.int32)[None]
    length = np.full(1, part.shape[1], np.int32)
    found = network(part, frames, frames >= 0, length, *carry)
    carry = [found.pop(f'carry{i}') for i in range(len(carry))]
    parts.append({k: np.asarray(x[0]) for k, x in found.items()})
  for key in parts[0]:
    outputs[f'{name}/{key}'] = np.concatenate([part[key] for part in parts])
np.savez(sys.argv[2], **outputs)
