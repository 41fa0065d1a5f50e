"""The smoke variant of every temporal experiment trains to the end."""

import math

import pytest

from abaw_jax.training import loop
from tests.training import runs


@pytest.mark.parametrize(
    'name',
    ['mtl_lstm', 'mtl_gru', 'mtl_transformer', 'mtl_fft', 'mtl_tcn', 'heads'],
)
def test_the_smoke_variant_trains_to_the_end(name, feature_dir, tmp_path):
  config = runs.smoke(name, feature_dir, log_steps=1)
  loop.train(config, tmp_path)
  lines = runs.metrics(tmp_path)
  assert all(math.isfinite(line['loss']) for line in lines.values())
  assert {line['skipped'] for line in lines.values()} == {0}
  scores = runs.metrics(tmp_path, 'validation')
  assert max(scores) == max(lines)
  assert all(-1 <= line['score'] <= 3 for line in scores.values())
  assert (tmp_path / 'DONE').is_file()
