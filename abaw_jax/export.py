r"""Writes the networks of a bundle as files that other programs run.

  abaw-jax export bundle --format=stablehlo --out=exported
  abaw-jax export bundle --format=onnx --out=exported
  abaw-jax export bundle --format=torch --out=exported

stablehlo: frame.stablehlo makes features, and without a temporal model predictions,
of aligned uint8 faces; temporal0.stablehlo predicts windows of features. Weights and
preprocessing are inside. Batch and length are dynamic, and one file runs on CPUs,
NVIDIA GPUs and TPUs, in a Python process with only JAX and flatbuffers. run.py is an
example, and model.json describes inputs, outputs, labels and post-processing.

onnx: the same networks as frame.onnx and temporal0.onnx, for ONNX Runtime.
run_onnx.py is an example.

torch: the backbone of a bundle without a temporal model, as a state dict in the layout
of its project, as abaw-jax convert --init_from writes it, and its linear heads.

Each file is compared with the bundle before it gets its name: outputs on random
images, gradients and the images of --faces.
"""

from absl import flags

from abaw_jax.core import cli

flags.DEFINE_enum(
    'format',
    None,
    ('stablehlo', 'onnx', 'torch'),
    'Format to write.',
    required=True,
)
flags.DEFINE_string('out', None, 'Folder to write.', required=True)
cli.define_paths(
    'faces',
    'Image file of an aligned face, to compare outputs with; repeatable.',
)


def main(*bundles: str) -> None:
  """Exports the bundle."""
  import jax

  from abaw_jax.core import files
  from abaw_jax.exporting import command

  if len(bundles) > 1:
    cli.fail(f'unexpected argument {bundles[1]!r}; name one bundle')
  # Outputs are compared without the reduced precision of accelerators.
  jax.config.update('jax_platforms', 'cpu')
  report = command.export(
      files.path(bundles[0]),
      cli.path('out'),
      file_format=flags.FLAGS.format,
      faces=cli.paths('faces'),
  )
  print('\n'.join(report))


if __name__ == '__main__':
  cli.run(main, __doc__, operands='bundle')
