"""Clips that are images: one file, or a folder of numbered frames."""

from collections.abc import Iterator, Sequence
import pathlib
import re

from abaw_jax.core import errors, files
from abaw_jax.data import images
from abaw_jax.video import frames

SUFFIXES = frozenset(
    [
        '.bmp',
        '.jpeg',
        '.jpg',
        '.jpe',
        '.png',
        '.ppm',
        '.pgm',
        '.tif',
        '.tiff',
        '.webp',
    ]
)


def is_image(path: pathlib.Path) -> bool:
  """Returns whether the name is that of an image."""
  return path.suffix.lower() in SUFFIXES and not is_hidden(path)


def is_hidden(path: pathlib.Path) -> bool:
  """Returns whether only an operating system or a program uses the file."""
  return path.name.startswith('.') or files.is_clutter(path.name)


def sorted_images(folder: pathlib.Path) -> list[pathlib.Path]:
  """Returns the images directly in a folder, 9.jpg before 10.jpg."""
  return sorted(
      (path for path in folder.iterdir() if is_image(path)),
      key=lambda path: [
          (int(part), '') if part.isdecimal() else (-1, part)
          for part in re.split(r'([0-9]+)', path.name)
      ],
  )


def read(
    paths: Sequence[pathlib.Path], frame_rate: float, warnings: list[str]
) -> Iterator[frames.Frame]:
  """Yields images as frames.

  If every name is a number, it gives the timestamp, so that missing images leave
  a gap in time. The first one is at 0 s.

  Args:
    paths: images in order.
    frame_rate: images per second.
    warnings: gets a line for each image that cannot be decoded.

  Raises:
    InputError: no image can be decoded.
  """
  numbers = list(range(len(paths)))
  if all(path.stem.isdecimal() for path in paths):
    numbers = [int(path.stem) - int(paths[0].stem) for path in paths]
  index = 0
  for path, number in zip(paths, numbers, strict=True):
    try:
      image = images.decode(path.read_bytes())
    except (errors.InputError, OSError):
      warnings.append(f'{path.name} cannot be decoded')
      continue
    yield frames.Frame(index, number / frame_rate, image, False)
    index += 1
  if not index:
    raise errors.InputError(
        f'{paths[0]}: the image cannot be decoded; copy it again'
    )
