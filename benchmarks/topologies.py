r"""Compiles the train step of the MAE for TPU slices.

  python -m benchmarks.topologies --file=topologies.jsonl
  python -m benchmarks.topologies --file=topologies.jsonl --table=scaling

The first table has the smallest and the largest slices of configs/mae_tpu.py, the other
one has ViT-L on 1 to 256 chips of v5e. A process of `abaw_jax.compile` compiles each step,
one after the other, and adds a line to the file. --sizes and --generations select columns
and rows of the first table. Existing lines are not compiled again, so you can interrupt
the command. --nocompile prints the table of the existing lines.
"""

from collections.abc import Iterator
import itertools
import math
import pathlib

from absl import flags

from abaw_jax.configs import mae_tpu
from abaw_jax.core import cli, text_table
from benchmarks import compilations

flags.DEFINE_string('file', None, 'JSONL file of results.', required=True)
flags.DEFINE_enum(
    'table', 'topologies', ['topologies', 'scaling'], 'Table to print.'
)
flags.DEFINE_bool('compile', True, 'Whether to compile missing lines.')
flags.DEFINE_multi_enum(
    'sizes', list(mae_tpu.PATCH_SIZES), list(mae_tpu.PATCH_SIZES), 'Encoders.'
)
flags.DEFINE_multi_enum(
    'generations',
    list(mae_tpu.DEVICES_PER_CHIP),
    list(mae_tpu.DEVICES_PER_CHIP),
    'TPUs.',
)

CONFIG = pathlib.Path(mae_tpu.__file__)
# (chips, slices) of a row, in the order of compilation.
SIZES = ((8, 1), (256, 2), (256, 1))
SCALING = (1, 8, 64, 256)

Case = tuple[str, ...]  # the arguments of the command


def config_case(size: str, generation: str, chips: int, slices: int) -> Case:
  """Returns the arguments for a shipped config."""
  return (
      f'--config={CONFIG}:{size}_{generation}_{chips}',
      f'--topology={slice_name(generation, chips // slices)}',
      f'--num_slices={slices}',
  )


def scaling_case(chips: int) -> Case:
  """Returns the arguments for ViT-L on v5e."""
  if chips in mae_tpu.CHIPS:
    return config_case('vit_l', 'v5e', chips, 1)
  rows = mae_tpu.BATCH_SIZE // chips
  return (
      *config_case('vit_l', 'v5e', 8, 1)[:1],
      f'--topology={slice_name("v5e", chips)}',
      f'--config.mesh.zero={min(mae_tpu.ZERO, chips)}',
      f'--config.optim.microbatches={rows // mae_tpu.AT_ONCE["vit_l"]}',
  )


def slice_name(generation: str, chips: int) -> str:
  """Returns the name of a slice with this number of chips."""
  from abaw_jax.forecasting import topologies

  key = topologies.ALIASES.get(generation, generation)
  shapes = {
      math.prod(map(int, shape.split('x'))): shape
      for shape in topologies.SLICES[key]
  }
  return f'{generation}:{shapes[chips]}'


def cases(table: str) -> Iterator[Case]:
  """Yields the cases of a table, the most important first."""
  if table == 'scaling':
    yield from map(scaling_case, SCALING)
    return
  for (chips, slices), size, generation in itertools.product(
      SIZES, flags.FLAGS.sizes, flags.FLAGS.generations
  ):
    yield config_case(size, generation, chips, slices)


def key(arguments) -> Case:
  """Returns arguments without the folder of the config."""
  config, *others = arguments
  return (config.rpartition('/')[2], *others)


def topology_table(results: dict[Case, dict]) -> Iterator[list[str]]:
  """Yields the column names and rows of the table of all slices."""
  yield ['slices', 'chips', *mae_tpu.PATCH_SIZES]
  for generation, (chips, slices) in itertools.product(
      flags.FLAGS.generations,
      sorted(SIZES, key=lambda size: (size[1], size[0])),
  ):
    lines = [
        results.get(key(config_case(size, generation, chips, slices)))
        for size in mae_tpu.PATCH_SIZES
    ]
    if any(lines):
      name = slice_name(generation, chips // slices)
      yield [
          f'{slices} x {name}' if slices > 1 else name,
          f'{chips}',
          *map(_cell, lines),
      ]


def scaling_table(results: dict[Case, dict]) -> Iterator[list[str]]:
  """Yields the column names and rows of the table of 1 to 256 chips."""
  yield [
      'chips', 'images per chip', 'GiB per chip', 'a chip sends', 'matmuls', 'HBM',
      'collectives', 'step', 'images/s per chip',
  ]  # fmt: skip
  for chips in SCALING:
    line = results.get(key(scaling_case(chips)))
    if line is None:
      continue
    row = [
        f'{chips}',
        f'{line["batch_size"] // chips} in {line["microbatches"]}',
        f'{line["total_bytes"] / 2**30:.1f}',
    ]
    if 'estimate' in line:
      estimate, sent = line['estimate'], line['collectives']
      row += [
          f'{sum(x["sent_bytes"] for x in sent) / 2**30:.2f} GiB',
          *(
              f'{1000 * estimate[x]:.0f} ms'
              for x in ('compute', 'memory', 'ici')
          ),
          f'{1000 * estimate["step"]:.0f} ms',
          f'{estimate["rows_per_s"] / chips:.0f}',
      ]
    yield row


def _cell(line: dict | None) -> str:
  if line is None:
    return ''
  share = line['total_bytes'] / line['limit_bytes']
  size = f'{line["total_bytes"] / 2**30:.1f} GiB, {share:.0%}'
  if not line['fits']:
    return f'{size}: does not fit'
  estimate = line['estimate']
  return f'{size}; {estimate["rows_per_s"]:,.0f}/s, {estimate["mfu"]:.0%}'


TABLES = {'topologies': topology_table, 'scaling': scaling_table}


def main() -> None:
  """Compiles missing lines, and prints the table."""
  path = pathlib.Path(flags.FLAGS.file)
  if flags.FLAGS.compile:
    for arguments in cases(flags.FLAGS.table):
      compilations.compile_one(
          path, key(arguments), ('abaw_jax.compile', *arguments)
      )
  rows = list(TABLES[flags.FLAGS.table](compilations.read(path)))
  print('\n'.join(text_table.markdown(rows)))


if __name__ == '__main__':
  cli.run(main, __doc__)
