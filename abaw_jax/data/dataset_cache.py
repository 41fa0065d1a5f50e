"""Local copies of the shards of datasets in buckets.

Training reads records in random order. ArrayRecord 0.8.6 can read gs:// in place, but
it sends one request for each record: 1.3 ms to a server on the same machine, where
the disk needs 5 microseconds, and more over a network. It cannot read s3://. So each
host copies all shards of a split once, before it reads the first record.

A copy lies in `<cache>/gs/<bucket>/<folder>/`. Next to each shard, `<shard>.copied`
has the version of the object. A new version, or a file that has changed since, is
copied again.
"""

import base64
from collections.abc import Callable, Iterator, Sequence
import concurrent.futures
import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import re
import shutil
import threading
from typing import Any

from abaw_jax.buckets import failures, paths
from abaw_jax.core import errors, files, locks, progress_bars, storage_errors

_THREADS = 8
# Bytes of one request. A stopped command waits for one request per thread.
_CHUNK = 8_000_000
_MB = 1_000_000


@dataclasses.dataclass(frozen=True)
class _Object:
  """An object and its copy.

  `digest` is (name of an algorithm, digest in hex); None if the bucket has none
  that can be compared.
  """

  url: str
  copy: pathlib.Path
  size: int
  version: str
  digest: tuple[str, str] | None

  @property
  def part(self) -> pathlib.Path:
    """The incomplete copy of this version."""
    number = hashlib.sha256(self.version.encode()).hexdigest()[:8]
    return self.copy.with_name(f'{self.copy.name}.{number}.part')

  @property
  def note(self) -> pathlib.Path:
    return self.copy.with_name(f'{self.copy.name}.copied')

  def state(self) -> dict[str, Any]:
    """Returns the content of the note if the copy is complete now."""
    found = self.copy.stat()
    return {
        'version': self.version,
        'size': found.st_size,
        'modified_ns': found.st_mtime_ns,
    }


def copied(urls: Sequence[str], cache: str = '') -> list[str]:
  """Copies the files that are not yet in the cache; returns all copies.

  A killed copy continues where it stopped. Several processes may call this at
  once: one copies, the others wait.

  Args:
    urls: files of one folder in a bucket.
    cache: folder of all copies; '' is `datasets` in `files.cache_folder`.

  Raises:
    InputError: the cache is not local, a file is missing or differs from its
      checksum after copying, or the disk is too small.
    BucketError: the bucket does not answer or refuses.
  """
  if files.is_bucket(cache):
    raise errors.InputError(
        f'config.data.cache_dir={cache}: give a folder on a local disk'
    )
  root = pathlib.Path(cache) if cache else files.cache_folder('datasets')
  objects = _objects(urls, root)
  folder = objects[0].copy.parent
  if not all(map(_is_current, objects)):
    with (
        storage_errors.writing(folder, 'the copy of a dataset'),
        locks.held(folder, wait=True),
    ):
      _copy_missing(folder, objects)
  return [os.fspath(found.copy) for found in objects]


def _objects(urls: Sequence[str], cache: pathlib.Path) -> list[_Object]:
  """Asks the bucket for the size and checksum of each file."""
  folder = os.path.dirname(urls[0])
  system = paths.file_system(folder)
  with failures.named(folder):
    listed = {x['name']: x for x in system.ls(folder, detail=True)}
  found = []
  for url in urls:
    scheme, _, name = url.partition('://')
    if name not in listed:
      raise errors.InputError(
          f'{url}: there is no such object; upload the folder of the dataset again'
      )
    info = listed[name]
    found.append(
        _Object(
            url=url,
            copy=cache / scheme / name,
            size=info['size'],
            version=str(info.get('generation') or info['ETag']),
            digest=_digest_of(info),
        )
    )
  return found


def _digest_of(info: dict[str, Any]) -> tuple[str, str] | None:
  """Returns the checksum that a bucket knows; see `_Object`."""
  for name, key in (('md5', 'md5Hash'), ('crc32c', 'crc32c')):
    if key in info:
      return name, base64.b64decode(info[key]).hex()
  # The ETag of an object that was uploaded in parts is no checksum of its bytes.
  etag = info['ETag'].strip('"')
  return ('etag', etag) if re.fullmatch('[0-9a-f]{32}', etag) else None


def _is_current(found: _Object) -> bool:
  """Returns whether the copy has this version, and did not change since."""
  try:
    return json.loads(found.note.read_text()) == found.state()
  except (OSError, ValueError):
    return False


def _copy_missing(folder: pathlib.Path, objects: Sequence[_Object]) -> None:
  """Copies all files that another process has not copied in the meantime."""
  missing = [x for x in objects if not (_is_current(x) or _restored(x))]
  if not missing:
    return
  source = os.path.dirname(missing[0].url)
  folder.mkdir(parents=True, exist_ok=True)
  num_bytes = sum(x.size - _size(x.part) for x in missing)
  free = shutil.disk_usage(folder).free
  needed = f'{progress_bars.size(num_bytes)}, {progress_bars.size(free)} free'
  if num_bytes > free:
    raise errors.InputError(
        f'{folder}: the copy of {source} needs {needed}; free some space, or '
        'name a folder on a larger disk, --config.data.cache_dir=FOLDER'
    )
  print(
      f'{source}: copying {len(missing)} files to {folder}: {needed}',
      flush=True,
  )
  total = -(-num_bytes // _MB)
  with progress_bars.make(desc='copying', unit='MB', total=total) as bar:
    count = _counter(bar.update)
    with _pool() as (pool, stop):
      for job in [pool.submit(_copy, x, count, stop) for x in missing]:
        job.result()


def _restored(found: _Object) -> bool:
  """Writes the note of a complete copy that has none, or an older one."""
  if not found.copy.exists():
    return False
  # Without a checksum, only a new copy is sure to be right.
  if found.digest is None or not _is_intact(found, found.copy):
    print(
        f'{found.copy}: is damaged or differs from {found.url}; copying it again',
        flush=True,
    )
    return False
  files.write_json(found.note, found.state())
  return True


def _counter(update: Callable[[int], Any]) -> Callable[[int], None]:
  """Returns a function for threads that counts bytes in MB."""
  lock = threading.Lock()
  rest = 0

  def count(num_bytes: int) -> None:
    nonlocal rest
    with lock:
      full, rest = divmod(rest + num_bytes, _MB)
      update(full)

  return count


@contextlib.contextmanager
def _pool() -> Iterator[tuple[concurrent.futures.Executor, threading.Event]]:
  """Yields a thread pool, and an event that is set if the block fails."""
  stop = threading.Event()
  with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
    try:
      yield pool, stop
    except BaseException:
      stop.set()
      pool.shutdown(wait=False, cancel_futures=True)
      raise


def _copy(
    found: _Object, count: Callable[[int], None], stop: threading.Event
) -> None:
  """Copies one file, or the rest of it."""
  system = paths.file_system(found.url)
  for other in found.copy.parent.glob(f'{found.copy.name}.*.part'):
    if other != found.part or _size(other) > found.size:
      other.unlink()
  with found.part.open('ab') as out:
    for start in range(out.tell(), found.size, _CHUNK):
      if stop.is_set():
        return
      stop_at = min(start + _CHUNK, found.size)
      with failures.named(found.url):
        data = system.cat_file(found.url, start=start, end=stop_at)
      out.write(data)
      count(len(data))
  if not _is_intact(found, found.part):
    found.part.unlink()
    raise errors.InputError(
        f'{found.url}: its copy differs from its checksum; run the same command '
        'again, or upload the file again'
    )
  os.replace(found.part, found.copy)
  files.write_json(found.note, found.state())


def _is_intact(found: _Object, copy: pathlib.Path) -> bool:
  """Compares size and checksum of a copy with the object."""
  if _size(copy) != found.size:
    return False
  if found.digest is None:
    return True
  name, expected = found.digest
  if name != 'etag':
    return _digest(copy, name) == expected
  # With a key of KMS or of the customer, an ETag is no checksum.
  return _digest(copy, 'md5') == expected or _is_encrypted(found.url)


def _digest(path: pathlib.Path, algorithm: str) -> str:
  """Returns a checksum of a file in hex."""
  with path.open('rb') as file:
    if algorithm == 'md5':
      return hashlib.file_digest(
          file, lambda: hashlib.md5(usedforsecurity=False)
      ).hexdigest()
    import google_crc32c  # comes with gcsfs

    checksum = google_crc32c.Checksum()
    while data := file.read(_CHUNK):
      checksum.update(data)
    return checksum.digest().hex()


def _is_encrypted(url: str) -> bool:
  """Returns whether an object of S3 is encrypted with a key of its own."""
  bucket, _, key = url.partition('://')[2].partition('/')
  with failures.named(url):
    head = paths.file_system(url).call_s3('head_object', Bucket=bucket, Key=key)
  return (
      'kms' in head.get('ServerSideEncryption', '')
      or 'SSECustomerAlgorithm' in head
  )


def _size(path: pathlib.Path) -> int:
  return path.stat().st_size if path.exists() else 0
