r"""Converts weights of other projects to ours, and ours back.

  python -m abaw_jax.convert --checkpoint=mae_pretrain_vit_base.pth \
      --out=weights/mae_vit_b --image_size=112
  python -m abaw_jax.convert --checkpoint=backbone.pth --arch=iresnet_50 \
      --out=weights/iresnet_50 --verify=reference.npz
  python -m abaw_jax.convert --init_from=runs/mae --out=mae.pth

The first two read `.pth` or `.safetensors`: facebookresearch/mae, timm and Hugging
Face ViTs, InsightFace's IResNets, DenseNets and ResNets of torchvision and timm,
timm's tf_efficientnet, and modules that were pickled whole, such as HSE-NN's. They
write a folder that every --init_from takes. No code in the file is executed, and
nothing is left over or left out in silence. The last writes a run or such a folder
as `.pth` or `.safetensors` for PyTorch.
"""

import pathlib

from absl import flags

from abaw_jax.core import cli

flags.DEFINE_string('checkpoint', None, 'File of another project to read.')
flags.DEFINE_string(
    'init_from', None, 'Workdir of a run or folder of weights to write.'
)
flags.DEFINE_string(
    'out', None, 'Folder to write, or file with --init_from.', required=True
)
flags.DEFINE_string(
    'arch',
    None,
    'Backbone that the file must hold, such as vit_b or iresnet_50; any if not '
    'given.',
)
flags.DEFINE_integer(
    'image_size',
    None,
    'Side in pixels of the images; as in the file, or as usual, if not given.',
    lower_bound=1,
)
flags.DEFINE_string(
    'verify',
    None,
    '.npz file with images [n, h, w, 3] and the embedding or logits that the '
    'original gives for them; what was converted is compared.',
)
flags.DEFINE_integer(
    'num_heads',
    None,
    'Attention heads; the usual number for the width if not given.',
    lower_bound=1,
)
flags.DEFINE_integer(
    'decoder_num_heads',
    None,
    'Attention heads of the decoder; 16 for the usual width of 512.',
    lower_bound=1,
)
flags.DEFINE_bool(
    'norm_pix',
    None,
    'Whether a MAE learned standardised patches (mae_visualize_* did not); if '
    'not given, as the training arguments in the file say, else true.',
)


OPTIONS = (
    'arch', 'image_size', 'num_heads', 'decoder_num_heads', 'norm_pix'
)  # fmt: skip


@flags.multi_flags_validator(
    ('checkpoint', 'init_from'),
    message='give --checkpoint=FILE to read or --init_from=FOLDER to write',
)
def _one_of_both(values: dict) -> bool:
  return (values['checkpoint'] is None) != (values['init_from'] is None)


@flags.multi_flags_validator(
    ('init_from', 'verify', *OPTIONS),
    message='--init_from knows its sizes, the other flags go with --checkpoint',
)
def _options_of_checkpoint(values: dict) -> bool:
  given = [name for name in ('verify', *OPTIONS) if values[name] is not None]
  return values['init_from'] is None or not given


def main() -> None:
  """Converts the weights."""
  from abaw_jax.conversion import convert, parity_check

  out = pathlib.Path(flags.FLAGS.out)
  if flags.FLAGS.init_from is not None:
    report = convert.write(pathlib.Path(flags.FLAGS.init_from), out)
  else:
    report = convert.read(
        pathlib.Path(flags.FLAGS.checkpoint),
        out,
        **{name: flags.FLAGS[name].value for name in OPTIONS},
    )
    if flags.FLAGS.verify is not None:
      report += parity_check.verify(out, pathlib.Path(flags.FLAGS.verify))
  print('\n'.join(report))


if __name__ == '__main__':
  cli.run(main, __doc__)
