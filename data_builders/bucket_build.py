"""Builds a dataset for a bucket: in a local folder first, then uploads it.

Builders rename folders and write parts of files, which a bucket cannot do.
"""

from collections.abc import Callable
import hashlib
import pathlib
import shutil

from abaw_jax.core import errors, files, locks, progress_bars

# Readers look for this file, so it is uploaded last.
_INFO = 'dataset_info.json'
_UPLOADED = 'uploaded.txt'  # names of the files of a dataset that are uploaded


def build(
    name: str, data_dir: files.Path, build_in: Callable[[pathlib.Path], None]
) -> None:
  """Builds a dataset in a bucket, or continues an interrupted build or upload.

  The local folder has the space of one dataset. It is removed at the end.

  Args:
    name: of the dataset.
    data_dir: folder of all built datasets, in a bucket.
    build_in: builds the dataset in a local folder of datasets.

  Raises:
    InputError: another command builds this dataset in the bucket.
  """
  local = _local_folder(data_dir)
  with locks.held(data_dir / name):
    _copy_metadata(data_dir / name, local / name)
    try:
      build_in(local)
    except errors.InputError as e:
      raise errors.InputError(str(e).replace(str(local), str(data_dir))) from e
    for info in sorted((local / name).glob(f'*/*/{_INFO}')):
      if any(info.parent.glob('*array_record*')):
        remote = data_dir / info.parent.relative_to(local)
        _upload(info.parent, remote)
        print(f'{name}/{info.parent.parent.name}: is now in {remote}')
  shutil.rmtree(local)


def _local_folder(data_dir: files.Path) -> pathlib.Path:
  """Returns the folder in which datasets for this bucket are built."""
  key = hashlib.sha256(str(data_dir).encode()).hexdigest()[:16]
  return files.cache_folder('builds') / key


def _copy_metadata(remote: files.Path, local: pathlib.Path) -> None:
  """Copies the metadata that the builder compares, if a dataset exists."""
  for info in remote.glob(f'*/*/{_INFO}'):
    folder = local / info.parent.relative_to(remote)
    if any(folder.glob('*array_record*')):
      continue  # built by an interrupted command
    folder.mkdir(parents=True, exist_ok=True)
    for path in info.parent.iterdir():
      if 'array_record' not in path.name:
        (folder / path.name).write_bytes(path.read_bytes())


def _upload(folder: pathlib.Path, remote: files.Path) -> None:
  """Uploads the files that an earlier upload has not reached."""
  log = folder / _UPLOADED
  done = set(log.read_text().splitlines()) if log.exists() else set()
  names = sorted({p.name for p in folder.iterdir()} - {_INFO, _UPLOADED})
  missing = [name for name in names if name not in done]
  if not done:
    (remote / _INFO).unlink(missing_ok=True)
    files.remove(remote)  # an older build may have more shards
  with (
      progress_bars.make(
          desc='uploading', total=len(missing), unit='files'
      ) as bar,
      log.open('a') as lines,
  ):
    for name in [*missing, _INFO]:
      files.copy(folder / name, remote / name)
      lines.write(f'{name}\n')
      lines.flush()
      bar.update()
