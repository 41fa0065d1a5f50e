"""Settings that hold for every test: strict, on the CPU, and compiled once."""

import os
import pathlib

# Before JAX is imported; processes that tests start inherit all of these.
os.environ.setdefault('JAX_PLATFORMS', 'cpu')
os.environ.setdefault('JAX_NUMPY_RANK_PROMOTION', 'raise')
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')  # XLA's notices
os.environ.setdefault('GRPC_VERBOSITY', 'ERROR')
# Most of what tests compile runs once: LLVM's optimisations and the emission of
# fused loops through MLIR cost more than they save, and change no result by more
# than rounding.
os.environ.setdefault(
    'XLA_FLAGS',
    '--xla_backend_optimization_level=0 '
    '--xla_llvm_disable_expensive_passes=true '
    '--xla_cpu_use_fusion_emitters=false',
)

from absl import flags
import jax
import pytest

from abaw_jax.data_builders import build
from abaw_jax.data_builders.procedural import corpus

pytest_plugins = ['tests.feature_fixtures']


def pytest_configure(config):
  # Grain's worker processes read flags; under pytest nobody has parsed them.
  flags.FLAGS.mark_as_parsed()
  # Not through the environment: JAX writes entries in place, so a child that a
  # test kills could leave half an entry behind for good.
  if config.pluginmanager.hasplugin('cacheprovider'):
    folder = str(config.cache.mkdir('jax'))
    jax.config.update('jax_compilation_cache_dir', folder)
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.1)


@pytest.fixture(scope='session')
def data_dir(tmp_path_factory) -> pathlib.Path:
  """Returns a folder with a tiny procedural corpus, built in both configs."""
  root = tmp_path_factory.mktemp('data')
  corpus.write(root / 'source', videos=8, frames=16, seed=0, workers=1)
  build.build(
      's_aff_wild2',
      source_dir=root / 'source',
      data_dir=root,
      configs=('sequences', 'frames'),
  )
  return root
