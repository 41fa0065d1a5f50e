r"""Times a live stream through a GRU against PyTorch, on one core.

  taskset -c 0 python -m benchmarks.stream
  taskset -c 0 python -m benchmarks.stream --dim=1024 --clock=cpu

One face after the other: two layers, 1,622 features, batch 1, causal, all heads, and
a state that is carried on; frame by frame, and by windows of 64. Ours is
`streaming.read` with its state donated. Rounds alternate; figures are medians, the
ratio the median of ratios of a pair of rounds. Above 1 we are faster.
"""

import statistics
import time

from absl import flags

from abaw_jax.core import cli
from benchmarks import machine

flags.DEFINE_integer('dim', 256, 'Width of the state.')
flags.DEFINE_integer('features', 1622, 'Width of the features.')
flags.DEFINE_integer('rounds', 200, 'Rounds.')
flags.DEFINE_enum('clock', 'wall', ['wall', 'cpu'], 'What is counted.')

_CLOCKS = {'wall': time.perf_counter, 'cpu': time.process_time}
_COLUMNS = ('frames at once', 'ours', '90 % below', 'PyTorch', 'ratio')


def make_config() -> dict:
  """Returns the config of a recurrent model without dropout between windows."""
  from abaw_jax.configs import mtl_gru

  config = mtl_gru.get_config().to_dict()
  config['model']['dim'] = flags.FLAGS.dim
  return config


def make_ours(config: dict, frames: int):
  """Returns a function that reads the next frames of a stream."""
  import functools

  import jax
  import jax.numpy as jnp

  from abaw_jax.models import zoo
  from abaw_jax.models.layers import variables
  from abaw_jax.models.multi_task import streaming

  model = zoo.make_model(**config['model'])
  streaming.check_causal(model)
  features = jnp.ones((1, frames, flags.FLAGS.features))
  ids = jnp.arange(frames)[None]
  mask = jnp.ones((1, frames), bool)
  carry = model.initial_carry(1)
  weights = variables.init(model, jax.random.key(0), features, mask, carry)
  read = jax.jit(
      functools.partial(streaming.read, model=model), donate_argnums=1
  )

  def step() -> None:
    nonlocal carry
    output, carry = read(weights, carry, features, ids)
    jax.block_until_ready(output)

  return step


def make_theirs(config: dict, frames: int):
  """Returns PyTorch's."""
  import torch

  from benchmarks.torch_twins import mtl

  torch.set_num_threads(1)
  model = mtl.make_model(config['model'], flags.FLAGS.features).eval()
  features = torch.ones(1, frames, flags.FLAGS.features)

  def step() -> None:
    with torch.inference_mode():
      model(features)

  return step


def row(frames: int) -> list[str]:
  """Returns a row of the table."""
  config = make_config()
  sides = make_ours(config, frames), make_theirs(config, frames)
  clock = _CLOCKS[flags.FLAGS.clock]

  def milliseconds(step) -> float:
    start = clock()
    step()
    return 1e3 * (clock() - start)

  machine.warm_up(sides)
  rounds = [tuple(map(milliseconds, sides)) for _ in range(flags.FLAGS.rounds)]
  mine, other = map(sorted, zip(*rounds, strict=True))
  return [
      f'{frames}',
      f'{statistics.median(mine):.2f} ms',
      f'{mine[int(0.9 * len(mine))]:.2f} ms',
      f'{statistics.median(other):.2f} ms',
      f'{statistics.median(b / a for a, b in rounds):.2f}x',
  ]


def main() -> None:
  """Prints the table."""
  machine.share('cpu')
  print(f'GRU, {flags.FLAGS.dim} wide, {flags.FLAGS.clock} clock')
  machine.print_row(*_COLUMNS, head=True)
  for frames in (1, 64):
    machine.print_row(*row(frames))


if __name__ == '__main__':
  cli.run(main, __doc__)
