"""Counts the images and groups of a source; published counts of known datasets."""

import collections
from collections.abc import Iterator
from concurrent import futures
import itertools
import os
from typing import Any

import tqdm

from abaw_jax.core import errors
from abaw_jax.data_builders import arguments, images
from abaw_jax.data_builders import report as report_lib
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
  problems = []

  def listed() -> Iterator[entries.Entry]:
    for entry in layout.entries(source, ignored):
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
      tqdm.tqdm(
          desc='Checking', unit=' images', leave=False, disable=None
      ) as bar,
  ):
    entry_stream = listed()
    while chunk := list(itertools.islice(entry_stream, _CHUNK)):
      looks = [_look(reader, entry, decode=decode) for entry in chunk]
      reasons = pool.map(_reason, looks)
      problems += [
          entry.problem(reason)
          for entry, reason in zip(chunk, reasons, strict=True)
          if reason
      ]
      bar.update(len(chunk))
  if not found:
    raise errors.InputError(
        f'{source}: no image in the layout {config};'
        f' {" ".join(ignored.notes()) or "the folder is empty"}'
    )
  published = builder_class.PUBLISHED.get(config, {})
  table = {}
  for split in [*published, *(s for s in found if s not in published)]:
    numbers = {
        'images': found[split]['images'],
        'groups': found[split]['groups'] + len(groups[split]),
    }
    known = published.get(split, {})
    table[split] = {f: (n, known.get(f)) for f, n in numbers.items()}
  return report_lib.Report(table, ignored.notes(), problems)


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
