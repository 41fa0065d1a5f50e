"""Unlabelled face images as a TFDS dataset: names, versions and fields."""

import tensorflow_datasets as tfds

from abaw_jax import errors
from data_builders.face_images import features, layouts


class Builder(tfds.core.dataset_builder.FileReaderBuilder):
  """Describes the dataset; data_builders.build writes it, in shards.

  The writer of TFDS starts anew after an interruption, which corpora of
  millions of images cannot afford.
  """

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'First release.'}
  BUILDER_CONFIGS = [
      tfds.core.BuilderConfig(name=name, description=layout.description)
      for name, layout in layouts.LAYOUTS.items()
  ]
  # No downloads, no checksums; see s_aff_wild2_dataset_builder.
  url_infos = None

  def _info(self) -> tfds.core.DatasetInfo:
    return self.dataset_info_from_configs(
        features=features.make(), metadata=tfds.core.MetadataDict()
    )

  def _download_and_prepare(self, dl_manager, download_config=None) -> None:
    raise errors.InputError(
        'build this dataset with `python -m data_builders.build face_images`'
    )
