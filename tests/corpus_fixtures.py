"""A tiny procedural corpus for all tests."""

import pathlib

import pytest

from abaw_jax.data_builders import build
from abaw_jax.data_builders.procedural import corpus


@pytest.fixture(scope='session')
def data_dir(tmp_path_factory) -> pathlib.Path:
  """Returns a folder with a tiny procedural corpus, built as both configs."""
  root = tmp_path_factory.mktemp('data')
  corpus.write(root / 'source', videos=8, frames=16, seed=0, workers=1)
  build.build(
      's_aff_wild2',
      source_dir=root / 'source',
      data_dir=root,
      configs=('sequences', 'frames'),
  )
  return root
