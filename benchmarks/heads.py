r"""Times the training of HSE-NN's heads on random features of the challenge's size.

  python -m benchmarks.heads
  python -m benchmarks.heads --variants=full --in_memory=False --rows=10000

Writes a dataset of random features to --data_dir (a temporary folder by default): with
the default flags 142,000 frames of train and 27,000 of validation, 0.9 GB. Then
it trains variants of configs/heads.py on them with the loop of `train`. The time of an
epoch includes reading its batches, and `data wait` is the share in which the device
waited for them. The evaluation after each epoch has its own column. Figures are
medians over epochs without the first.
"""

from collections.abc import Iterator
import contextlib
import itertools
import json
import pathlib
import statistics
import sys
import tempfile

from absl import flags
import numpy as np

from abaw_jax.core import cli
from benchmarks import cases, harness

flags.DEFINE_list(
    'variants', ['full', 'joint'], 'Variants of configs/heads.py.'
)
flags.DEFINE_integer('rows', 142_000, 'Frames of train.')
flags.DEFINE_integer('validation_rows', 27_000, 'Frames of validation.')
flags.DEFINE_integer(
    'features', 1290, 'Width of the features; the last 10 are scores.'
)
flags.DEFINE_integer('epochs', 4, 'Epochs of a run.', lower_bound=2)
flags.DEFINE_bool('in_memory', True, 'Whether features stay in memory.')
flags.DEFINE_string('data_dir', None, 'Folder that keeps the features.')

_NAME = 'random'
_RECORD = 64  # frames of a record
_VIDEO = 8  # records of a video
_COLUMNS = (
    'variant', 'frames', 'updates', 's per epoch', 'data wait', 's per evaluation',
)  # fmt: skip


def write_features(folder: pathlib.Path) -> None:
  """Writes random features and labels, if the folder has none."""
  from abaw_jax.sequences import feature_datasets

  args = flags.FLAGS
  rows = {'train': args.rows, 'validation': args.validation_rows}
  writer = feature_datasets.FeatureWriter(
      folder,
      cases.DATASET,
      _NAME,
      dim=args.features,
      card={'rows': rows},
      num_records={name: -(-count // _RECORD) for name, count in rows.items()},
      records_per_shard=256,
  )
  if writer.finished:
    return
  writer.begin()
  for shard in writer.missing():
    records = (
        _record(shard.split, index, rows[shard.split])
        for index in range(shard.start, shard.stop)
    )
    writer.write(shard, records)
  writer.finish(rows)


def _record(split: str, index: int, rows: int) -> dict[str, object]:
  """Returns a record; `rows` are those of its split."""
  row = np.arange(index * _RECORD, min((index + 1) * _RECORD, rows))
  rng = np.random.default_rng([index, len(split)])
  video, chunk = divmod(index, _VIDEO)
  shape = (len(row), flags.FLAGS.features)
  return {
      'video': f'{split}{video}',
      'chunk': chunk,
      'frame_id': row.astype(np.int32),
      'row': row.astype(np.int32),
      'features': rng.standard_normal(shape, np.float32),
      **cases.labels(rng, (len(row),), labelled=0.7),
  }


def make_row(variant: str, folder: pathlib.Path) -> list[str]:
  """Trains a variant and returns its row."""
  from abaw_jax.configs import heads
  from abaw_jax.tasks import inputs, registry
  from abaw_jax.training import loop

  args = flags.FLAGS
  config = heads.get_config(variant).to_dict()
  config['data'] |= {
      'name': cases.DATASET,
      'dir': str(folder),
      'features': _NAME,
      'in_memory': args.in_memory,
  }
  if config['model']['va_features']:
    config['model']['va_features'] = 10
  config['epochs'] = float(args.epochs)
  source = registry.make_task(config).source('train')
  updates = inputs.num_updates(config, source, 1)
  config['log_steps'] = updates
  with tempfile.TemporaryDirectory() as workdir:
    with contextlib.redirect_stdout(sys.stderr):
      loop.train(config, pathlib.Path(workdir))
    lines = (pathlib.Path(workdir) / 'metrics.jsonl').read_text().splitlines()
  lines = [*map(json.loads, lines)]
  epochs = [x for x in lines if x['split'] == 'train'][1:]
  return [
      variant,
      f'{args.rows:,}',
      f'{updates:,}',
      f'{statistics.median(args.rows / x["items_per_s"] for x in epochs):.1f}',
      f'{statistics.median(x["data_wait"] for x in epochs):.0%}',
      f'{statistics.median(_evaluations(lines)):.1f}',
  ]


def _evaluations(lines: list[dict[str, float]]) -> Iterator[float]:
  """Yields the seconds of each evaluation but the first."""
  ends = [x['evaluation_s'] for x in lines if x['split'] == 'goodput']
  ends = sorted({*ends})
  for before, after in itertools.pairwise(ends[1:]):
    yield after - before


def main() -> None:
  """Prints the table."""
  import jax

  from abaw_jax.cpu import host_memory

  host_memory.keep_freed()  # as in the train command
  args = flags.FLAGS
  with contextlib.ExitStack() as stack:
    folder = args.data_dir or stack.enter_context(tempfile.TemporaryDirectory())
    write_features(pathlib.Path(folder))
    print(f'{jax.devices()[0].device_kind}, {args.features:,} features')
    harness.print_table(
        _COLUMNS, (make_row(x, pathlib.Path(folder)) for x in args.variants)
    )


if __name__ == '__main__':
  cli.run(main, __doc__)
