"""Paths of objects in buckets: `gs://bucket/folder/file`.

`etils.epath` reads and writes them through fsspec, with the credentials that the
platform gives: the application default of Google Cloud, the environment, files or
role of AWS. Nothing here asks for credentials or prints them.
"""

from __future__ import annotations

import functools
import importlib.util
import logging
import os
import typing

from abaw_jax.buckets import failures

if typing.TYPE_CHECKING:
  from etils import epath
  import fsspec

# The package for each kind of bucket, which is also the extra of this package.
_PACKAGES = {'gs': ('gcsfs', 'gcs'), 's3': ('s3fs', 's3')}
_used: set[str] = set()
_NOTHING = '.abaw_jax/no/such/object'


def is_bucket(path: str | os.PathLike[str]) -> bool:
  """Returns whether a path is in a bucket."""
  return '://' in os.fspath(path)


def open_path(text: str) -> epath.Path:
  """Returns a path in a bucket, after a first look at the bucket.

  Raises:
    BucketError: there is no such bucket, it cannot be reached or refuses, the
      package for it is missing, or the path has no bucket.
  """
  scheme, _, rest = text.partition('://')
  bucket = rest.split('/')[0]
  if scheme not in _PACKAGES or not bucket:
    raise failures.BucketError(
        f'{text}: give a local path, gs://BUCKET/FOLDER or s3://BUCKET/FOLDER'
    )
  package, extra = _PACKAGES[scheme]
  if importlib.util.find_spec(package) is None:
    raise failures.BucketError(
        f'{text}: {scheme}:// needs the package {package}; '
        f"pip install 'abaw_jax[{extra}]'"
    )
  _connect(scheme, bucket)
  from etils import epath

  return epath.Path(text)


def used() -> list[str]:
  """Returns the buckets that this process has opened, such as gs://bucket."""
  return sorted(_used)


def file_system(path: str | os.PathLike[str]) -> fsspec.AbstractFileSystem:
  """Returns the file system of a path in a bucket."""
  import fsspec

  return fsspec.filesystem(os.fspath(path).partition('://')[0])


@functools.cache
def _connect(scheme: str, bucket: str) -> None:
  """Asks the bucket once, so that a wrong one is an error before all else."""
  # With TensorFlow installed, epath would import it and use its file system.
  os.environ.setdefault('EPATH_USE_TF', 'false')
  # Without this, gcsfs waits for a service of zonal buckets, 60 s if it is away.
  os.environ.setdefault('GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT', 'false')
  # These loggers print tracebacks of errors that are raised as well.
  for name in ('gcsfs', 's3fs', 'botocore', 'aiobotocore', 'absl'):
    logging.getLogger(name).setLevel(logging.CRITICAL)
  import fsspec

  # Other processes add files: a listing that is kept would be wrong.
  fsspec.config.conf.setdefault(scheme, {})['use_listings_cache'] = False
  _used.add(f'{scheme}://{bucket}')
  with failures.named(f'{scheme}://{bucket}'):
    try:
      file_system(f'{scheme}://').ls(f'{scheme}://{bucket}/{_NOTHING}')
    except FileNotFoundError as e:
      if failures.is_missing_bucket(e):
        raise
