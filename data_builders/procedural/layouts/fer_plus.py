"""Writes rendered faces as FER+: a list of grey values and a list of votes."""

from collections.abc import Iterator, Mapping
import pathlib

import cv2
import numpy as np

from abaw_jax.data_builders.procedural.layouts import sample

_HEADERS = {
    'fer2013new.csv': (
        'Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,'
        'fear,contempt,unknown,NF'
    ),
    'fer2013.csv': 'emotion,pixels,Usage',
}
_USAGES = {
    'train': 'Training',
    'validation': 'PublicTest',
    'test': 'PrivateTest',
}
# Codes of FER2013 in the order of the classes of FER+; FER+ replaces them.
_FER2013 = (6, 3, 5, 4, 0, 1, 2, 6, 6, 6)
_UNKNOWN, _NOT_A_FACE = 8, 9
_VOTES = 10


def write(
    out: pathlib.Path, split: str, faces: Iterator[sample.Face]
) -> list[str]:
  """Returns the lines of both lists for each face, joined by `|`.

  Most votes are for the true class. One row of thirty is noise without a face.
  """
  del out
  lines = []
  for face in faces:
    rng = face.rng(7)
    code = face.code('fer_plus')
    picture = sample.resize(face.picture, 48)
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    shares = np.full(_VOTES, 0.02)
    np.add.at(shares, [code, 0, _UNKNOWN], (0.75, 0.06, 0.05))
    votes = rng.multinomial(_VOTES, shares / shares.sum())
    name = f'fer{face.number:07d}.png'
    if face.number % 30 == 11:
      grey = rng.integers(0, 256, grey.shape)
      votes = _VOTES * np.eye(_VOTES, dtype=int)[_NOT_A_FACE]
      name = ''
    usage = _USAGES[split]
    counts = ','.join(map(str, votes.tolist()))
    pixels = ' '.join(map(str, grey.ravel().tolist()))
    lines.append(f'{usage},{name},{counts}|{_FER2013[code]},{pixels},{usage}')
  return lines


def write_lists(out: pathlib.Path, lines: Mapping[str, list[str]]) -> None:
  """Writes both lists, with the same rows."""
  rows = [line.split('|') for members in lines.values() for line in members]
  for column, (name, header) in enumerate(_HEADERS.items()):
    text = '\n'.join([header, *(row[column] for row in rows)])
    (out / name).write_text(text + '\n')
