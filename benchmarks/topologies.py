r"""What fits: the MAE's train step, compiled for TPU slices of every size.

  python -m benchmarks.topologies --file=topologies.jsonl
  python -m benchmarks.topologies --file=topologies.jsonl --table=scaling

Each step of configs/mae_tpu.py is compiled by a process of `abaw_jax.compile`,
one after the other, and adds a line to the file; what is there already is not
compiled again, so a run may be interrupted. --nocompile shows what there is.
"""

from collections.abc import Iterator
import itertools
import json
import math
import pathlib
import subprocess
import sys
import time

from absl import flags

from abaw_jax.configs import mae_tpu
from abaw_jax.core import cli

flags.DEFINE_string('file', None, 'JSONL file of results.', required=True)
flags.DEFINE_enum(
    'table', 'topologies', ['topologies', 'scaling'], 'What to show.'
)
flags.DEFINE_bool('compile', True, 'Whether to compile what is missing.')

CONFIG = pathlib.Path(mae_tpu.__file__)
# Chips and slices of a row, in the order in which they are compiled.
SIZES = ((8, 1), (256, 2), (256, 1))
SCALING = (1, 4, 8, 16, 64, 256)
# Images of a chip, where their number grows with the chips.
ROWS = 64

Case = tuple[str, ...]  # the arguments of the command


def case(size: str, generation: str, chips: int, slices: int) -> Case:
  """Returns the arguments that compile a shipped config."""
  return (
      f'--config={CONFIG}:{size}_{generation}_{chips}',
      f'--topology={slice_name(generation, chips // slices)}',
      f'--num_slices={slices}',
  )


def scaled(chips: int, *, weak: bool) -> Case:
  """Returns those of ViT-L on v5e, with a batch that grows or is 4,096."""
  batch_size = ROWS * chips if weak else mae_tpu.BATCH_SIZE
  if not weak and chips in mae_tpu.CHIPS:
    return case('vit_l', 'v5e', chips, 1)
  at_once = mae_tpu.AT_ONCE['v5e']['vit_l']
  return (
      *case('vit_l', 'v5e', 8, 1)[:1],
      f'--topology={slice_name("v5e", chips)}',
      f'--config.data.batch_size={batch_size}',
      f'--config.optim.microbatches={max(1, batch_size // chips // at_once)}',
  )


def slice_name(generation: str, chips: int) -> str:
  """Returns the name of a slice of that many chips."""
  from abaw_jax.forecasting import topologies

  key = topologies.ALIASES.get(generation, generation)
  shapes = {
      math.prod(map(int, shape.split('x'))): shape
      for shape in topologies.SLICES[key]
  }
  return f'{generation}:{shapes[chips]}'


def cases(table: str) -> Iterator[Case]:
  """Yields what a table needs, the most telling first."""
  if table == 'scaling':
    for weak, chips in itertools.product((True, False), SCALING):
      yield scaled(chips, weak=weak)
    return
  for (chips, slices), size, generation in itertools.product(
      SIZES, mae_tpu.PATCH_SIZES, mae_tpu.AT_ONCE
  ):
    yield case(size, generation, chips, slices)


def read(path: pathlib.Path) -> dict[Case, dict]:
  """Returns the results of a file by their arguments."""
  if not path.is_file():
    return {}
  lines = map(json.loads, path.read_text().splitlines())
  return {key(line['command']): line for line in lines}


def key(arguments) -> Case:
  """Returns arguments without the folder of the config."""
  config, *others = arguments
  return (config.rpartition('/')[2], *others)


def compile_one(arguments: Case, path: pathlib.Path) -> None:
  """Compiles in a process of its own, and adds its line to the file."""
  start = time.perf_counter()
  done = subprocess.run(
      [sys.executable, '-m', 'abaw_jax.compile', *arguments],
      cwd=CONFIG.parents[1],
      capture_output=True,
      text=True,
      check=False,
  )
  # 1 means that the step does not fit; a traceback has that status, too.
  if done.returncode not in (0, 1) or not done.stdout:
    print(f'{" ".join(arguments)}\n{done.stderr}', file=sys.stderr, flush=True)
    return
  line = json.loads(done.stdout.splitlines()[-1])
  line |= {
      'command': key(arguments),
      'seconds': round(time.perf_counter() - start, 1),
  }
  with path.open('a') as file:
    file.write(json.dumps(line) + '\n')


def topology_table(results: dict[Case, dict]) -> Iterator[list[str]]:
  """Yields the rows of the table of all slices."""
  yield ['slices', 'chips', *mae_tpu.PATCH_SIZES]
  for generation, (chips, slices) in itertools.product(
      mae_tpu.AT_ONCE, sorted(SIZES, key=lambda size: (size[1], size[0]))
  ):
    lines = [
        results.get(key(case(size, generation, chips, slices)))
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
  """Yields the rows of the table of 1 to 256 chips."""
  yield [
      'images', 'chips', 'per chip', 'GiB per chip', 'a chip sends', 'products',
      'memory', 'collectives', 'step', 'images/s per chip',
  ]  # fmt: skip
  for weak, chips in itertools.product((True, False), SCALING):
    line = results.get(key(scaled(chips, weak=weak)))
    if line is None:
      continue
    row = [
        f'{line["batch_size"]:,}',
        f'{chips}',
        f'{line["batch_size"] // chips} in {line["microbatches"]}',
        f'{line["total_bytes"] / 2**30:.1f}',
    ]
    if 'estimate' in line:
      made, sent = line['estimate'], line['collectives']
      row += [
          f'{sum(x["sent_bytes"] for x in sent) / 2**30:.2f} GiB',
          *(f'{1000 * made[x]:.0f} ms' for x in ('compute', 'memory', 'ici')),
          f'{1000 * made["step"]:.0f} ms',
          f'{made["rows_per_s"] / chips:.0f}',
      ]
    yield row


def _cell(line: dict | None) -> str:
  if line is None:
    return ''
  share = line['total_bytes'] / line['limit_bytes']
  size = f'{line["total_bytes"] / 2**30:.1f} GiB, {share:.0%}'
  if not line['fits']:
    return f'{size}: does not fit'
  made = line['estimate']
  return f'{size}; {made["rows_per_s"]:,.0f}/s, {made["mfu"]:.0%}'


TABLES = {'topologies': topology_table, 'scaling': scaling_table}


def main() -> None:
  """Compiles what is missing, and prints the table."""
  path = pathlib.Path(flags.FLAGS.file)
  if flags.FLAGS.compile:
    for arguments in cases(flags.FLAGS.table):
      if key(arguments) not in read(path):
        compile_one(arguments, path)
  rows = list(TABLES[flags.FLAGS.table](read(path)))
  for row in [rows[0], ['---'] * len(rows[0]), *rows[1:]]:
    print(f'| {" | ".join(row)} |')


if __name__ == '__main__':
  cli.run(main, __doc__)
