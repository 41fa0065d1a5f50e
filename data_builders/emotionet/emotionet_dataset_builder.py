"""EmotioNet as a TFDS dataset: action units of faces, each known or unknown."""

from etils import epath

from abaw_jax.data_builders import schema
from abaw_jax.data_builders.emotionet import lists
from abaw_jax.data_builders.labelled import builder, listings


class Builder(builder.Builder):
  """The lists have no splits: a part of the images is held out."""

  # TFDS would infer a folder that does not exist in a checkout.
  pkg_dir_path = epath.Path(__file__).parent

  LAYOUTS = {
      'frames': listings.Layout(
          'Images with the action units of their lists.',
          lists.read,
          {'train': lists.SPLIT, 'validation': lists.SPLIT},
          validation_share=0.1,
      )
  }
  BUILDER_CONFIGS = schema.configs(LAYOUTS)
  DEFAULT_BUILDER_CONFIG_NAME = 'frames'
  OPTIONS = {**builder.Builder.OPTIONS, 'validation_share': 0.1}
