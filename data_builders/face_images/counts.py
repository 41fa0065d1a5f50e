"""Counts the images and groups of a source; published counts of known datasets."""

import array
import collections
from collections.abc import Iterator
from concurrent import futures
import itertools
import os
from typing import Any

from jaxtyping import Shaped
import numpy as np

from abaw_jax.core import errors, progress_bars
from abaw_jax.data_builders import arguments, images
from abaw_jax.data_builders import report as report_lib
from abaw_jax.data_builders.face_images import holdout, repeats
from abaw_jax.data_builders.face_images import plan as plan_lib
from abaw_jax.data_builders.face_images.sources import entries, stores

# Layout -> split of the source -> counts. The images of 'all' have no split in
# the source: the builder holds out a part of them.
PUBLISHED = {
    'celeba': {
        'train': {'images': 162_770},
        'validation': {'images': 19_867},
        'test': {'images': 19_962},
    },
    'c_ms_celeb': {'all': {'images': 6_464_018, 'groups': 94_682}},
    'vggface2': {'all': {'groups': 8_631}, 'test': {'groups': 500}},
}
_SPLITS = ('all', *plan_lib.SPLITS)
_CHUNK = 256


def report(
    builder_class: Any,
    source_dir: str | os.PathLike[str],
    *,
    config: str | None = None,
    decode: bool = False,
) -> report_lib.Report:
  """Returns the number of images and groups of a source, and its problems.

  Args:
    builder_class: face_images_dataset_builder.Builder or a subclass.
    source_dir: folder of the images; only read.
    config: layout of the source.
    decode: read and decode every image; otherwise an image only has to exist.

  Raises:
    InputError: the source has another layout, or no image.
  """
  layout = arguments.layout(config, builder_class.LAYOUTS)
  source = arguments.source_folder(source_dir)
  ignored = entries.Ignored()
  found = collections.defaultdict(collections.Counter)
  groups = collections.defaultdict(set)
  repeated = repeats.Repeats()
  contents = array.array('Q')  # hashes of the images, if they are read
  places = array.array('B')  # indices of their splits
  problems = []

  def found_in(ignored: entries.Ignored) -> Iterator[entries.Entry]:
    images_ = layout.entries(source, ignored)
    if builder_class.LABELLED:
      images_ = entries.with_group(images_, ignored)
    return images_

  def listed() -> Iterator[entries.Entry]:
    for entry in found_in(ignored):
      repeated.add(entry)
      split = entry.split or 'all'
      found[split]['images'] += 1
      if entry.group:
        groups[split].add(entry.group)
      else:
        found[split]['groups'] += 1
      yield entry

  with (
      stores.Reader(source) as reader,
      # Threads decode, because decoding releases the GIL; one thread reads.
      futures.ThreadPoolExecutor() as pool,
      progress_bars.make(desc='Checking', unit='images') as bar,
  ):
    entry_stream = listed()
    while chunk := list(itertools.islice(entry_stream, _CHUNK)):
      looks = [_look(reader, entry, decode=decode) for entry in chunk]
      reasons = pool.map(_reason, looks)
      for entry, look, reason in zip(chunk, looks, reasons, strict=True):
        if reason:
          problems.append(entry.problem(reason))
        elif look is not None:
          contents.append(holdout.hash_of(look))
          places.append(_SPLITS.index(entry.split or 'all'))
      bar.update(len(chunk))
  if not found:
    raise errors.InputError(
        f'{source}: no image in the layout {config};'
        f' {" ".join(ignored.notes()) or "the folder is empty"}'
    )
  conflicts, notes = repeated.find(found_in(entries.Ignored()))
  problems += conflicts
  published = builder_class.PUBLISHED.get(config, {})
  table = {}
  for split in [*published, *(s for s in found if s not in published)]:
    numbers = {
        'images': found[split]['images'],
        'groups': found[split]['groups'] + len(groups[split]),
    }
    known = published.get(split, {})
    table[split] = {f: (n, known.get(f)) for f, n in numbers.items()}
  return report_lib.Report(
      table,
      ignored.notes()
      + notes
      + _copies(np.asarray(contents), np.asarray(places)),
      problems,
  )


def _copies(
    contents: Shaped[np.ndarray, 'n'], places: Shaped[np.ndarray, 'n']
) -> list[str]:
  """Returns a note on images with equal hashes of their bytes."""
  _, first, which = np.unique(contents, return_index=True, return_inverse=True)
  origin = first[which]
  again = origin != np.arange(len(contents))
  if not again.any():
    return []
  between = again & (places != places[origin])
  return [
      f'{again.sum():,} images are identical to an earlier one,'
      f' {between.sum():,} of them in another split'
  ]


def _look(
    reader: stores.Reader, entry: entries.Entry, *, decode: bool
) -> bytes | str | None:
  """Returns the bytes of an image, why it is missing, or None if it exists."""
  try:
    return reader.read(entry) if decode else reader.find(entry)
  except images.BrokenImage as error:
    return str(error)


def _reason(look: bytes | str | None) -> str | None:
  """Returns why an image is bad, or None if it is good."""
  if not isinstance(look, bytes):
    return look
  try:
    images.decode(look)
  except images.BrokenImage as error:
    return str(error)
  return None
