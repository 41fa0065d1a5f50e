"""Settings of all tests: strict, on the CPU, and with one compilation cache."""

import gc
from importlib import abc
import os
import sys

from absl import flags
from jaxlib import version as jaxlib_version
import pytest

# Every worker and child process imports the same files; one of them compiles each.
sys.dont_write_bytecode = False
os.environ.pop('PYTHONDONTWRITEBYTECODE', None)
# Set before JAX is imported. Child processes of tests inherit these values.
os.environ.setdefault('JAX_PLATFORMS', 'cpu')
os.environ.setdefault('JAX_NUMPY_RANK_PROMOTION', 'raise')
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')  # no notices of XLA
os.environ.setdefault('GRPC_VERBOSITY', 'ERROR')
# Most compiled programs of tests run once, so optimisation by LLVM, and fusion
# through MLIR, cost more time than they save. Results change by rounding only.
# Small programs compile faster in one part. Versions from 0.11 on reject the last
# flag.
os.environ.setdefault(
    'XLA_FLAGS',
    '--xla_backend_optimization_level=0 '
    '--xla_llvm_disable_expensive_passes=true '
    '--xla_cpu_parallel_codegen_split_count=1 '
    + '--xla_cpu_use_fusion_emitters=false'
    * (jaxlib_version.__version_info__ < (0, 11)),
)


class SkipWithoutTorch(abc.MetaPathFinder):
  """Skips the tests that import PyTorch, where it is not installed."""

  def find_spec(self, name, path=None, target=None):
    if name in ('torch', 'transformers', 'timm'):
      pytest.skip(f'{name} is not installed', allow_module_level=True)


sys.meta_path.append(SkipWithoutTorch())
FIXTURES = (
    'tests.buckets.fixtures', 'tests.bundles.made', 'tests.corpus_fixtures',
    'tests.feature_fixtures',
)  # fmt: skip


def pytest_configure(config):
  if config.getoption('dist', 'no') != 'no' and not hasattr(
      config, 'workerinput'
  ):
    return  # this process runs no tests: its workers start sooner without imports
  gc.disable()  # until all tests are imported
  for name in FIXTURES:
    config.pluginmanager.import_plugin(name)
  # Worker processes of Grain read flags, and pytest does not parse them.
  flags.FLAGS.mark_as_parsed()
  # Not set in the environment: JAX writes cache entries in place, so a child
  # process that a test kills could leave a damaged entry. `runs.environment` gives
  # the cache to other child processes.
  import jax

  if config.pluginmanager.hasplugin('cacheprovider'):
    folder = str(config.cache.mkdir('jax'))
    jax.config.update('jax_compilation_cache_dir', folder)
    # Also programs of one operation, because there are thousands of them.
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)


def pytest_collection_finish():
  # No later collection of garbage visits the modules and the tests.
  gc.freeze()
  gc.enable()
