"""Writes rendered faces as AffectNet: lists of 2017 or .npy files of 2021."""

from collections.abc import Iterator, Mapping
import itertools
import pathlib

import numpy as np

from abaw_jax.data_builders.procedural.layouts import sample
from abaw_jax.data_builders.procedural.rendering import camera

_IMAGES = 'Manually_Annotated_Images'
_HEADER = (
    'subDirectory_filePath,face_x,face_y,face_width,face_height,'
    'facial_landmarks,expression,valence,arousal'
)
_LISTS = {'train': 'training.csv', 'validation': 'validation.csv'}
_FOLDERS = {'train': 'train_set', 'validation': 'val_set'}
FOLDERS = (_IMAGES, *_FOLDERS.values())
_UNSURE = (8, 9, 10)  # None, Uncertain, No-Face
_EDGE = 24  # pixels around a face


def manual(
    out: pathlib.Path, split: str, faces: Iterator[sample.Face]
) -> list[str]:
  """Returns a line for each face of a person; writes their images.

  Every eighth image has two faces. One row of twenty has no label; if its code
  is No-Face, it has no box either.
  """
  lines = []
  while first := next(faces, None):
    group = [first, *itertools.islice(faces, first.number % 8 == 0)]
    name = f'{first.person}/{first.number:032x}.jpg'
    path = out / _IMAGES / name
    path.parent.mkdir(parents=True, exist_ok=True)
    scene, boxes = _scene([face.picture for face in group])
    path.write_bytes(camera.encode(scene, first.quality))
    for face, box in zip(group, boxes, strict=True):
      code, va = face.code('affectnet'), (face.valence, face.arousal)
      if face.number % 20 == 3:
        code = _UNSURE[face.number // 20 % 3]
        va = (-2, -2)
      text = ','.join('NULL' if code == 10 else str(side) for side in box)
      points = ';'.join(f'{x:.2f};{y:.2f}' for x, y in _landmarks(*box))
      values = ','.join(f'{value:g}' for value in np.round(va, 4))
      lines.append(f'{name},{text},{points},{code},{values}')
  return lines


def write_lists(out: pathlib.Path, lines: Mapping[str, list[str]]) -> None:
  """Writes the lists; the validation list has no header, like many real ones."""
  for split, members in lines.items():
    head = [_HEADER] if split == 'train' else []
    (out / _LISTS[split]).write_text('\n'.join([*head, *members]) + '\n')


def release(
    out: pathlib.Path, split: str, faces: Iterator[sample.Face]
) -> list[str]:
  """Returns the name of each face; writes the images and label files.

  The label files are strings or arrays without an axis.
  """
  names = []
  for face in faces:
    folder = out / _FOLDERS[split]
    for name in ('images', 'annotations'):
      (folder / name).mkdir(parents=True, exist_ok=True)
    stem = str(face.number)
    (folder / 'images' / f'{stem}.jpg').write_bytes(face.jpeg(224))
    values = {
        'exp': str(face.code('affectnet')),
        'val': f'{face.valence:.6f}',
        'aro': np.float64(face.arousal),
        'lnd': _landmarks(0, 0, 224, 224).ravel(),
    }
    for key, value in values.items():
      np.save(folder / 'annotations' / f'{stem}_{key}.npy', np.array(value))
    names.append(stem)
  return names


def no_lists(out: pathlib.Path, lines: Mapping[str, list[str]]) -> None:
  """Writes nothing: this layout has no lists."""
  del out, lines


def _scene(
    pictures: list[np.ndarray],
) -> tuple[np.ndarray, list[tuple[int, int, int, int]]]:
  """Returns an image with a row of faces on a plain wall, and their boxes."""
  side = len(pictures[0])
  width = len(pictures) * (side + _EDGE) + _EDGE
  colour = pictures[0][:4].mean((0, 1)).astype(np.uint8)
  scene = np.tile(colour, (side + 2 * _EDGE, width, 1))
  boxes = []
  for i, picture in enumerate(pictures):
    left = _EDGE + i * (side + _EDGE)
    scene[_EDGE : _EDGE + side, left : left + side] = picture
    boxes.append((left, _EDGE, side, side))
  return scene, boxes


def _landmarks(left: int, top: int, width: int, height: int) -> np.ndarray:
  """Returns 68 points around the middle of a box; no builder reads them."""
  angles = np.linspace(0, 2 * np.pi, 68, endpoint=False)
  circle = 0.5 + 0.4 * np.stack([np.cos(angles), np.sin(angles)], -1)
  return (left, top) + circle * (width, height)
