r"""Times forward pass and train step of every backbone against PyTorch's.

  python -m benchmarks.backbones
  python -m benchmarks.backbones --models=vit_b:256,iresnet_50:256 \
      --dtype=bfloat16 --device=gpu

Ours is what a frame model runs: the jitted steps of evaluation and training, from
uint8 images to 22 outputs, with all losses and AdamW. PyTorch's twin (Hugging
Face's where it has the network) runs eagerly on normalised images, channels last,
with one linear layer, a squared error and AdamW. Rounds alternate; the ratio is
the median of ratios of a pair of rounds. Above 1 we are faster.
"""

from collections.abc import Callable
import statistics
import time

from absl import flags

from abaw_jax.core import cli
from benchmarks import machine

flags.DEFINE_list(
    'models',
    [
        'vit_s:8',
        'vit_b:8',
        'iresnet_50:8',
        'densenet_121:8',
        'efficientnet_b0:8',
        'resnet_50:8',
    ],
    'Backbones, each with its images at once.',
)
flags.DEFINE_enum('dtype', 'float32', ['float32', 'bfloat16'], 'Precision.')
flags.DEFINE_enum('device', 'cpu', ['cpu', 'gpu'], 'Where both run.')
flags.DEFINE_integer('rounds', 5, 'Rounds.')

_COLUMNS = (
    'model', 'pixels', 'images', 'forward', 'PyTorch', 'ratio',
    'train', 'PyTorch', 'ratio',
)  # fmt: skip
# What face networks take; all others take what ImageNet's do.
_SIZES = {'iresnet': 112}


def make_config(backbone: str, batch_size: int) -> dict:
  """Returns the config of a frame model on this backbone."""
  from abaw_jax.configs import convnet, frame
  from abaw_jax.models import zoo

  experiment = frame if backbone in zoo.VITS else convnet
  config = experiment.get_config().to_dict()
  config['model'] |= {
      'backbone': backbone,
      'image_size': _SIZES.get(backbone.split('_')[0], 224),
      'dtype': flags.FLAGS.dtype,
  }
  if backbone in zoo.VITS:
    config['model'] |= {'patch_size': 16, 'drop_path': 0.0}
    config['optim']['layer_decay'] = 1.0
  config['data']['batch_size'] = batch_size
  config['augment'] |= {'crop_scale': 1.0, 'flip': False}
  return config


def make_batch(size: int, count: int) -> dict:
  """Returns random labelled images."""
  import numpy as np

  rng = np.random.default_rng(0)
  return {
      'image': rng.integers(0, 256, (count, size, size, 3), np.uint8),
      'valence': rng.uniform(-1, 1, count).astype(np.float32),
      'arousal': rng.uniform(-1, 1, count).astype(np.float32),
      'expression': rng.integers(0, 8, count).astype(np.int32),
      'au': rng.integers(0, 2, (count, 12)).astype(np.int8),
      'va': np.ones(count, bool),
      'expr': np.ones(count, bool),
      'au_mask': np.ones((count, 12), bool),
      'real': np.ones(count, bool),
  }


def make_steps(backbone: str, batch_size: int):
  """Returns (forward pass, update, our backbone); both wait for their end."""
  import jax

  from abaw_jax.distributed import sharding
  from abaw_jax.steps import optimization, steps
  from abaw_jax.tasks import registry

  config = make_config(backbone, batch_size)
  task = registry.make_task(config)
  batch = make_batch(config['model']['image_size'], batch_size)
  schedule = optimization.make_schedule(
      config, total_steps=1000, warmup_steps=10
  )
  optimizer = steps.skip_non_finite(
      optimization.make_optimizer(config, schedule)
  )
  mesh = sharding.make_mesh(fsdp=1)
  with jax.set_mesh(mesh):
    init, shapes = steps.jit_init(task, optimizer, mesh, batch)
    train = steps.jit_train_step(task, optimizer, mesh, shapes, seed=0)
    predict = steps.jit_predict_step(task, mesh)
    state = init(jax.random.key(0))
  batch = sharding.to_devices(batch, sharding.over_batch(mesh))

  def embed() -> None:
    with jax.set_mesh(mesh):
      jax.block_until_ready(predict(state.params, batch))

  def update() -> None:
    nonlocal state
    with jax.set_mesh(mesh):
      state, metrics = train(state, batch)
    jax.block_until_ready(metrics)

  return embed, update, task.model.backbone


def compare(ours: Callable[[], None], theirs: Callable[[], None]):
  """Returns seconds of ours and of theirs, and the ratio, over the rounds."""

  def seconds(step: Callable[[], None]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start

  machine.warm_up((ours, theirs))
  rounds = [(seconds(ours), seconds(theirs)) for _ in range(flags.FLAGS.rounds)]
  mine, other = map(statistics.median, zip(*rounds, strict=True))
  return mine, other, statistics.median(b / a for a, b in rounds)


def row(name: str, batch_size: int) -> list[str]:
  """Returns a row of the table."""
  from benchmarks.torch_twins import backbones

  *ours, backbone = make_steps(name, batch_size)
  theirs = backbones.make_steps(
      backbone,
      batch_size=batch_size,
      dtype=flags.FLAGS.dtype,
      device=flags.FLAGS.device,
  )
  cells = [name, f'{backbone.image_size}', f'{batch_size}']
  for pair in zip(ours, theirs, strict=True):
    mine, other, ratio = compare(*pair)
    rates = [f'{batch_size / s:.1f} images/s' for s in (mine, other)]
    cells += [*rates, f'{ratio:.2f}x']
  return cells


def main() -> None:
  """Prints the table."""
  import jax

  machine.share(flags.FLAGS.device)
  print(f'{jax.devices()[0].device_kind}, {flags.FLAGS.dtype}')
  machine.print_row(*_COLUMNS, head=True)
  for text in flags.FLAGS.models:
    name, _, batch_size = text.partition(':')
    machine.print_row(*row(name, int(batch_size)))


if __name__ == '__main__':
  cli.run(main, __doc__)
