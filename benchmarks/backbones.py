r"""Times the forward pass and the train step of backbones against PyTorch.

  python -m benchmarks.backbones
  python -m benchmarks.backbones --models=dinov2_b:8,dinov3_b:8,clip_b:8,siglip_b:8
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
from benchmarks import cases, harness

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


def make_row(name: str, batch_size: int) -> list[str]:
  """Returns the row of a backbone."""
  from benchmarks.twins import backbones

  config = cases.frame_config(name, batch_size, dtype=flags.FLAGS.dtype)
  size = config['model']['image_size']
  steps = harness.Steps(config, [cases.labelled_images(batch_size, size)])
  theirs = backbones.make_steps(
      steps.task.model.backbone,
      batch_size=batch_size,
      dtype=flags.FLAGS.dtype,
      device=flags.FLAGS.device,
  )
  cells = [name, f'{size}', f'{batch_size}']
  for pair in zip((steps.predict, steps.update), theirs, strict=True):
    result = harness.compare(*pair, rounds=flags.FLAGS.rounds)
    cells += [*result.rates(batch_size, 'images'), result.ratio()]
  return cells


def main() -> None:
  """Prints the table."""
  harness.print_models(_COLUMNS, make_row)


if __name__ == '__main__':
  cli.run(main, __doc__)
