"""AffectNet of 2021: cropped faces, and a .npy file for each label."""

from concurrent import futures
import pathlib
import re

import numpy as np

from abaw_jax.core import errors, files, labels
from abaw_jax.data_builders import values
from abaw_jax.data_builders.affectnet import manual_2017
from abaw_jax.data_builders.labelled import listings
from abaw_jax.data_builders.labelled import rows as rows_lib

FOLDERS = {'train': 'train_set', 'validation': 'val_set'}
_LABEL = re.compile(r'(.+)_exp\.npy')


def read(source: pathlib.Path) -> listings.Listing:
  """Returns a row for every `<id>_exp.npy`, ordered by number, then by name."""
  listing = listings.Listing()
  for split, name in FOLDERS.items():
    annotations = source / name / 'annotations'
    if not annotations.is_dir():
      raise errors.InputError(
          f'{source}: no {name}/annotations; set --source_dir to the folder'
          f' that holds {" and ".join(FOLDERS.values())}'
      )
    listing.open_split(split)
    names = (path.name for path in annotations.iterdir())
    found = (_LABEL.fullmatch(n) for n in names if not files.is_clutter(n))
    ids = sorted((match[1] for match in found if match), key=_order)
    # Threads: each face has three small files, and their reads can overlap.
    with futures.ThreadPoolExecutor() as pool:
      faces = pool.map(
          lambda place, name=name: _row(source, name, *place), enumerate(ids)
      )
      for face in faces:
        if isinstance(face, rows_lib.Row):
          listing.add(split, face)
        else:
          listing.fault(*face)
  return listing


def _order(stem: str) -> tuple[int, str]:
  return int(stem) if stem.isascii() and stem.isdecimal() else -1, stem


def _row(
    source: pathlib.Path, folder: str, row: int, stem: str
) -> rows_lib.Row | tuple[str, None, ValueError]:
  """Returns the row of one face, or (bad file, None, reason)."""
  name = f'{folder}/images/{stem}.jpg'
  texts = {}
  for key in ('exp', 'val', 'aro'):
    file = f'{folder}/annotations/{stem}_{key}.npy'
    try:
      texts[key] = _text(source / file)
      if key == 'exp':
        label = manual_2017.code(texts[key])
      else:
        texts[key] = values.affect(
            {'val': 'valence', 'aro': 'arousal'}[key],
            texts[key],
            missing=manual_2017.VA_MISSING,
        )
    except ValueError as error:
      return file, None, error
  return rows_lib.Row(
      name=name,
      image=source / name,
      row=row,
      file=f'{folder}/annotations',
      label=label,
      expression=labels.expression_id('affectnet', label),
      valence=texts['val'],
      arousal=texts['aro'],
  )


def _text(path: pathlib.Path) -> str:
  """Returns the single value of a file, a string or a number, as text.

  Raises:
    ValueError: there is another number of values, or the file is not an array.
      Arrays of Python objects are refused, because loading them can run code.
  """
  try:
    array = np.load(path, allow_pickle=False)
  except FileNotFoundError:
    raise ValueError('missing; copy the annotations again') from None
  except (OSError, ValueError, EOFError) as error:
    reason = str(error).splitlines()[0] if str(error) else 'empty'
    raise ValueError(f'cannot be read as .npy: {reason}') from None
  if not isinstance(array, np.ndarray) or array.size != 1:
    raise ValueError('has several values instead of one')
  value = array.reshape(-1)[0].item()
  return value.decode() if isinstance(value, bytes) else str(value)
