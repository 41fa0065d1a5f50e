"""LSD: reads a folder of images for each class, and the list of the test images."""

from collections.abc import Iterator
import pathlib
import re

from abaw_jax.core import errors, files, labels
from abaw_jax.data_builders.labelled import listings, tables
from abaw_jax.data_builders.labelled import rows as rows_lib

FOLDERS = {
    'train': 'training_set_synthetic_images',
    'validation': 'validation_set_real_images',
}
TEST_FOLDER = 'lsd_test_data'
TEST_LIST = 'LSD_Challenge_test_set_release.txt'
# The release has the spelling ANGRER; some copies have ANGERE.
_ANGER = re.compile(r'ANG\w+')
_CODES = {
    name.upper(): code
    for code, name in labels.NATIVE_EXPRESSIONS['lsd'].items()
}


def read(source: pathlib.Path) -> listings.Listing:
  """Returns the rows; test images have no labels."""
  for name in (*FOLDERS.values(), TEST_FOLDER):
    if not (source / name).is_dir():
      raise errors.InputError(
          f'{source}: no folder {name}; set --source_dir to the folder that'
          f' holds {", ".join(FOLDERS.values())} and {TEST_FOLDER}'
      )
  listing = listings.Listing()
  for split, name in FOLDERS.items():
    listing.open_split(split)
    for code, folder in sorted(_classes(source / name, listing).items()):
      for image in _visible(folder):
        listing.add(
            split, _labelled(source, image, code, len(listing.rows[split]))
        )
  listing.open_split('test')
  listing.rows['test'].extend(_test(source, listing))
  return listing


def _classes(
    folder: pathlib.Path, listing: listings.Listing
) -> dict[int, pathlib.Path]:
  """Returns the folder of each class code; unknown classes become problems.

  Raises:
    InputError: two folders have the same class.
  """
  found = {}
  for path in _visible(folder):
    name = path.name.upper()
    code = _CODES.get('ANGER' if _ANGER.fullmatch(name) else name)
    if code is None:
      reason = ValueError(
          f'class {path.name!r} is not one of {", ".join(_CODES)}; rename or'
          ' remove it'
      )
      listing.fault(f'{folder.name}/{path.name}', None, reason)
    elif code in found:
      raise errors.InputError(
          f'{path}: {found[code].name} is the same class; keep one of the two'
          ' folders'
      )
    else:
      found[code] = path
  return found


def _visible(folder: pathlib.Path) -> list[pathlib.Path]:
  """Returns the content of a folder by name, without clutter."""
  try:
    paths = sorted(folder.iterdir())
  except NotADirectoryError as error:
    raise errors.InputError(
        f'{folder}: it is a file; expected a folder of images'
    ) from error
  return [path for path in paths if not files.is_clutter(path.name)]


def _labelled(
    source: pathlib.Path, image: pathlib.Path, code: int, row: int
) -> rows_lib.Row:
  name = image.relative_to(source)
  return rows_lib.Row(
      name=name.as_posix(),
      image=image,
      row=row,
      file=name.parent.as_posix(),
      label=code,
      expression=labels.expression_id('lsd', code),
  )


def _test(
    source: pathlib.Path, listing: listings.Listing
) -> Iterator[rows_lib.Row]:
  """Yields the rows of the test list; bad lines become problems."""
  places = (source / TEST_LIST, source / TEST_FOLDER / TEST_LIST)
  path = next((place for place in places if place.exists()), None)
  if path is None:
    raise errors.InputError(
        f'{places[0]}: missing; copy the test list of the release there'
    )
  where = path.relative_to(source).as_posix()
  first = {}  # image -> its line
  _, lines = tables.read(path, ['image'], default=['image'])
  for row, (line, cells) in enumerate(lines):
    try:
      name = rows_lib.relative_path(cells[0])
      if any(cells[1:]):
        raise ValueError(
            f'{len(cells)} values; use the list of the release, which has only'
            ' images'
        )
      if name in first:
        raise ValueError(
            f'image {name} is also in line {first[name]}; remove one of the'
            ' lines'
        )
    except ValueError as error:
      listing.fault(where, line, error)
      continue
    first[name] = line
    yield rows_lib.Row(
        name=name,
        image=source / TEST_FOLDER / name,
        row=row,
        file=where,
        line=line,
    )
