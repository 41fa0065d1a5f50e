"""RAF-DB as a TFDS dataset: seven basic expressions of aligned faces."""

from etils import epath

from abaw_jax.data_builders import schema
from abaw_jax.data_builders.labelled import builder, listings
from abaw_jax.data_builders.raf_db import counts, lists


class Builder(builder.Builder):
  """The release has no validation split; each config makes another one."""

  # TFDS would infer a folder that does not exist in a checkout.
  pkg_dir_path = epath.Path(__file__).parent

  LAYOUTS = {
      'frames': listings.Layout(
          'A tenth of the training images is held out for validation.',
          lists.read,
          {'train': 'train', 'validation': 'train', 'test': 'test'},
          validation_share=0.1,
      ),
      'published': listings.Layout(
          'All training images; validation has the test images, on which'
          ' published results choose their weights.',
          lists.read,
          {'train': 'train', 'validation': 'test'},
      ),
  }
  BUILDER_CONFIGS = schema.configs(LAYOUTS)
  DEFAULT_BUILDER_CONFIG_NAME = 'frames'
  PUBLISHED = counts.PUBLISHED
