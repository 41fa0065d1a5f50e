r"""Exports bundles with random weights in all formats: sizes, errors and times.

  python -m benchmarks.export
  python -m benchmarks.export --models=vit_b,mtl_gru --formats=onnx

Each row is one network on the CPU. The error is that of the export: the largest
difference from JAX, relative to the largest value of an output and at least to 1. The
time is the median of a few calls with one face, or with one window of a temporal
model (64 frames of 64 features). The weights of PyTorch are equal, and have no
program to time.
"""

from collections.abc import Iterator
import json
import pathlib
import tempfile

from absl import flags

from abaw_jax.core import cli
from benchmarks import cases, harness
from benchmarks.export import random_bundles

_TEMPORAL = ('mtl_lstm', 'mtl_gru', 'mtl_transformer')
_FORMATS = ('stablehlo', 'onnx', 'torch')

flags.DEFINE_list(
    'models',
    [
        'vit_s',
        'efficientnet_b0',
        'resnet_50',
        'iresnet_50',
        'densenet_121',
        *_TEMPORAL,
    ],
    f'Backbones, and temporal models of {", ".join(_TEMPORAL)}.',
)
flags.DEFINE_list('formats', list(_FORMATS), 'Formats to export.')

_COLUMNS = ('model', 'format', 'MB', 'largest error', 'ms')


def rows(name: str, folder: pathlib.Path) -> Iterator[list[str]]:
  """Yields a row for each format that a model can have."""
  from abaw_jax.exporting import command

  bundle = _write_bundle(name, folder / name)
  for file_format in flags.FLAGS.formats:
    out = folder / f'{name}_{file_format}'
    if name in _TEMPORAL and file_format == 'torch':
      continue
    command.export(bundle, out, file_format=file_format)
    card = json.loads((out / command.CARD).read_text())
    cells = [name, file_format]
    if file_format == 'torch':
      size = sum(path.stat().st_size for path in out.glob('*.pth'))
      yield [*cells, f'{size / 1e6:.1f}', '0', '']
      continue
    part = 'temporal0' if name in _TEMPORAL else 'frame'
    facts = card['temporal'][part] if name in _TEMPORAL else card['frame']
    (path,) = out.glob(f'{part}.*')
    yield [
        *cells,
        f'{path.stat().st_size / 1e6:.1f}',
        f'{facts["largest_error"]:.0e}'.replace('0e+00', '0'),
        f'{_milliseconds(path, facts):.1f}',
    ]


def _write_bundle(name: str, folder: pathlib.Path) -> pathlib.Path:
  if name not in _TEMPORAL:
    model = cases.frame_config(name, 1, dtype='float32')['model']
    return random_bundles.write(folder, model)
  frame = cases.frame_config('vit_nano', 1, dtype='float32')['model']
  config = cases.temporal_config(name, videos=1, window=64)
  carried = name in ('mtl_lstm', 'mtl_gru')
  temporal = {'model': config['model'], 'window': 64, 'carried': carried}
  return random_bundles.write(folder, frame, [temporal])


def _milliseconds(path: pathlib.Path, facts) -> float:
  import numpy as np

  from abaw_jax.exporting import checking, onnx_graph, stablehlo

  program = onnx_graph if path.suffix == onnx_graph.SUFFIX else stablehlo
  sizes = {'b': 1, 't': 64}
  rng = np.random.default_rng(0)
  arrays = []
  for tensor in facts['inputs']:
    shape = [sizes.get(size, size) for size in tensor['shape']]
    values = rng.uniform(0, 255 if tensor['dtype'] == 'uint8' else 1, shape)
    arrays.append(np.ceil(values).astype(tensor['dtype']))
  return checking.milliseconds(program.load(path.read_bytes()), arrays)


def main() -> None:
  """Prints the table."""
  import jax

  jax.config.update('jax_platforms', 'cpu')
  with tempfile.TemporaryDirectory() as folder:
    harness.print_table(
        _COLUMNS,
        (
            row
            for name in flags.FLAGS.models
            for row in rows(name, pathlib.Path(folder))
        ),
    )


if __name__ == '__main__':
  cli.run(main, __doc__)
