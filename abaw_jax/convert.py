r"""Converts PyTorch weights of other projects, and writes ours for PyTorch.

  abaw-jax convert --checkpoint=mae_pretrain_vit_base.pth \
      --out=weights/mae_vit_b --image_size=112
  abaw-jax convert --checkpoint=backbone.pth --arch=iresnet_50 \
      --out=weights/iresnet_50 --verify=reference.npz
  abaw-jax convert --init_from=runs/mae --out=mae.pth
  abaw-jax convert --init_from=runs/lora --adapter --out=weights/lora

The first two commands read files of PyTorch or `.safetensors`: facebookresearch/mae,
DINOv2, DINOv3, CLIP, SigLIP, ViTs of timm and Hugging Face, IResNets of InsightFace,
MobileFaceNets of InsightFace and face.evoLVe, DenseNets and ResNets of torchvision and
timm, EfficientNets, MobileViTs, ReXNets and ConvNeXt-V2s of timm, DDAMFN++, VideoMAE and
MARLIN, networks of Real-ESRGAN, and pickled modules, such as those of HSE-NN. They write a folder that
every --init_from accepts. No code in the file is executed. A tensor that is missing or
not used is an error. If a file fits several networks or does not say its preprocessing,
the command asks for --arch, --activation or --preprocessing. The third command
writes a run, or such a folder, as `.pth` or `.safetensors` for PyTorch; LoRA is merged.
The last one writes the LoRA factors and the heads of a run as a folder without its base
weights (docs/finetuning.md).
"""

from absl import flags

from abaw_jax.core import cli, files

flags.DEFINE_string('checkpoint', None, 'PyTorch file to read.')
flags.DEFINE_string(
    'init_from',
    None,
    'Workdir of a run, or folder of weights, to write as a file.',
)
flags.DEFINE_string(
    'out',
    None,
    'Folder to write; with --init_from and without --adapter, file to write.',
    required=True,
)
flags.DEFINE_string(
    'arch',
    None,
    'Backbone that the file must contain, such as vit_b, iresnet_50 or '
    'tf_efficientnet_b0, or rrdb or compact; default: any that is certain.',
)
flags.DEFINE_string(
    'preprocessing',
    None,
    'Preprocessing of the weights: imagenet, half (mean and std 0.5), torchvision, '
    'emotiefflib, emotiefflib_mbf, cvnets, ddamfn, hf_vit, dinov3, clip, siglip, '
    'marlin, insightface or denseface; default: as the file or its project says.',
)
flags.DEFINE_string(
    'state_dict',
    None,
    'Name of the network in a file that has several, such as model_ema.',
)
flags.DEFINE_integer(
    'image_size',
    None,
    'Side of the images in pixels; default: as in the file, or the usual size.',
    lower_bound=1,
)
flags.DEFINE_string(
    'verify',
    None,
    '.npz file with `images` [n, h, w, 3] and the `embedding`, `logits` or, of a '
    'super-resolution network, `enlarged` images of the original model for them; '
    'the converted model must give the same.',
)
flags.DEFINE_integer(
    'num_heads',
    None,
    'Attention heads; default: the usual number for the width.',
    lower_bound=1,
)
flags.DEFINE_enum(
    'activation',
    None,
    ['gelu', 'gelu_tanh', 'quick_gelu'],
    'Activation of a ViT; default: as in config.json next to the file, else that of '
    'the project.',
)
flags.DEFINE_integer(
    'decoder_num_heads',
    None,
    'Attention heads of the decoder; default: 16 for the usual width of 512.',
    lower_bound=1,
)
flags.DEFINE_bool(
    'norm_pix',
    None,
    'Whether a MAE was trained on standardised patches (mae_visualize_* was not); '
    'default: as in the training arguments in the file, else true.',
)


flags.DEFINE_bool(
    'adapter',
    False,
    'With --init_from: write the LoRA factors and the heads, without base weights.',
)
flags.DEFINE_string(
    'base',
    None,
    'With --adapter: workdir of a run, or folder of weights, with the base weights; '
    'default: config.init_from of the run, or those of the adapter.',
)


OPTIONS = (
    'arch', 'image_size', 'num_heads', 'decoder_num_heads', 'norm_pix',
    'preprocessing', 'state_dict', 'activation',
)  # fmt: skip


@flags.multi_flags_validator(
    ('checkpoint', 'init_from'),
    message='give --checkpoint=FILE to read or --init_from=FOLDER to write',
)
def _one_of_both(values: dict) -> bool:
  return (values['checkpoint'] is None) != (values['init_from'] is None)


@flags.multi_flags_validator(
    ('init_from', 'verify', *OPTIONS),
    message='--init_from needs no sizes; use the other flags with --checkpoint',
)
def _options_of_checkpoint(values: dict) -> bool:
  given = [name for name in ('verify', *OPTIONS) if values[name] is not None]
  return values['init_from'] is None or not given


@flags.multi_flags_validator(
    ('init_from', 'adapter', 'base'),
    message='--adapter needs --init_from, and --base needs --adapter',
)
def _adapter_of_run(values: dict) -> bool:
  has_adapter = values['adapter']
  return (values['init_from'] is not None or not has_adapter) and (
      has_adapter or values['base'] is None
  )


def main() -> None:
  """Converts the weights."""
  from abaw_jax.conversion import adapter_export, convert, parity_check

  out = cli.path('out')
  if flags.FLAGS.adapter:
    report = adapter_export.write_adapter(
        cli.path('init_from'), out, base=cli.path('base')
    )
  elif flags.FLAGS.init_from is not None:
    report = convert.export_weights(cli.path('init_from'), out)
  else:
    report = convert.import_weights(
        files.local_path(flags.FLAGS.checkpoint, '--checkpoint'),
        out,
        **{name: flags.FLAGS[name].value for name in OPTIONS},
    )
    if (verify := flags.FLAGS.verify) is not None:
      reference = files.local_path(verify, '--verify')
      report += parity_check.check_outputs(out, reference)
  print('\n'.join(report))


if __name__ == '__main__':
  cli.run(main, __doc__)
