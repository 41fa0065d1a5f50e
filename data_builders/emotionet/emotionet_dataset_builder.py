"""EmotioNet as a TFDS dataset: action units of faces, each known or not."""

from etils import epath

from abaw_jax.data_builders.emotionet import lists
from abaw_jax.data_builders.labelled import builder, listings


class Builder(builder.Builder):
  """The lists have no splits: a part of the images is held out."""

  # The package that TFDS infers would not be found in a checkout.
  pkg_dir_path = epath.Path(__file__).parent

  LAYOUTS = {
      'frames': listings.Layout(
          'Images with the action units of their lists.',
          lists.read,
          {'train': lists.SPLIT, 'validation': lists.SPLIT},
          validation_share=0.1,
      )
  }
  BUILDER_CONFIGS = builder.configs(LAYOUTS)
  DEFAULT_BUILDER_CONFIG_NAME = 'frames'
  OPTIONS = {**builder.Builder.OPTIONS, 'validation_share': 0.1}
