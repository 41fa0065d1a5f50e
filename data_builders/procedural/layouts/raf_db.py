"""Writes rendered faces as RAF-DB: aligned images and one list."""

from collections.abc import Iterator, Mapping
import pathlib

from abaw_jax.data_builders.procedural.layouts import sample

FOLDER = 'basic'
_LIST = 'EmoLabel/list_patition_label.txt'
_IMAGES = 'Image/aligned'
_SIDE = 100  # pixels


def write(
    out: pathlib.Path, split: str, faces: Iterator[sample.Face]
) -> list[str]:
  """Returns a line for each face of a basic expression; writes the images."""
  folder = out / FOLDER / _IMAGES
  folder.mkdir(parents=True, exist_ok=True)
  lines = []
  for face in faces:
    code = face.code('raf_db')
    if code is not None:
      stem = f'{split}_{face.number:05d}'
      (folder / f'{stem}_aligned.jpg').write_bytes(face.jpeg(_SIDE))
      lines.append(f'{stem}.jpg {code}')
  return lines


def write_lists(out: pathlib.Path, lines: Mapping[str, list[str]]) -> None:
  """Writes the list."""
  path = out / FOLDER / _LIST
  path.parent.mkdir(parents=True, exist_ok=True)
  members = [line for part in lines.values() for line in part]
  path.write_text('\n'.join(members) + '\n')
