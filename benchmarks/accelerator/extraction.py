"""Speed of feature extraction, with and without reading and decoding."""

import functools
import os
import pathlib
import shutil
import tempfile
import time

import jax

from abaw_jax.distributed import sharding
from abaw_jax.inference import embedder
from abaw_jax.inference import extraction as product
from benchmarks import cases, harness
from benchmarks.accelerator import section as section_lib
from benchmarks.accelerator import sizes, stand_ins

_BATCHES = 8  # in memory


def rates(section: section_lib.Section, config: sizes.Sizes) -> None:
  """Writes the frames per second."""
  backbone, count, model = config.extraction
  count *= jax.device_count()
  section.text(
      f'{backbone}, {count} images per step. `frames in memory` includes the '
      'transfer to the device. `complete command` also reads and decodes JPEG and '
      f'writes the features, on {os.cpu_count()} CPU cores.'
  )
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    cases.write_weights(folder / 'weights', backbone, **model)
    section.table(
        ('what', 'speed'),
        [
            (
                'frames in memory',
                lambda: _in_memory(folder, count, model, config),
            ),
            ('complete command', lambda: _command(folder, count, config)),
        ],
    )


def _in_memory(folder, count: int, model, config: sizes.Sizes) -> list[str]:
  mesh = sharding.make_mesh(fsdp=1)
  source = embedder.load(folder / 'weights', mesh)
  embed = functools.partial(source.jit(mesh), source.params)
  images = cases.images(count, model['image_size'])['image']
  split = sharding.over_batch(mesh)

  def extract() -> list[jax.Array]:
    with jax.set_mesh(mesh):
      return [embed(jax.device_put(images, split)) for _ in range(_BATCHES)]

  (seconds,) = harness.measure([extract], rounds=config.rounds)
  return [harness.rate(seconds, count * _BATCHES, 'frames')]


def _command(folder, count: int, config: sizes.Sizes) -> list[str]:
  stand_ins.require('array_record', 'grain', 'tensorflow_datasets')
  videos, frames = config.corpus
  files = cases.write_corpus(
      folder, videos=videos, frames=frames, workers=os.cpu_count()
  )

  def extract() -> float:
    shutil.rmtree(folder / f'{cases.DATASET}_features', ignore_errors=True)
    start = time.perf_counter()
    product.extract(
        init_from=folder / 'weights',
        data_dir=folder,
        dataset=cases.DATASET,
        name='features',
        batch_size=count,
    )
    return time.perf_counter() - start

  extract()  # compiles
  return [harness.rate([extract()], len(files), 'frames')]
