"""Tiny runs, and bundles of them, for tests."""

import pathlib

import numpy as np
import pytest

from abaw_jax.core import labels
from abaw_jax.data import images, sources
from abaw_jax.inference import evaluation, extraction
from abaw_jax.postprocessing import postprocess, postprocessing_files, smoothing
from abaw_jax.training import loop
from tests.models import tiny_networks
from tests.training import runs

SPLIT = 'train'  # it has the most videos
WINDOW = 6
RUNS = {'mtl': {'data__norm': 'train'}, 'mtl_gru': {}}


@pytest.fixture(scope='session')
def root(data_dir, tmp_path_factory) -> pathlib.Path:
  """Returns a folder with the runs `frame`, `mtl` and `mtl_gru` on its features."""
  root = tmp_path_factory.mktemp('bundles')
  (root / 's_aff_wild2').symlink_to(data_dir / 's_aff_wild2')
  frame = runs.smoke('frame', root, epochs=0.1, optim__warmup_epochs=0.0)
  frame['model'] |= tiny_networks.VIT
  loop.train(frame, root / 'frame')
  extraction.extract(
      init_from=root / 'frame',
      data_dir=root,
      dataset='s_aff_wild2',
      name='small',
      batch_size=32,
  )
  short = {
      'epochs': 0.5,
      'data__batch_size': 2,
      'data__window': WINDOW,
      'data__stride': WINDOW,
  }
  for name, changes in RUNS.items():
    loop.train(runs.smoke(name, root, **short, **changes), root / name)
  for name in ('frame', *RUNS):
    evaluation.evaluate(root / name, SPLIT)
  return root


@pytest.fixture(scope='session')
def postprocessing(tmp_path_factory) -> pathlib.Path:
  """Returns a postprocessing file with every kind of smoothing."""
  path = tmp_path_factory.mktemp('postprocessing') / 'blend.json'
  rng = np.random.default_rng(0)
  postprocessing_files.write(
      path,
      postprocess.Postprocessing(
          weights=dict.fromkeys(('va', 'expr', 'au'), np.ones(1)),
          smoothing={
              'va': smoothing.Smoothing('mean', 'row', 2),
              'expr': smoothing.Smoothing('gaussian', 'frame', 1.5),
              'au': smoothing.Smoothing('median', 'frame', 3, 2),
          },
          bias=rng.normal(0, 0.5, labels.NUM_EXPRESSIONS),
          thresholds=rng.uniform(0.3, 0.7, labels.NUM_AUS),
      ),
  )
  return path


def videos(root: pathlib.Path) -> dict[str, dict[str, np.ndarray]]:
  """Returns the distinct `frame_id` and `faces` of the videos."""
  found = {}
  for record in sources.Records(root, 's_aff_wild2', 'sequences', SPLIT):
    part = found.setdefault(record['video'].decode(), {})
    for number, image in zip(record['frame_id'], record['image'], strict=True):
      part[int(number)] = images.decode(image)
  return {
      name: {
          'frame_id': np.array(sorted(part)),
          'faces': np.stack([part[i] for i in sorted(part)]),
      }
      for name, part in found.items()
  }
