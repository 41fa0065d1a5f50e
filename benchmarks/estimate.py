r"""Compares estimated with measured times of steps, on the device at hand.

  python -m benchmarks.estimate
  python -m benchmarks.estimate --device=gpu --dtype=bfloat16 --steps=10
  python -m benchmarks.estimate --cases=vit_ti,mtl --scale=0.25

The estimate is that of `abaw_jax.compile` for TPUs: matrix products at
`roofline.MATMUL_EFFICIENCY` of the peak, or the traffic of the optimised program
(`forecasting/traffic.py`) at the bandwidth of the memory, whichever takes longer. In
place of data sheets, it has the FLOP/s of a large product and the bytes/s of a large
`a + 2 b`. These are measured in the same rounds as the step, so load by other programs
slows all three. Times are medians over rounds.

The last lines give the spread of measured / estimated time. A cache of a CPU or GPU
keeps arrays out of its memory, and the compiler does not decide which. So the estimate
counts all arrays, also those of which a cache would save the traffic.
"""

from collections.abc import Callable, Sequence
import dataclasses
import functools
import os
import statistics
from typing import Any

from absl import flags

from abaw_jax.core import cli
from benchmarks import cases, harness

flags.DEFINE_list('cases', None, 'Prefixes of the steps to time; default: all.')
flags.DEFINE_float('scale', 1.0, 'Factor of the batch sizes.')
flags.DEFINE_enum('dtype', 'float32', ['float32', 'bfloat16'], 'Precision.')
harness.define_device()
harness.define_clock()
flags.DEFINE_integer('rounds', 5, 'Rounds.')
flags.DEFINE_integer('steps', 1, 'Calls in a round.')

# Images of a step.
MAES = {'vit_ti': 16, 'vit_s': 8, 'vit_b': 4}
FRAMES = {'vit_ti': 8, 'vit_s': 4, 'vit_b': 2, 'iresnet_50': 4}
# Videos of a step, and their windows.
TEMPORAL = {'mtl': 1, 'mtl_lstm': 8, 'mtl_gru': 8}
WINDOW, FEATURES = 64, 1622
_COLUMNS = (
    'step', 'model GFLOP', "XLA's GFLOP", 'GB', "XLA's GB", 'peak GFLOP/s', 'GB/s',
    'products ms', 'memory ms', 'estimate ms', 'measured ms', 'ratio',
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Case:
  """A step that can be timed.

  Attributes:
    compiled: its program.
    call: executes it.
    flops: its model FLOPs.
  """

  compiled: Any
  call: harness.Step
  flops: float


def make_cases() -> dict[str, Callable[[], list[tuple[str, Case]]]]:
  """Returns functions that compile steps, by name."""
  made = {}

  def add(name, make, *sizes, count, **options):
    count = max(1, round(count * flags.FLAGS.scale))
    made[f'{name}, {count}'] = functools.partial(make, *sizes, count, **options)

  for size, count in MAES.items():
    add(f'MAE {size}', _mae, size, count=count)
  for size, count in FRAMES.items():
    add(size, _frame, size, count=count)
  add('vit_b of 32 pixels', _frame, 'vit_b', count=1, image_size=32)
  for name, count in TEMPORAL.items():
    add(name, _temporal, name, count=count)
  add('elementwise chain', _elementwise, count=8192)
  return made


def _mae(size, count):
  config = cases.mae_config(count, backbone=size, dtype=flags.FLAGS.dtype)
  return _steps(config, [cases.images(count, 224)], predict=False)


def _frame(size, count, **model):
  dtype = flags.FLAGS.dtype
  config = cases.frame_config(size, count, dtype=dtype, **model)
  side = config['model']['image_size']
  return _steps(config, [cases.labelled_images(count, side)])


def _temporal(name, count):
  config = cases.temporal_config(name, videos=count, window=WINDOW)
  windows = cases.windows(
      videos=count, frames=2 * WINDOW, features=FEATURES, window=WINDOW
  )
  return _steps(config, windows)


def _steps(config, batches, *, predict: bool = True) -> list[tuple[str, Case]]:
  """Returns the train step of a config, and its forward step."""
  steps = harness.Steps(config, batches)
  batch = batches[0]
  flops = float(steps.task.flops(batch) * len(batch['real']))
  made = [('train', Case(steps.compiled, steps.update, flops))]
  if predict:
    # The backward pass has two products per product of the forward pass.
    forward = Case(steps.compile_predict(), steps.predict, flops / 3)
    made.append(('forward', forward))
  return made


def _elementwise(rows: int) -> list[tuple[str, Case]]:
  """Returns a step without products: norm, GELU, softmax, and their gradients."""
  import jax
  import jax.numpy as jnp

  def loss(x):
    x = x - x.mean(-1, keepdims=True)
    return (jax.nn.softmax(jax.nn.gelu(x)) * x).sum()

  x = jnp.linspace(-3.0, 3.0, rows * 2048).reshape(rows, 2048)
  compiled = jax.jit(jax.grad(loss)).lower(x).compile()
  return [('', Case(compiled, lambda: compiled(x), 0.0))]


def make_peaks() -> tuple[list[harness.Step], float, float]:
  """Returns two steps: a large product, its FLOPs, and a + 2 b, its bytes."""
  import jax
  import jax.numpy as jnp

  size = 2048 if flags.FLAGS.device == 'cpu' else 8192
  factor = jnp.ones((size, size), flags.FLAGS.dtype)
  a, b = jnp.ones(2**26, jnp.float32), jnp.zeros(2**26, jnp.float32)
  product = jax.jit(jnp.matmul)
  triad = jax.jit(lambda a, b: a + 2 * b)
  steps = [lambda: product(factor, factor), lambda: triad(a, b)]
  return steps, 2 * size**3, 3 * a.nbytes


def make_row(name: str, case: Case) -> tuple[list[str], float, float]:
  """Returns the row of a step, its measured and its estimated seconds."""
  from abaw_jax.forecasting import hlo, roofline, traffic

  args = flags.FLAGS
  peaks, product_flops, triad_bytes = make_peaks()
  rounds = harness.measure(
      [*peaks, case.call],
      rounds=args.rounds,
      repeats=args.steps,
      clock=args.clock,
  )
  product, triad, measured = (statistics.median(x) for x in rounds)
  if args.clock == 'cpu':
    # All cores work at once, if nothing else uses them.
    product, triad, measured = (
        x / os.cpu_count() for x in (product, triad, measured)
    )
  peak, bandwidth = product_flops / product, triad_bytes / triad
  num_bytes = traffic.hbm_bytes(hlo.parse(case.compiled.as_text()))
  compute = case.flops / (roofline.MATMUL_EFFICIENCY * peak)
  memory = num_bytes / bandwidth
  estimate = max(compute, memory)
  counts = case.compiled.cost_analysis()
  giga = (case.flops, counts['flops'], num_bytes, counts['bytes accessed'])
  milli = (compute, memory, estimate, measured)
  cells = [
      name,
      *(f'{x / 1e9:.3g}' for x in giga),
      f'{peak / 1e9:,.0f}',
      f'{bandwidth / 1e9:,.0f}',
      *(f'{1000 * x:,.3g}' for x in milli),
      f'{measured / estimate:.2f}',
  ]
  return cells, measured, estimate


def spread(times: Sequence[tuple[float, float]]) -> str:
  """Returns a line about pairs of measured and estimated times."""
  from scipy import stats

  ratios = [measured / estimate for measured, estimate in times]
  rank = stats.spearmanr(*zip(*times, strict=True)).statistic
  return (
      f'{len(ratios)} steps, measured / estimated: '
      f'median {statistics.median(ratios):.2f}, '
      f'smallest {min(ratios):.2f}, largest {max(ratios):.2f}; '
      f'rank correlation {rank:.2f}'
  )


def main() -> None:
  """Prints the table, and the spread of its ratios."""
  args = flags.FLAGS
  made = make_cases()
  wanted = [x for x in made if x.startswith(tuple(args.cases or ('',)))]
  if not wanted:
    cli.fail(f'--cases: no step has this prefix; choose from {", ".join(made)}')
  harness.share_device(args.device)
  import jax

  print(f'{jax.devices()[0].device_kind}, {args.dtype}, {args.clock} clock')
  times = []

  def rows():
    for name in wanted:
      for kind, case in made[name]():
        cells, *seconds = make_row(f'{name} {kind}'.strip(), case)
        times.append(seconds)
        yield cells

  harness.print_table(_COLUMNS, rows())
  print(spread(times))


if __name__ == '__main__':
  cli.run(main, __doc__)
