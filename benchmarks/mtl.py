r"""Times training and evaluation of temporal models against PyTorch.

  python -m benchmarks.mtl
  python -m benchmarks.mtl --configs=mtl --device=gpu

8 videos of 256 frames with 1,622 features, cut into windows of 64, one after the
other: a round of training is an update with the next window of all videos. Both
sides have dropout, masked losses, gradients clipped by part and Adam; PyTorch is the
twin of the parity tests, eager, stepped window by window as AIM3-RUC's published
code. Ours are the jitted steps of training and evaluation. Rounds alternate; figures
are medians, the ratio the median of ratios of a pair of rounds. Above 1 we are
faster.

Where other processes take their share of the cores, give both sides one, and count
the time that they had it: taskset -c 0 python -m benchmarks.mtl --clock=cpu
"""

from collections.abc import Callable
import statistics
import time

from absl import flags

from abaw_jax.core import cli
from benchmarks import machine

flags.DEFINE_list(
    'configs', ['mtl', 'mtl_lstm', 'mtl_gru'], 'Experiments of configs/.'
)
flags.DEFINE_integer('videos', 8, 'Videos side by side.')
flags.DEFINE_integer('frames', 256, 'Frames of a video, a multiple of 64.')
flags.DEFINE_integer('features', 1622, 'Width of the features.')
flags.DEFINE_enum('device', 'cpu', ['cpu', 'gpu'], 'Where both run.')
flags.DEFINE_integer('rounds', 8, 'Rounds, of a window each.')
flags.DEFINE_enum('clock', 'wall', ['wall', 'cpu'], 'What is counted.')
flags.DEFINE_bool('fused', False, "PyTorch's fused Adam, not its default.")

WINDOW = 64
_CLOCKS = {'wall': time.perf_counter, 'cpu': time.process_time}
_COLUMNS = (
    'config', 'parameters', 'train', 'PyTorch', 'ratio', 'evaluate', 'PyTorch',
    'ratio',
)  # fmt: skip


def make_config(name: str) -> dict:
  """Returns a config whose windows follow each other."""
  from abaw_jax.configs import mtl, mtl_gru, mtl_lstm

  experiments = {'mtl': mtl, 'mtl_lstm': mtl_lstm, 'mtl_gru': mtl_gru}
  config = experiments[name].get_config().to_dict()
  config['data'] |= {
      'batching': 'videos', 'window': WINDOW, 'batch_size': flags.FLAGS.videos
  }  # fmt: skip
  return config


def make_windows() -> list[dict]:
  """Returns random windows of random videos, nine tenths of them labelled."""
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


def make_steps(config: dict, windows: list[dict]):
  """Returns (trains on the next window, predicts it, number of parameters)."""
  import itertools

  import jax

  from abaw_jax.distributed import sharding
  from abaw_jax.steps import optimization, steps
  from abaw_jax.tasks import registry

  task = registry.make_task(config)
  schedule = optimization.make_schedule(
      config, total_steps=1000, warmup_steps=10
  )
  optimizer = steps.skip_non_finite(
      optimization.make_optimizer(config, schedule)
  )
  mesh = sharding.make_mesh(fsdp=1)
  with jax.set_mesh(mesh):
    init, shapes = steps.jit_init(
        task,
        optimizer,
        mesh,
        windows[0],
        carry=optimization.make_carry(config, task),
    )
    train = steps.jit_train_step(task, optimizer, mesh, shapes, seed=0)
    evaluate = steps.jit_predict_step(task, mesh)
    state = init(jax.random.key(0))
  split = sharding.over_batch(mesh)
  batches = [sharding.to_devices(window, split) for window in windows]

  to_train, to_predict = itertools.cycle(batches), itertools.cycle(batches)
  carry = task.model.initial_carry(flags.FLAGS.videos)

  def update() -> None:
    nonlocal state
    with jax.set_mesh(mesh):
      state, metrics = train(state, next(to_train))
    jax.block_until_ready(metrics)

  def predict() -> None:
    nonlocal carry
    with jax.set_mesh(mesh):
      output = evaluate(state.params, next(to_predict) | {'carry': carry})
    carry = output.pop('carry', carry)
    jax.block_until_ready(output)

  parameters = sum(x.size for x in jax.tree.leaves(shapes.params))
  return update, predict, parameters


def compare(ours: Callable[[], None], theirs: Callable[[], None]):
  """Returns seconds of ours and of theirs, and the ratio, over the rounds."""
  clock = _CLOCKS[flags.FLAGS.clock]

  def seconds(step: Callable[[], None]) -> float:
    start = clock()
    step()
    return clock() - start

  machine.warm_up((ours, theirs))
  rounds = [(seconds(ours), seconds(theirs)) for _ in range(flags.FLAGS.rounds)]
  mine, other = map(statistics.median, zip(*rounds, strict=True))
  return mine, other, statistics.median(b / a for a, b in rounds)


def row(name: str) -> list[str]:
  """Returns a row of the table."""
  from benchmarks.torch_twins import mtl as torch_mtl

  args = flags.FLAGS
  config, windows = make_config(name), make_windows()
  *ours, parameters = make_steps(config, windows)
  theirs = torch_mtl.make_steps(
      config, windows, device=args.device, fused=args.fused
  )
  frames = args.videos * WINDOW
  cells = [name, f'{parameters / 1e6:.1f} M']
  for pair in zip(ours, theirs, strict=True):
    mine, other, ratio = compare(*pair)
    cells += [f'{frames / s:,.0f} frames/s' for s in (mine, other)]
    cells.append(f'{ratio:.2f}x')
  return cells


def main() -> None:
  """Prints the table."""
  import jax

  machine.share(flags.FLAGS.device)
  print(f'{jax.devices()[0].device_kind}, float32, {flags.FLAGS.clock} clock')
  machine.print_row(*_COLUMNS, head=True)
  for name in flags.FLAGS.configs:
    machine.print_row(*row(name))


if __name__ == '__main__':
  cli.run(main, __doc__)
