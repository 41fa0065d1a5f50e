r"""Times our MAE train step against Hugging Face's ViTMAE under PyTorch.

  python -m benchmarks.mae_step
  python -m benchmarks.mae_step --models=vit_b:256,vit_l:256 \
      --dtype=bfloat16 --device=gpu

Both train the same architecture with AdamW: forward, backward, update. Rounds
alternate, so that noise of the machine hits both; figures are medians over rounds,
the ratio the median of ratios of a pair of rounds. PyTorch runs eagerly on a CPU,
and with torch.compile on a GPU. Our step is the one that training runs: it takes
uint8 images, normalises them, and skips updates that are not finite.
"""

from collections.abc import Callable
import statistics
import time

from absl import flags

from abaw_jax.core import cli
from benchmarks import machine

flags.DEFINE_list(
    'models',
    ['vit_ti:8', 'vit_s:8', 'vit_b:8'],
    'Keys of zoo.VITS, each with its images per update.',
)
flags.DEFINE_integer('image_size', 224, 'Side of the images in pixels.')
flags.DEFINE_integer('patch_size', 16, 'Side of a patch in pixels.')
flags.DEFINE_enum('dtype', 'float32', ['float32', 'bfloat16'], 'Precision.')
flags.DEFINE_enum('device', 'cpu', ['cpu', 'gpu'], 'Where both run.')
flags.DEFINE_integer('rounds', 5, 'Rounds.')
flags.DEFINE_integer('steps', 1, 'Updates in a round.')

_COLUMNS = (
    'model', 'images', 'ours', 'TFLOP/s', 'MFU', 'PyTorch', 'ours / PyTorch'
)  # fmt: skip


def make_step(backbone: str, batch_size: int):
  """Returns (function that does one update, our task, FLOPs of an update)."""
  import jax
  import numpy as np

  from abaw_jax.configs import mae
  from abaw_jax.distributed import sharding
  from abaw_jax.models import flops
  from abaw_jax.steps import optimization, steps
  from abaw_jax.tasks import registry

  args = flags.FLAGS
  config = mae.get_config().to_dict()
  config['model'] |= {
      'backbone': backbone,
      'image_size': args.image_size,
      'patch_size': args.patch_size,
      'dtype': args.dtype,
  }
  config['data']['batch_size'] = batch_size
  config['augment'] |= {'crop_scale': 1.0, 'flip': False}
  shape = (batch_size, args.image_size, args.image_size, 3)
  batch = {
      'image': np.random.default_rng(0).integers(0, 256, shape, np.uint8),
      'real': np.ones(batch_size, bool),
  }
  task = registry.make_task(config)
  schedule = optimization.make_schedule(
      config, total_steps=1000, warmup_steps=10
  )
  optimizer = steps.skip_non_finite(
      optimization.make_optimizer(config, schedule)
  )
  mesh = sharding.make_mesh(fsdp=1)
  with jax.set_mesh(mesh):
    init, shapes = steps.jit_init(task, optimizer, mesh, batch)
    update = steps.jit_train_step(task, optimizer, mesh, shapes, seed=0)
    state = init(jax.random.key(0))
  batch = sharding.to_devices(batch, sharding.over_batch(mesh))

  def step() -> None:
    nonlocal state
    with jax.set_mesh(mesh):
      state, metrics = update(state, batch)
    jax.block_until_ready(metrics)

  return step, task, batch_size * flops.train_flops(task.model, batch)


def seconds(step: Callable[[], None], count: int) -> float:
  """Returns how long one of `count` updates took."""
  start = time.perf_counter()
  for _ in range(count):
    step()
  return (time.perf_counter() - start) / count


def compare(backbone: str, batch_size: int) -> list[str]:
  """Returns a row of the table."""
  import jax

  from abaw_jax.telemetry import hardware
  from benchmarks.torch_twins import mae as torch_mae

  args = flags.FLAGS
  ours, task, num_flops = make_step(backbone, batch_size)
  theirs = torch_mae.make_step(
      task.model, batch_size=batch_size, dtype=args.dtype, device=args.device
  )
  machine.warm_up((ours, theirs))
  rounds = [
      (seconds(ours, args.steps), seconds(theirs, args.steps))
      for _ in range(args.rounds)
  ]
  mine, other = (
      statistics.median(times) for times in zip(*rounds, strict=True)
  )
  peak = hardware.peak_flops(jax.devices()[0].device_kind)
  return [
      backbone,
      f'{batch_size}',
      f'{batch_size / mine:.1f} images/s',
      f'{num_flops / mine / 1e12:.3f}',
      f'{num_flops / mine / peak:.0%}' if peak else 'unknown',
      f'{batch_size / other:.1f} images/s',
      f'{statistics.median(b / a for a, b in rounds):.2f}x',
  ]


def main() -> None:
  """Prints the table."""
  import jax

  machine.share(flags.FLAGS.device)
  print(f'{jax.devices()[0].device_kind}, {flags.FLAGS.dtype}')
  machine.print_row(*_COLUMNS, head=True)
  for text in flags.FLAGS.models:
    backbone, _, batch_size = text.partition(':')
    machine.print_row(*compare(backbone, int(batch_size)))


if __name__ == '__main__':
  cli.run(main, __doc__)
