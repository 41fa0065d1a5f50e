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
from benchmarks import harness

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


def make_config(name: str) -> dict:
  """Returns a config with consecutive windows."""
  from abaw_jax.configs import mtl, mtl_gru, mtl_lstm

  experiments = {'mtl': mtl, 'mtl_lstm': mtl_lstm, 'mtl_gru': mtl_gru}
  config = experiments[name].get_config().to_dict()
  config['data'] |= {
      'batching': 'stateful_videos',
      'window': WINDOW,
      'batch_size': flags.FLAGS.videos,
  }
  return config


def make_windows() -> list[dict]:
  """Returns random windows of random videos, with labels for 90 % of the frames."""
  import numpy as np

  args = flags.FLAGS
  rng = np.random.default_rng(0)
  shape = (args.videos, WINDOW)
  windows = []
  for i in range(args.frames // WINDOW):
    ids = np.arange(i * WINDOW, (i + 1) * WINDOW, dtype=np.int32)
    windows.append(
        {
            'features': rng.standard_normal(
                (*shape, args.features), np.float32
            ),
            'frame_mask': np.ones(shape, bool),
            'frame_id': np.broadcast_to(ids, shape),
            'window_length': np.full(args.videos, WINDOW, np.int32),
            'start': np.full(args.videos, i == 0),
            'real': np.ones(args.videos, bool),
            'valence': rng.uniform(-1, 1, shape).astype(np.float32),
            'arousal': rng.uniform(-1, 1, shape).astype(np.float32),
            'expression': rng.integers(0, 8, shape).astype(np.int32),
            'au': rng.integers(0, 2, (*shape, 12)).astype(np.int8),
            'va': rng.random(shape) < 0.9,
            'expr': rng.random(shape) < 0.9,
            'au_mask': np.repeat(rng.random((*shape, 1)) < 0.9, 12, axis=-1),
        }
    )
  return windows


def make_row(name: str) -> list[str]:
  """Returns the row of a config."""
  import jax

  from benchmarks.torch_twins import mtl as torch_mtl

  args = flags.FLAGS
  config, windows = make_config(name), make_windows()
  update, predict, task = harness.make_steps(config, windows)
  theirs = torch_mtl.make_steps(
      config, windows, device=args.device, fused=args.fused
  )
  params = jax.eval_shape(task.init, jax.random.key(0), windows[0])
  count = sum(x.size for x in jax.tree.leaves(params))
  cells = [name, f'{count / 1e6:.1f} M']
  for pair in zip((update, predict), theirs, strict=True):
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
