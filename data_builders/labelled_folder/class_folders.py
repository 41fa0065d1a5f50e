"""Reads images whose folder is the name of their expression."""

import pathlib

from abaw_jax.core import errors
from abaw_jax.data_builders import problems
from abaw_jax.data_builders.face_images.sources import entries, trees
from abaw_jax.data_builders.labelled import listings
from abaw_jax.data_builders.labelled import rows as rows_lib
from abaw_jax.data_builders.labelled_folder import expressions, splits


def read(source: pathlib.Path, names: expressions.Names) -> listings.Listing:
  """Returns the images of <class>/... or <split>/<class>/... .

  A folder without a known class is one problem.

  Raises:
    InputError: there is no image.
  """
  listing, ignored, bad = listings.Listing(), entries.Ignored(), set()
  found = []
  for name in trees.walk(source):
    if entries.is_image(name):
      found.append(name)
    elif name not in expressions.FILES:
      ignored.add(name)
  if not found:
    raise errors.InputError(
        f'{source}: no table and no image; expected one CSV or Parquet file with'
        ' a column image, or folders such as Happiness/1.jpg'
    )
  divided = all(splits.is_name(name.split('/')[0]) for name in found)
  depth = 2 if divided else 1
  for number, name in enumerate(found):
    folders = name.split('/')[:-1]
    if len(folders) < depth:
      listing.fault(name, None, ValueError('is in no folder of a class'))
      continue
    place = '/'.join(folders[:depth])
    try:
      expression = names.id(folders[depth - 1])
    except ValueError as error:
      if place not in bad:
        bad.add(place)
        listing.problems.append(problems.Problem(place, None, str(error)))
      continue
    split = splits.name(folders[0]) if divided else splits.ALL
    listing.add(
        split,
        rows_lib.Row(
            name=name,
            image=source / name,
            row=number,
            file=name,
            expression=expression,
        ),
    )
  listing.notes += ignored.notes()
  return listing
