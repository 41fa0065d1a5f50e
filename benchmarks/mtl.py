r"""Times training and evaluation of temporal models against PyTorch.

  python -m benchmarks.mtl
  python -m benchmarks.mtl --configs=mtl --device=gpu

8 videos of 256 frames with 1,622 features, cut into consecutive windows of 64. A
round of training is an update on the next window of all videos. Both sides have
dropout, masked losses, gradient clipping by part, and Adam. PyTorch's side is the
reference network of the tests, eager, and steps from window to window like AIM3-RUC's
published code. Our side is the jitted train and evaluation steps. Rounds alternate;
figures are medians, the ratio is the median over pairs of rounds. We are faster
where it is above 1.

If other processes use the machine, give both sides one core and measure CPU time:
taskset -c 0 python -m benchmarks.mtl --clock=cpu
"""

from absl import flags

from abaw_jax.core import cli
from benchmarks import cases, harness

flags.DEFINE_list(
    'configs', ['mtl', 'mtl_lstm', 'mtl_gru'], 'Experiments of configs/.'
)
flags.DEFINE_integer('videos', 8, 'Videos in a batch.')
flags.DEFINE_integer('frames', 256, 'Frames of a video, a multiple of 64.')
flags.DEFINE_integer('features', 1622, 'Width of the features.')
harness.define_device()
flags.DEFINE_integer('rounds', 8, 'Rounds, of a window each.')
harness.define_clock()
flags.DEFINE_bool('fused', False, 'Whether PyTorch uses its fused Adam.')

WINDOW = 64
_COLUMNS = (
    'config', 'parameters', 'train', 'PyTorch', 'ratio', 'evaluate', 'PyTorch',
    'ratio',
)  # fmt: skip


def make_row(name: str) -> list[str]:
  """Returns the row of a config."""
  import jax

  from benchmarks.twins import mtl as torch_mtl

  args = flags.FLAGS
  config = cases.temporal_config(name, videos=args.videos, window=WINDOW)
  windows = cases.windows(
      videos=args.videos,
      frames=args.frames,
      features=args.features,
      window=WINDOW,
  )
  steps = harness.Steps(config, windows)
  theirs = torch_mtl.make_steps(
      config, windows, device=args.device, fused=args.fused
  )
  count = sum(x.size for x in jax.tree.leaves(steps.shapes.params))
  cells = [name, f'{count / 1e6:.1f} M']
  for pair in zip((steps.update, steps.predict), theirs, strict=True):
    result = harness.compare(*pair, rounds=args.rounds, clock=args.clock)
    cells += [*result.rates(args.videos * WINDOW, 'frames'), result.ratio()]
  return cells


def main() -> None:
  """Prints the table."""
  import jax

  harness.share_device(flags.FLAGS.device)
  print(f'{jax.devices()[0].device_kind}, float32, {flags.FLAGS.clock} clock')
  harness.print_table(_COLUMNS, map(make_row, flags.FLAGS.configs))


if __name__ == '__main__':
  cli.run(main, __doc__)
