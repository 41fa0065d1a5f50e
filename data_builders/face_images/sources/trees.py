"""Images in folders: nested folders, and VGGFace2."""

from collections.abc import Iterator
import os
import pathlib
import re

from abaw_jax.core import errors
from abaw_jax.core import files as files_lib
from abaw_jax.data_builders.face_images.sources import entries

_VGGFACE2 = re.compile(r'(train|test)/(n[0-9]+)/[0-9]+_[0-9]+\.jpg')


def walk(source: pathlib.Path, top: str = '') -> Iterator[str]:
  """Yields the paths of all files in `source / top`, relative to `source`.

  The order is sorted, folder by folder. A link to a folder is followed once. Files
  that only macOS or Windows uses are left out.

  Raises:
    OSError: a folder cannot be read.
  """
  seen = set()
  tree = os.walk(source / top, onerror=_refuse, followlinks=True)
  for root, folders, files in tree:
    stat = os.stat(root)
    if (stat.st_dev, stat.st_ino) in seen:
      folders.clear()
      continue
    seen.add((stat.st_dev, stat.st_ino))
    folders[:] = sorted(f for f in folders if not files_lib.is_clutter(f))
    base = os.path.relpath(root, source).replace(os.sep, '/')
    for name in sorted(f for f in files if not files_lib.is_clutter(f)):
      yield name if base == '.' else f'{base}/{name}'


def _refuse(error: OSError) -> None:
  if not isinstance(error, FileNotFoundError):  # `top` need not exist
    raise error


def tables(source: pathlib.Path) -> list[pathlib.Path]:
  """Returns the CSV files that are directly in a folder."""
  found = sorted(source.iterdir())
  return [
      path
      for path in found
      if path.suffix == '.csv' and not files_lib.is_clutter(path.name)
  ]


def folders(
    source: pathlib.Path, ignored: entries.Ignored
) -> Iterator[entries.Entry]:
  """Yields every image at any depth, grouped by its folder."""
  for name in walk(source):
    if entries.is_image(name):
      yield entries.Entry(name, group=entries.folder(name))
    else:
      ignored.add(name)


def vggface2(
    source: pathlib.Path, ignored: entries.Ignored
) -> Iterator[entries.Entry]:
  """Yields train|test/<identity>/<image>_<face>.jpg."""
  if not (source / 'train').is_dir():
    raise errors.InputError(
        f'{source}: no folder train; set --source_dir to the folder of'
        ' train/n000002/0001_01.jpg'
    )
  for part, split in (('train', None), ('test', 'test')):
    for name in walk(source, part):
      if match := _VGGFACE2.fullmatch(name):
        yield entries.Entry(name, group=match[2], split=split)
      else:
        ignored.add(name)
