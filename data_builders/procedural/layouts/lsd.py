"""Writes rendered faces as LSD: a folder for each class, and a test list."""

from collections.abc import Iterator, Mapping
import pathlib

from abaw_jax.core import labels
from abaw_jax.data_builders.procedural.layouts import sample

_LABELLED = {
    'train': 'training_set_synthetic_images',
    'validation': 'validation_set_real_images',
}
_TEST = 'lsd_test_data'
_LIST = 'LSD_Challenge_test_set_release.txt'
# Labels that the organisers keep, for `abaw-jax submission score`.
_HIDDEN = 'hidden_test_labels'
_HEADER = 'image,expression'
FOLDERS = (*_LABELLED.values(), _TEST, _HIDDEN)


def write(
    out: pathlib.Path, split: str, faces: Iterator[sample.Face]
) -> list[str]:
  """Returns `name,class` for each face of one of the six; writes the images."""
  lines = []
  for face in faces:
    code = face.code('lsd')
    if code is None:
      continue
    name = f'{face.number}.jpg'
    if split in _LABELLED:
      folder = out / _LABELLED[split] / _folder(code)
    else:
      folder = out / _TEST
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(face.jpeg(len(face.picture)))
    lines.append(f'{name},{code}')
  return lines


def write_lists(out: pathlib.Path, lines: Mapping[str, list[str]]) -> None:
  """Writes the test list without labels, and the hidden labels."""
  test = lines['test']
  (out / _HIDDEN).mkdir(exist_ok=True)
  for path, members in (
      (out / _LIST, [line.split(',')[0] for line in test]),
      (out / _HIDDEN / _LIST, test),
  ):
    path.write_text('\n'.join([_HEADER, *members]) + '\n')


def _folder(code: int) -> str:
  """Returns the folder of a class; Anger has the spelling of the release."""
  name = labels.NATIVE_EXPRESSIONS['lsd'][code].upper()
  return 'ANGRER' if name == 'ANGER' else name
