"""Face images with the number of the person, for pretraining by identity."""

from etils import epath
import tensorflow_datasets as tfds

from abaw_jax.data_builders import schema
from abaw_jax.data_builders.face_images import face_images_dataset_builder
from abaw_jax.data_builders.face_images.sources import layouts


class Builder(face_images_dataset_builder.Builder):
  """Face images with labels; read and written like face_images."""

  # TFDS would infer a folder that does not exist in a checkout.
  pkg_dir_path = epath.Path(__file__).parent

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'First release.'}
  LAYOUTS = layouts.OF_PEOPLE
  BUILDER_CONFIGS = schema.configs(LAYOUTS)
  OPTIONS = {
      **face_images_dataset_builder.Builder.OPTIONS,
      'hold_out': 'people',
      'max_examples': None,
  }
  LABELLED = True
