r"""Times our input pipeline against PyTorch's DataLoader and against decoding alone.

  python -m benchmarks.input
  python -m benchmarks.input --data_dir=faces --sizes=112 --rounds=21

All read the same JPEG faces with the same number of readers, threads or processes.
`decode` is a loop of cv2.imdecode over bytes in memory. `ours` is the host part of
training: it reads records in random order and decodes them to uint8 batches.
`in memory` is the same with `config.data.in_memory`, after it is filled: as many
threads copy decoded images.
`+ device` adds the start of the train step: crop, bicubic resize, flip and
normalisation, jitted, on the accelerator, or on the same cores without one.
DataLoader decodes, crops, resizes, flips and normalises with Pillow and PyTorch.
Rounds alternate, so that other load affects all equally. Figures are medians over
rounds in images per second, ratios are medians over rounds.
"""

from collections.abc import Callable, Iterator
import concurrent.futures
import contextlib
import functools
import itertools
import multiprocessing
import pathlib
import statistics
import tempfile
import time
from typing import Any

from absl import flags
import cv2
import jax
import numpy as np

from abaw_jax.augmentation import augment
from abaw_jax.core import cli
from abaw_jax.data import memory, pipeline, sources, transforms
from benchmarks import cases, harness
from benchmarks.twins import loader as torch_loader

flags.DEFINE_string(
    'data_dir',
    None,
    'Folder that keeps the faces; default: a temporary folder.',
)
flags.DEFINE_list(
    'sizes',
    ['112', '256:224'],
    'Side of the stored faces[:side of the crops] in pixels.',
)
flags.DEFINE_list(
    'readers',
    ['1 thread', '2 threads', '2 processes'],
    'Numbers of threads or processes.',
)
flags.DEFINE_integer('batch_size', 128, 'Images per batch.')
flags.DEFINE_integer('batches', 12, 'Batches in a round.')
flags.DEFINE_integer('rounds', 9, 'Rounds.')

AUGMENT = {
    'mean': (0.485, 0.456, 0.406),
    'std': (0.229, 0.224, 0.225),
    'crop_scale': 0.2,
}
# Batches at the start of a round that are not timed: they may be ready already.
_QUEUED = 8
_COLUMNS = (
    'faces',
    'readers',
    'decode',
    'ours',
    'of decode',
    'in memory',
    'of ours',
    '+ device',
    'DataLoader',
    'ours',
    '+ device',
)


def decode_all(encoded: list[bytes], count: int) -> None:
  """Decodes `count` images in a loop."""
  cv2.setNumThreads(1)
  for image in itertools.islice(itertools.cycle(encoded), count):
    cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR_RGB)


def decoding_speed(
    pool: concurrent.futures.Executor,
    readers: int,
    encoded: list[bytes],
    count: int,
) -> float:
  """Returns images per second of decoding alone, over all readers of a pool."""
  share = count // readers
  start = time.perf_counter()
  jobs = [pool.submit(decode_all, encoded, share) for _ in range(readers)]
  for job in jobs:
    job.result()
  return readers * share / (time.perf_counter() - start)


def batch_speed(
    images: Iterator[Any], count: int, use: Callable[[Any], Any] = np.shape
) -> float:
  """Returns images per second of an iterator whose batches go through `use`."""
  for _ in range(_QUEUED):
    batch = next(images)
  used = jax.block_until_ready(use(batch))
  start = time.perf_counter()
  for _ in range(count):
    # As in training, the device computes while the host prepares a batch.
    before, used = used, use(next(images))
    jax.block_until_ready(before)
  jax.block_until_ready(used)
  return count * len(batch) / (time.perf_counter() - start)


def make_device_step(size: int) -> Callable[[np.ndarray], jax.Array]:
  """Returns the jitted augmentation of the train step."""
  train = augment.Augmentation(size=size, flip=True, **AUGMENT).train
  return functools.partial(jax.jit(train), jax.random.key(0))


def make_rounds(
    stack: contextlib.ExitStack,
    folder: pathlib.Path,
    encoded: list[bytes],
    source: sources.Records,
    *,
    stored: int,
    size: int,
    readers: str,
) -> dict[str, Callable[[], float]]:
  """Returns a function for each side that measures one round."""
  count, kind = readers.split()
  count, processes = int(count), kind.startswith('process')
  batch_size, number = flags.FLAGS.batch_size, flags.FLAGS.batches
  if processes:
    context = multiprocessing.get_context('spawn')
    pool = concurrent.futures.ProcessPoolExecutor(count, mp_context=context)
  else:
    pool = concurrent.futures.ThreadPoolExecutor(count)
  stack.enter_context(pool)
  ours = pipeline.train_batches(
      source,
      functools.partial(transforms.image_batch, image_size=stored),
      batch_size=batch_size,
      seed=0,
      num_workers=count if processes else 0,
      read_threads=1 if processes else count,
  )
  stack.enter_context(contextlib.closing(ours))
  images = (batch['image'] for batch in ours)
  held = memory.DecodedImages(
      source, functools.partial(transforms.decoded_columns, image_size=stored)
  )
  held.fill(lambda _: None, num_workers=0, read_threads=2)
  from_memory = pipeline.train_batches(
      held,
      functools.partial(transforms.image_batch, image_size=stored),
      batch_size=batch_size,
      seed=0,
      read_threads=count,
  )
  stack.enter_context(contextlib.closing(from_memory))
  held_images = (batch['image'] for batch in from_memory)
  files = sorted((folder / 'files').iterdir())
  loader = torch_loader.batches(
      torch_loader.FaceFiles(files, size=size, **AUGMENT),
      batch_size=batch_size,
      num_workers=0 if count == 1 else count,
  )
  return {
      'decode': lambda: decoding_speed(
          pool, count, encoded, number * batch_size
      ),
      'ours': lambda: batch_speed(images, number),
      'memory': lambda: batch_speed(held_images, number),
      'device': functools.partial(
          batch_speed, images, number, make_device_step(size)
      ),
      'loader': lambda: batch_speed(loader, number),
  }


def make_row(
    folder: pathlib.Path, *, stored: int, size: int, readers: str
) -> list[str]:
  """Returns a row of the table."""
  source = sources.Records(
      folder, 'face_images', 'folders', 'train', fields=('image',)
  )
  encoded = [record['image'] for record in source]
  with contextlib.ExitStack() as stack:
    rounds = make_rounds(
        stack,
        folder,
        encoded,
        source,
        stored=stored,
        size=size,
        readers=readers,
    )
    for measure in rounds.values():
      measure()  # starts processes, compiles
    results = [
        {name: measure() for name, measure in rounds.items()}
        for _ in range(flags.FLAGS.rounds)
    ]

  def speed(name):
    return f'{statistics.median(r[name] for r in results):,.0f}'

  def ratio(name, over):
    return statistics.median(r[name] / r[over] for r in results)

  kilobytes = sum(map(len, encoded)) / len(encoded) / 1000
  return [
      f'{stored} to {size}, {kilobytes:.1f} kB',
      readers,
      speed('decode'),
      speed('ours'),
      f'{ratio("ours", "decode"):.0%}',
      speed('memory'),
      f'{ratio("memory", "ours"):.1f}x',
      speed('device'),
      speed('loader'),
      f'{ratio("ours", "loader"):.1f}x',
      f'{ratio("device", "loader"):.1f}x',
  ]


def make_rows(folders: dict[str, pathlib.Path]) -> Iterator[list[str]]:
  """Yields the rows of the table from the folders by size of the faces."""
  for text in flags.FLAGS.sizes:
    stored, _, size = text.partition(':')
    for readers in flags.FLAGS.readers:
      yield make_row(
          folders[stored],
          stored=int(stored),
          size=int(size or stored),
          readers=readers,
      )


def main() -> None:
  """Prints the table."""
  with contextlib.ExitStack() as stack:
    root = flags.FLAGS.data_dir or stack.enter_context(
        tempfile.TemporaryDirectory()
    )
    sizes = [text.partition(':')[0] for text in flags.FLAGS.sizes]
    folders = {
        size: cases.write_faces(pathlib.Path(root), int(size)) for size in sizes
    }
    print(f'images per second, {jax.devices()[0].device_kind}')
    harness.print_table(_COLUMNS, make_rows(folders))


if __name__ == '__main__':
  cli.run(main, __doc__)
