r"""Times the forward pass and the train step of backbones against PyTorch.

  python -m benchmarks.backbones
  python -m benchmarks.backbones --models=vit_b:256,iresnet_50:256 \
      --dtype=bfloat16 --device=gpu

Our side is a frame model: the jitted evaluation and train steps, from uint8 images
to 22 outputs, with all losses and AdamW. PyTorch's side uses Hugging Face's network
where there is one. It runs eagerly on normalised images, channels last, with one
linear layer, a squared error and AdamW. Rounds alternate; the ratio is the median
over pairs of rounds. We are faster where it is above 1.
"""

from absl import flags

from abaw_jax.core import cli
from benchmarks import harness

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
    'Backbones, each with its batch size.',
)
flags.DEFINE_enum('dtype', 'float32', ['float32', 'bfloat16'], 'Precision.')
harness.define_device()
flags.DEFINE_integer('rounds', 5, 'Rounds.')

_COLUMNS = (
    'model', 'pixels', 'images', 'forward', 'PyTorch', 'ratio',
    'train', 'PyTorch', 'ratio',
)  # fmt: skip
# Image sizes of face networks; all others use 224, the size for ImageNet.
_SIZES = {'iresnet': 112}


def make_config(backbone: str, batch_size: int) -> dict:
  """Returns the config of a frame model with this backbone."""
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


def make_row(name: str, batch_size: int) -> list[str]:
  """Returns the row of a backbone."""
  from benchmarks.torch_twins import backbones

  config = make_config(name, batch_size)
  batch = make_batch(config['model']['image_size'], batch_size)
  update, predict, task = harness.make_steps(config, [batch])
  theirs = backbones.make_steps(
      task.model.backbone,
      batch_size=batch_size,
      dtype=flags.FLAGS.dtype,
      device=flags.FLAGS.device,
  )
  cells = [name, f'{task.model.backbone.image_size}', f'{batch_size}']
  for pair in zip((predict, update), theirs, strict=True):
    result = harness.compare(*pair, rounds=flags.FLAGS.rounds)
    cells += [*result.rates(batch_size, 'images'), result.ratio()]
  return cells


def main() -> None:
  """Prints the table."""
  harness.print_models(_COLUMNS, make_row)


if __name__ == '__main__':
  cli.run(main, __doc__)
