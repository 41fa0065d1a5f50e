"""Unlabelled face images as a TFDS dataset: names, versions and fields."""

from collections.abc import Mapping

from etils import epath
import tensorflow_datasets as tfds

from abaw_jax.core import errors
from abaw_jax.data_builders.face_images import features
from abaw_jax.data_builders.face_images.sources import entries, layouts


def configs(
    chosen: Mapping[str, entries.Layout],
) -> list[tfds.core.BuilderConfig]:
  """Returns one config for each layout."""
  return [
      tfds.core.BuilderConfig(name=name, description=layout.description)
      for name, layout in chosen.items()
  ]


class Builder(tfds.core.dataset_builder.FileReaderBuilder):
  """Describes the dataset; data_builders.build writes it, in shards.

  The writer of TFDS starts anew after an interruption, which corpora of
  millions of images cannot afford.
  """

  # The package that TFDS infers would not be found in a checkout.
  pkg_dir_path = epath.Path(__file__).parent

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'First release.'}
  LAYOUTS = layouts.LAYOUTS
  BUILDER_CONFIGS = configs(LAYOUTS)
  # What a dataset is built with; another value makes another dataset.
  OPTIONS = {
      'face_size': 0,
      'validation_share': 0.01,
      'drop_duplicates': False,
  }
  # Whether records have the label `identity`.
  LABELLED = False
  # No downloads, no checksums; see s_aff_wild2_dataset_builder.
  url_infos = None

  def _info(self) -> tfds.core.DatasetInfo:
    return self.dataset_info_from_configs(
        features=features.make(labelled=self.LABELLED),
        metadata=tfds.core.MetadataDict(),
    )

  def _download_and_prepare(self, dl_manager, download_config=None) -> None:
    raise errors.InputError(
        f'build this dataset with `python -m data_builders.build {self.name}`'
    )
