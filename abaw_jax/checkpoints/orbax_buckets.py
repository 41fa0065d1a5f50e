"""Checkpoints of Orbax in buckets.

In a bucket, Orbax writes a checkpoint in place and marks it as complete by its last
object, `commit_success.txt`. Orbax 0.12 knows only gs://. TensorStore, which stores
the arrays, knows s3:// as well; `folder` connects the two.
"""

import functools
import os
from typing import Any

import orbax.checkpoint as ocp

# Private: no public function chooses the storage of the arrays.
from orbax.checkpoint._src.path import gcs_utils
from orbax.checkpoint._src.serialization import tensorstore_utils

from abaw_jax.core import files

# TensorStore asks all sources of credentials and prints a line for each that is not
# there. So it gets the source that botocore found.
_CREDENTIALS = {
    'env': 'environment',
    'shared-credentials-file': 'profile',
    'config-file': 'profile',
    'container-role': 'ecs',
    'iam-role': 'imds',
}


# About 4 minutes; the default of TensorStore is a quarter of an hour.
_RETRIES = {
    f'{kind}_request_retries': {'max_retries': 10} for kind in ('gcs', 's3')
}


def folder(workdir: files.Path, name: str) -> files.Path:
  """Returns the absolute path of a folder of checkpoints in a workdir."""
  if files.is_bucket(workdir):
    tensorstore_utils._BASE_TS_CONTEXT.update(_RETRIES)
    tensorstore_utils._DEFAULT_OCDBT_TS_CONTEXT.update(_RETRIES)
    _need_no_rights_on_the_bucket()
  if str(workdir).startswith('s3://'):
    _teach_orbax_s3()
  return files.absolute(workdir) / name


def async_options(workdir: files.Path) -> ocp.AsyncOptions:
  """Returns options with which a lost bucket is an error and no endless wait."""
  # If a thread of Orbax cannot create a folder, other threads wait for it.
  return ocp.AsyncOptions(
      create_directories_asynchronously=not files.is_bucket(workdir)
  )


@functools.cache
def _need_no_rights_on_the_bucket() -> None:
  """Lets an account delete checkpoints that has rights on objects only.

  Orbax asks whether the bucket has a hierarchical namespace, whose empty folders it
  then removes. Without an answer, they stay.
  """
  ask = gcs_utils.is_hierarchical_namespace_enabled

  def ask_if_allowed(path: Any) -> bool:
    try:
      return bool(ask(path))
    except Exception as e:
      if type(e).__name__ != 'Forbidden':
        raise
      return False

  gcs_utils.is_hierarchical_namespace_enabled = ask_if_allowed


@functools.cache
def _teach_orbax_s3() -> None:
  """Makes Orbax treat s3:// like gs://."""
  kvstore_of_gcs = gcs_utils.get_kvstore_for_gcs

  def kvstore(path: str) -> dict[str, Any]:
    return _s3_kvstore(path) if is_s3(path) else kvstore_of_gcs(path)

  def is_s3(path: str) -> bool:
    return path.startswith('s3://')

  def normalize(path: str) -> str:
    scheme, colon, rest = path.rpartition('://')
    return f'{scheme}{colon}{os.path.normpath(rest)}'

  gcs_utils._GCS_PATH_PREFIX = ('gs://', 's3://')
  gcs_utils.get_kvstore_for_gcs = kvstore
  tensorstore_utils._use_gcs_driver = files.is_bucket
  tensorstore_utils._normalize_path = normalize


def _s3_kvstore(path: str) -> dict[str, Any]:
  """Returns the specification of a path for TensorStore."""
  bucket, _, key = path.removeprefix('s3://').partition('/')
  spec = {'driver': 's3', 'bucket': bucket, 'path': key}
  if (method := _credential_method()) in _CREDENTIALS:
    spec['aws_credentials'] = {'type': _CREDENTIALS[method]}
  endpoint = os.environ.get('AWS_ENDPOINT_URL_S3') or os.environ.get(
      'AWS_ENDPOINT_URL'
  )
  if endpoint:  # a store that is not Amazon's
    region = os.environ.get('AWS_REGION') or os.environ.get(
        'AWS_DEFAULT_REGION', 'us-east-1'
    )
    spec |= {'endpoint': endpoint, 'aws_region': region}
  return spec


@functools.cache
def _credential_method() -> str | None:
  import botocore.session

  found = botocore.session.get_session().get_credentials()
  return None if found is None else found.method
