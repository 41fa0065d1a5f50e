r"""Draws images and their reconstructions by a masked autoencoder, as a PNG.

A run of configs/sr.py gives small images, enlarged by Lanczos and by the network.

  abaw-jax reconstruct --init_from=runs/mae --out=grid.png
  abaw-jax reconstruct --init_from=WEIGHTS --images=a.jpg --images=b.png
  abaw-jax reconstruct --init_from=WEIGHTS --data=DATA_DIR/face_images

Each row shows the original image, the masked image, and the reconstruction. The
reconstruction shows predictions in the masked patches only. If the model was
trained on standardised patches, predictions are scaled with the true mean and
standard deviation of each patch. Prints the mean loss of the images.
"""

from absl import flags

from abaw_jax.core import cli, labels

flags.DEFINE_string(
    'init_from', None, 'Workdir of a MAE run, or its weights.', required=True
)
flags.DEFINE_string(
    'data',
    None,
    'Built dataset with the images, DATA_DIR/NAME or DATA_DIR/NAME/CONFIG; '
    'default: the dataset of the run.',
)
flags.DEFINE_enum('split', 'validation', labels.SPLITS, 'Split of the dataset.')
cli.define_paths('images', 'Image file, instead of a dataset.')
flags.DEFINE_integer(
    'num_images', 8, 'Number of images from the dataset.', lower_bound=1
)
flags.DEFINE_integer(
    'seed', 0, 'Seed for the choice of images and masks.', lower_bound=0
)
flags.DEFINE_bool(
    'prediction', False, 'Add a column with predictions for all patches.'
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

  out = cli.path('out')
  count, loss = reconstruction.reconstruct(
      init_from=cli.path('init_from'),
      out=out,
      data=cli.path('data'),
      split=flags.FLAGS.split,
      images=cli.paths('images'),
      num_images=flags.FLAGS.num_images,
      seed=flags.FLAGS.seed,
      prediction=flags.FLAGS.prediction,
  )
  print(f'{out}: {count} images, mean loss {loss:.4f}')


if __name__ == '__main__':
  cli.run(main, __doc__)
