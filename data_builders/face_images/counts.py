"""What complete copies of the published corpora hold, and what a source does."""

import collections
from collections.abc import Iterator, Mapping
from concurrent import futures
import itertools
import os

import tqdm

from abaw_jax.core import errors
from abaw_jax.data_builders import images, report
from abaw_jax.data_builders.face_images.sources import entries, stores
from abaw_jax.data_builders.face_images.sources import layouts as layouts_lib

# By layout and by split of the source. 'all' is what has no split of its own:
# the builder holds out a part of that.
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


def count(
    source_dir: str | os.PathLike[str],
    *,
    config: str | None = None,
    layouts: Mapping[str, entries.Layout] = layouts_lib.LAYOUTS,
    decode: bool = False,
) -> report.Report:
  """Returns the images and groups of a source and what is wrong with them.

  Args:
    source_dir: folder of the images; only read.
    config: a key of `layouts`.
    layouts: the layouts that the dataset may have.
    decode: also read and decode every image; otherwise it only has to exist.

  Raises:
    InputError: the source has another layout, or no image.
  """
  chosen = layouts_lib.named(config, layouts)
  source = layouts_lib.open_source(source_dir)
  ignored = entries.Ignored()
  found = collections.defaultdict(collections.Counter)
  groups = collections.defaultdict(set)
  problems = []

  def listed() -> Iterator[entries.Entry]:
    for entry in chosen.entries(source, ignored):
      split = entry.split or 'all'
      found[split]['images'] += 1
      if entry.group:
        groups[split].add(entry.group)
      else:
        found[split]['groups'] += 1
      yield entry

  with (
      stores.Reader(source) as reader,
      # Threads: decoding frees the interpreter lock; reading goes in order.
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
        f'{source}: no image of the layout {config};'
        f' {" ".join(ignored.notes()) or "the folder is empty"}'
    )
  published = PUBLISHED.get(config, {})
  table = {}
  for split in [*published, *(s for s in found if s not in published)]:
    numbers = {
        'images': found[split]['images'],
        'groups': found[split]['groups'] + len(groups[split]),
    }
    known = published.get(split, {})
    table[split] = {f: (n, known.get(f)) for f, n in numbers.items()}
  return report.Report(table, ignored.notes(), problems)


def _look(
    reader: stores.Reader, entry: entries.Entry, *, decode: bool
) -> bytes | str | None:
  """Returns an image's bytes, why there are none, or None if it is there."""
  try:
    return reader.read(entry) if decode else reader.find(entry)
  except images.BrokenImage as error:
    return str(error)


def _reason(look: bytes | str | None) -> str | None:
  """Returns why an image is bad, if it is."""
  if not isinstance(look, bytes):
    return look
  try:
    images.decode(look)
  except images.BrokenImage as error:
    return str(error)
  return None
