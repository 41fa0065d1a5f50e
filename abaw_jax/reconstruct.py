r"""Draws what a masked autoencoder sees and what it makes of it, as a PNG.

  python -m abaw_jax.reconstruct --init_from=runs/mae --out=grid.png
  python -m abaw_jax.reconstruct --init_from=WEIGHTS --images=a.jpg,b.png
  python -m abaw_jax.reconstruct --init_from=WEIGHTS --data=DATA_DIR/face_images

One row per image: original, masked, and reconstructed, where the prediction
stands in the hidden patches only. A model that was trained on standardised
patches gets their true mean and deviation. Prints the mean loss of the images.
"""

import pathlib

from absl import flags

from abaw_jax.core import cli, labels

flags.DEFINE_string(
    'init_from', None, 'Workdir of a MAE run, or its weights.', required=True
)
flags.DEFINE_string(
    'data',
    None,
    'Built dataset, DATA_DIR/NAME or DATA_DIR/NAME/CONFIG, to draw images from; '
    'default: the dataset of the run.',
)
flags.DEFINE_enum('split', 'validation', labels.SPLITS, 'Split of the dataset.')
flags.DEFINE_list('images', [], 'Image files, instead of a dataset.')
flags.DEFINE_integer(
    'num_images', 8, 'Images to draw from the dataset.', lower_bound=1
)
flags.DEFINE_integer(
    'seed', 0, 'Decides which images and which patches.', lower_bound=0
)
flags.DEFINE_bool(
    'prediction', False, 'Add a column with the prediction of all patches.'
)
flags.DEFINE_string('out', 'grid.png', 'PNG file to write.')


@flags.multi_flags_validator(
    ('data', 'images'), message='give --data or --images, not both'
)
def _one_of_both(values: dict) -> bool:
  return not (values['data'] and values['images'])


@flags.validator('out', message='give a file that ends in .png')
def _is_png(path: str) -> bool:
  return path.endswith('.png')


def main() -> None:
  """Draws the grid."""
  from abaw_jax.inference import reconstruction

  out = pathlib.Path(flags.FLAGS.out)
  data = flags.FLAGS.data
  count, loss = reconstruction.reconstruct(
      init_from=pathlib.Path(flags.FLAGS.init_from),
      out=out,
      data=pathlib.Path(data) if data else None,
      split=flags.FLAGS.split,
      images=[pathlib.Path(path) for path in flags.FLAGS.images],
      num_images=flags.FLAGS.num_images,
      seed=flags.FLAGS.seed,
      prediction=flags.FLAGS.prediction,
  )
  print(f'{out}: {count} images, mean loss {loss:.4f}')


if __name__ == '__main__':
  cli.run(main, __doc__)
