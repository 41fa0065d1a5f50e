"""Writes rendered faces as EmotioNet: a list of URLs with 60 action units."""

from collections.abc import Iterator, Mapping
import pathlib

from abaw_jax.core import labels
from abaw_jax.data_builders.procedural.layouts import sample

FOLDER = 'images'
_LIST = 'aws.csv'
# Units that the real list annotates and that we use; the others are 999.
_KNOWN = (1, 2, 4, 6, 12, 25, 26)
_UNITS = range(1, 61)


def write(
    out: pathlib.Path, split: str, faces: Iterator[sample.Face]
) -> list[str]:
  """Returns a line for each face; writes the images. Some units are unknown."""
  del split
  lines = []
  (out / FOLDER).mkdir(parents=True, exist_ok=True)
  for face in faces:
    name = f'N_{face.person:010d}_{face.place:05d}.jpg'
    (out / FOLDER / name).write_bytes(face.jpeg(len(face.picture)))
    hidden = face.rng(8).random(len(_UNITS)) < 0.1
    values = []
    for unit in _UNITS:
      known = unit in _KNOWN and not hidden[unit - 1]
      index = labels.AU_NUMBERS.index(unit) if known else None
      values.append(999 if index is None else int(face.au[index]))
    url = f'http://faces.invalid/{name}'
    lines.append(','.join([f"'{url}'", *map(str, values)]))
  return lines


def write_lists(out: pathlib.Path, lines: Mapping[str, list[str]]) -> None:
  """Writes the list; its header has quotes and spaces like the real one."""
  header = ', '.join(["'URL'", *(f"'AU {unit}'" for unit in _UNITS)])
  members = [line for part in lines.values() for line in part]
  (out / _LIST).write_text('\n'.join([header, *members]) + '\n')
