"""Buckets for tests; they are empty at the start of a test file."""

import pytest

from tests.buckets import emulators


@pytest.fixture(scope='module')
def gs_bucket():
  """Returns gs://bucket of an emulator."""
  with emulators.google() as url:
    yield url


@pytest.fixture(scope='module')
def s3_bucket():
  """Returns s3://bucket of an emulator."""
  with emulators.amazon() as url:
    yield url


@pytest.fixture(scope='module', params=['gs', 's3'])
def bucket(request):
  """Returns gs://bucket, then s3://bucket."""
  return request.getfixturevalue(f'{request.param}_bucket')
