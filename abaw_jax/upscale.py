r"""Enlarges images with a super-resolution network, or by Lanczos interpolation.

  abaw-jax upscale FOLDER --model=RUN --out=OUT
  abaw-jax upscale FOLDER --model=lanczos --scale=2 --out=OUT
  abaw-jax upscale face.png --model=WEIGHTS --out=large.png
  abaw-jax upscale DATA_DIR/lsd --model=WEIGHTS --scale=2 --splits=train \
      --out=NEW_DATA_DIR

The input is an image, a folder of images, or a built dataset. RUN is a workdir of
configs/sr.py; WEIGHTS are converted weights of Real-ESRGAN. The images of a folder
keep their relative paths. A dataset becomes NEW_DATA_DIR/lsd, with the same splits
and labels. After an interruption, the same command continues. Bad images are named,
all others are enlarged, and the status is 1.

One process uses all devices of its machine. It cannot be started in several processes
for the same OUT: for several machines, give each one its own folder or dataset.
"""

import sys

from absl import flags

from abaw_jax.core import cli, files

flags.DEFINE_string(
    'model',
    None,
    'Workdir of a super-resolution run, folder of converted weights, or lanczos.',
    required=True,
)
flags.DEFINE_string(
    'out',
    None,
    'Folder for the images, or data_dir for the dataset; for one image also a file.',
    required=True,
)
flags.DEFINE_integer(
    'scale',
    None,
    'Side of the output / side of the input; default: that of the network. A smaller '
    'one is reached by area interpolation.',
    lower_bound=1,
    upper_bound=16,
)
flags.DEFINE_enum(
    'format',
    'same',
    ['same', 'png', 'jpeg'],
    'Format of the output; same: JPEG for a JPEG, PNG for any other image.',
)
flags.DEFINE_integer(
    'quality', 95, 'Quality of JPEGs.', lower_bound=1, upper_bound=100
)
flags.DEFINE_string(
    'name', None, 'Name of the new dataset; default: that of the original.'
)
flags.DEFINE_list(
    'splits',
    [],
    'Splits of a dataset to enlarge; the others keep their images. Default: all.',
)
flags.DEFINE_bool(
    'overwrite', False, 'Replace images or a dataset that exists.'
)
flags.DEFINE_integer(
    'batch_size',
    None,
    'Images or tiles per step, over all devices; default: 8 for each device.',
    lower_bound=1,
)
flags.DEFINE_integer(
    'tile',
    None,
    'Largest side of an image that the network reads at once, in pixels; larger '
    'images are cut. A multiple of 16; default: 256.',
    lower_bound=16,
)
flags.DEFINE_integer(
    'overlap',
    None,
    'Pixels around a tile that the network reads, too; default: its receptive '
    'field, but at most 32.',
    lower_bound=0,
)
flags.DEFINE_enum(
    'dtype',
    None,
    ['float32', 'bfloat16'],
    'Compute dtype; default: that of the config.',
)

_INPUTS = ('IMAGE', 'FOLDER', 'DATA_DIR/NAME', 'DATA_DIR/NAME/CONFIG')
_SHOWN = 20  # bad images


def main(source: str) -> int:
  """Enlarges the images; returns the status."""
  from abaw_jax.upscaling import command

  args = flags.FLAGS
  lines, bad = command.upscale(
      files.path(source),
      cli.path('out'),
      encoding=(args.format, args.quality),
      name=args.name,
      splits=args.splits,
      overwrite=args.overwrite,
      model=args.model,
      scale=args.scale,
      batch_size=args.batch_size,
      tile=args.tile,
      overlap=args.overlap,
      dtype=args.dtype,
  )
  print('\n'.join(lines))
  for line in bad[:_SHOWN]:
    print(line, file=sys.stderr)
  if len(bad) > _SHOWN:
    print(f'... and {len(bad) - _SHOWN:,} more bad images', file=sys.stderr)
  return 1 if bad else 0


if __name__ == '__main__':
  cli.run(main, __doc__, arguments={'input': _INPUTS})
