"""FER+ as a TFDS dataset: expressions of grey faces, with all their votes."""

from etils import epath

from abaw_jax.data_builders import schema
from abaw_jax.data_builders.fer_plus import counts, lists
from abaw_jax.data_builders.fer_plus import votes as votes_lib
from abaw_jax.data_builders.labelled import builder, listings


class Builder(builder.Builder):
  """Stores all votes, so that training can choose its targets."""

  # TFDS would infer a folder that does not exist in a checkout.
  pkg_dir_path = epath.Path(__file__).parent

  LAYOUTS = {
      'frames': listings.Layout(
          'FER2013 with the ten votes of FER+ for each face.',
          lists.read,
          {'train': 'train', 'validation': 'validation', 'test': 'test'},
      )
  }
  BUILDER_CONFIGS = schema.configs(LAYOUTS)
  DEFAULT_BUILDER_CONFIG_NAME = 'frames'
  PUBLISHED = counts.PUBLISHED
  NUM_VOTES = len(votes_lib.CLASSES)
