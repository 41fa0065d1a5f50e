"""LSD as a TFDS dataset: six expressions of synthetic and of real faces."""

from etils import epath

from abaw_jax.data_builders import schema
from abaw_jax.data_builders.labelled import builder, listings
from abaw_jax.data_builders.lsd import counts, lists


class Builder(builder.Builder):
  """Trains on synthetic faces, validates and tests on real ones."""

  # TFDS would infer a folder that does not exist in a checkout.
  pkg_dir_path = epath.Path(__file__).parent

  LAYOUTS = {
      'frames': listings.Layout(
          'The splits of the challenge; test images have no labels.',
          lists.read,
          {'train': 'train', 'validation': 'validation', 'test': 'test'},
      ),
  }
  BUILDER_CONFIGS = schema.configs(LAYOUTS)
  DEFAULT_BUILDER_CONFIG_NAME = 'frames'
  PUBLISHED = counts.PUBLISHED
