"""AffectNet as a TFDS dataset: expressions, valence and arousal of faces."""

from etils import epath

from abaw_jax.data_builders import schema
from abaw_jax.data_builders.affectnet import counts, manual_2017, release_2021
from abaw_jax.data_builders.labelled import builder, listings

_SPLITS = {'train': 'train', 'validation': 'validation'}


class Builder(builder.Builder):
  """Two releases with the same labels and different layouts."""

  # TFDS would infer a folder that does not exist in a checkout.
  pkg_dir_path = epath.Path(__file__).parent

  LAYOUTS = {
      'manual_2017': listings.Layout(
          'The manually annotated images of 2017, cropped at the face box.',
          manual_2017.read,
          _SPLITS,
      ),
      'release_2021': listings.Layout(
          'The cropped faces of 2021 with 8 expressions.',
          release_2021.read,
          _SPLITS,
      ),
  }
  BUILDER_CONFIGS = schema.configs(LAYOUTS)
  PUBLISHED = counts.PUBLISHED
