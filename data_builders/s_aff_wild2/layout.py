"""Finds the list files and the images of s-Aff-Wild2 in a source folder."""

from collections.abc import Iterator, Sequence
import os
import pathlib
from typing import NamedTuple

from abaw_jax.core import errors

# The releases of 2022, 2024 and 2026 have the same rows in files of these names.
LABELLED_LISTS = {
    'train': (
        'training_set_annotations.txt',
        'training_set_annotations_22.txt',
    ),
    'validation': (
        'validation_set_annotations.txt',
        'validation_set_annotations_22.txt',
    ),
}
TEST_LISTS = ('MTL_Challenge_test_set_release.txt', 'MTL.txt')
_IMAGE_ROOT = 'cropped_aligned'


class ListFile(NamedTuple):
  """The list of a split, and its image folders in the order of the search."""

  path: pathlib.Path
  image_roots: tuple[pathlib.Path, ...]

  def image(self, name: str) -> pathlib.Path | None:
    """Returns the file of an image, or None if no folder has it."""
    for root in self.image_roots:
      if (path := root / name).is_file():
        return path
    return None


def find(source_dir: str | os.PathLike[str]) -> dict[str, ListFile]:
  """Returns the list files by split; without 'test' if it has no list.

  Raises:
    InputError: a labelled list or every image folder is missing, or there are
      two lists of a split. The message names the places searched.
  """
  source = pathlib.Path(source_dir)
  if not source.is_dir():
    raise errors.InputError(
        f'{source}: no such folder; set --source_dir to the folder of'
        f' {LABELLED_LISTS["train"][0]}'
    )
  lists = {}
  for split, names in LABELLED_LISTS.items():
    path = _only([source / name for name in names if (source / name).is_file()])
    if path is None:
      raise errors.InputError(
          f'{source}: no {split} list; looked there for {" and ".join(names)};'
          ' set --source_dir to the folder of this list'
      )
    lists[split] = ListFile(path, _image_roots(source))
  test = _only(
      [
          folder / name
          for folder in _test_folders(source)
          for name in TEST_LISTS
          if (folder / name).is_file()
      ]
  )
  if test is not None:
    # The main folders come second: some copies have the test images there.
    roots = (*_image_roots(test.parent), *_image_roots(source))
    lists['test'] = ListFile(test, tuple(dict.fromkeys(roots)))
  for split, found in lists.items():
    if not found.image_roots:
      raise errors.InputError(
          f'{source}: no {split} images; looked for folders named'
          f' {_IMAGE_ROOT}* in {found.path.parent}; unpack them there'
      )
  return lists


def _only(paths: Sequence[pathlib.Path]) -> pathlib.Path | None:
  if len(paths) > 1:
    raise errors.InputError(
        f'{paths[0]} and {paths[1]} are lists of the same split; keep one'
    )
  return paths[0] if paths else None


def _image_roots(folder: pathlib.Path) -> tuple[pathlib.Path, ...]:
  # Not `glob`, which skips a folder that it may not read.
  roots = sorted(p for p in folder.iterdir() if p.name.startswith(_IMAGE_ROOT))
  return tuple(root for root in roots if root.is_dir())


def _test_folders(source: pathlib.Path) -> Iterator[pathlib.Path]:
  """Yields the source, and the folders named *test* with their subfolders.

  Folders of hidden labels and image folders are not searched.
  """
  yield source
  for top in sorted(source.iterdir()):
    if (
        not top.is_dir()
        or 'test' not in top.name.lower()
        or _is_excluded(top.name)
    ):
      continue
    for folder, subfolders, _ in os.walk(top):
      subfolders[:] = sorted(
          name for name in subfolders if not _is_excluded(name)
      )
      yield pathlib.Path(folder)


def _is_excluded(name: str) -> bool:
  return name.lower().startswith(('hidden', 'cropped'))
