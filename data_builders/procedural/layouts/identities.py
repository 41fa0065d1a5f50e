"""Writes rendered faces as one folder per person."""

from collections.abc import Iterator
import pathlib

from abaw_jax.data_builders.procedural.layouts import sample

FOLDER = 'people'


def write(
    out: pathlib.Path, split: str, faces: Iterator[sample.Face]
) -> list[str]:
  """Writes the images; returns the name of each face."""
  del split
  names = []
  for face in faces:
    name = f'{face.person:07d}/{face.place:03d}.jpg'
    path = out / FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(face.jpeg(len(face.picture)))
    names.append(name)
  return names
