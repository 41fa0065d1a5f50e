r"""Times a live stream through a GRU against PyTorch, on one core.

  taskset -c 0 python -m benchmarks.stream
  taskset -c 0 python -m benchmarks.stream --dim=1024 --clock=cpu

A causal GRU of two layers reads 1,622 features per frame, batch 1, computes all heads
and keeps its hidden state: frame by frame, and in windows of 64. Our side is
`streaming.read` with a donated state. Rounds alternate; figures are medians, the ratio
is the median over pairs of rounds. We are faster where it is above 1.
"""

import statistics

from absl import flags

from abaw_jax.core import cli
from benchmarks import harness

flags.DEFINE_integer('dim', 256, 'Width of the hidden state.')
flags.DEFINE_integer('features', 1622, 'Width of the features.')
flags.DEFINE_integer('rounds', 200, 'Rounds.')
harness.define_clock()

_COLUMNS = ('frames at once', 'ours', '90th percentile', 'PyTorch', 'ratio')


def make_config() -> dict:
  """Returns the config of the GRU."""
  from abaw_jax.configs import mtl_gru

  config = mtl_gru.get_config().to_dict()
  config['model']['dim'] = flags.FLAGS.dim
  return config


def make_ours(config: dict, frames: int):
  """Returns our function for the next frames of a stream."""
  import functools

  import jax
  import jax.numpy as jnp

  from abaw_jax.models import zoo
  from abaw_jax.models.layers import variables
  from abaw_jax.models.multi_task import streaming
  from abaw_jax.models.temporal import window_context

  model = zoo.make_model(**config['model'])
  streaming.check_causal(model)
  features = jnp.ones((1, frames, flags.FLAGS.features))
  ids = jnp.arange(frames)[None]
  context = window_context.WindowContext(jnp.ones((1, frames), bool))
  carry = model.initial_carry(1)
  weights = variables.init(model, jax.random.key(0), features, context, carry)
  read = jax.jit(
      functools.partial(streaming.read, model=model), donate_argnums=1
  )

  def step() -> None:
    nonlocal carry
    output, carry = read(weights, carry, features, ids)
    jax.block_until_ready(output)

  return step


def make_theirs(config: dict, frames: int):
  """Returns PyTorch's function for the next frames of a stream."""
  import torch

  from benchmarks.twins import mtl

  torch.set_num_threads(1)
  model = mtl.make_model(config['model'], flags.FLAGS.features).eval()
  features = torch.ones(1, frames, flags.FLAGS.features)

  def step() -> None:
    with torch.inference_mode():
      model(features)

  return step


def make_row(frames: int) -> list[str]:
  """Returns the row for windows of this length."""
  config = make_config()
  result = harness.compare(
      make_ours(config, frames),
      make_theirs(config, frames),
      rounds=flags.FLAGS.rounds,
      clock=flags.FLAGS.clock,
  )
  ours = sorted(result.ours)
  milliseconds = (
      statistics.median(ours),
      ours[int(0.9 * len(ours))],
      statistics.median(result.theirs),
  )
  return [
      f'{frames}',
      *(f'{1e3 * x:.2f} ms' for x in milliseconds),
      result.ratio(),
  ]


def main() -> None:
  """Prints the table."""
  harness.share_device('cpu')
  print(f'GRU, {flags.FLAGS.dim} wide, {flags.FLAGS.clock} clock')
  harness.print_table(_COLUMNS, map(make_row, (1, 64)))


if __name__ == '__main__':
  cli.run(main, __doc__)
