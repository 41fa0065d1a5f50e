"""Features for temporal models, without a backbone that makes them."""

import pathlib

import numpy as np
import pytest

from abaw_jax.core import labels
from abaw_jax.data import sources
from tests.data import corpora

DIM = 16
# Width of each feature set; the second one are scores of a frame model.
SETS = {'small': DIM, 'small_scores': 22}


@pytest.fixture(scope='session')
def feature_dir(data_dir, tmp_path_factory) -> pathlib.Path:
  """Returns a folder with random features of every row of the tiny corpus."""
  root = tmp_path_factory.mktemp('features')
  rng = np.random.default_rng(0)
  for name, dim in SETS.items():
    records = {}
    for split in labels.SPLITS:
      records[split] = [
          record
          | {
              'features': rng.standard_normal(
                  (len(record['row']), dim), np.float32
              )
          }
          for record in sources.Records(
              data_dir, 's_aff_wild2', 'sequences', split
          )
      ]
    corpora.write_records(
        root, records, dataset='s_aff_wild2', name=name, dim=dim, card={}
    )
  return root
