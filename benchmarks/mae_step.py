r"""Times our MAE train step against Hugging Face's ViTMAE in PyTorch.

  python -m benchmarks.mae_step
  python -m benchmarks.mae_step --models=vit_b:256,vit_l:256 \
      --dtype=bfloat16 --device=gpu

Both train the same architecture with AdamW: forward pass, backward pass, update.
Rounds alternate; figures are medians over rounds, the ratio is the median over
pairs of rounds. PyTorch runs eagerly on a CPU, and with torch.compile on a GPU. Our
step is the step of the train command: it takes uint8 images, normalises them, and
skips non-finite updates.
"""

import statistics

from absl import flags

from abaw_jax.core import cli
from benchmarks import cases, harness

flags.DEFINE_list(
    'models',
    ['vit_ti:8', 'vit_s:8', 'vit_b:8'],
    'Keys of zoo.VITS, each with its batch size.',
)
flags.DEFINE_integer('image_size', 224, 'Side of the images in pixels.')
flags.DEFINE_integer('patch_size', 16, 'Side of a patch in pixels.')
flags.DEFINE_enum('dtype', 'float32', ['float32', 'bfloat16'], 'Precision.')
harness.define_device()
flags.DEFINE_integer('rounds', 5, 'Rounds.')
flags.DEFINE_integer('steps', 1, 'Updates in a round.')

_COLUMNS = (
    'model', 'images', 'ours', 'TFLOP/s', 'MFU', 'PyTorch', 'ours / PyTorch'
)  # fmt: skip


def make_row(backbone: str, batch_size: int) -> list[str]:
  """Returns the row of a model."""
  import jax

  from abaw_jax.telemetry import hardware
  from benchmarks.twins import mae as torch_mae

  args = flags.FLAGS
  config = cases.mae_config(
      batch_size,
      backbone=backbone,
      image_size=args.image_size,
      patch_size=args.patch_size,
      dtype=args.dtype,
  )
  batch = cases.images(batch_size, args.image_size)
  steps = harness.Steps(config, [batch])
  theirs = torch_mae.make_step(
      steps.task.model,
      batch_size=batch_size,
      dtype=args.dtype,
      device=args.device,
  )
  result = harness.compare(
      steps.update, theirs, rounds=args.rounds, repeats=args.steps
  )
  flops = batch_size * steps.task.flops(batch) / statistics.median(result.ours)
  peak = hardware.peak_flops(jax.devices()[0].device_kind)
  ours, torch = result.rates(batch_size, 'images')
  return [
      backbone,
      f'{batch_size}',
      ours,
      f'{flops / 1e12:.3f}',
      f'{flops / peak:.0%}' if peak else 'unknown',
      torch,
      result.ratio(),
  ]


def main() -> None:
  """Prints the table."""
  harness.print_models(_COLUMNS, make_row)


if __name__ == '__main__':
  cli.run(main, __doc__)
