"""Unlabelled face images as a TFDS dataset: names, versions and fields."""

from etils import epath
import tensorflow_datasets as tfds

from abaw_jax.core import errors
from abaw_jax.data_builders import schema
from abaw_jax.data_builders.face_images import counts, features, sharded_build
from abaw_jax.data_builders.face_images.sources import layouts


class Builder(tfds.core.dataset_builder.FileReaderBuilder):
  """Describes the dataset; `build` writes it shard by shard.

  The writer of TFDS starts again after an interruption. That takes too long for
  millions of images.
  """

  # TFDS would infer a folder that does not exist in a checkout.
  pkg_dir_path = epath.Path(__file__).parent

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'First release.'}
  LAYOUTS = layouts.LAYOUTS
  BUILDER_CONFIGS = schema.configs(LAYOUTS)
  PUBLISHED = counts.PUBLISHED
  # Options that change the dataset, with their defaults.
  OPTIONS = {
      'face_size': 0,
      'validation_share': 0.01,
      'drop_duplicates': False,
  }
  # Options that do not change its images.
  WRITER_OPTIONS = (
      'images_per_shard',
      'num_workers',
      'beam_runner',
      'beam_options',
  )
  # Whether records have the label `identity`.
  LABELLED = False
  # No downloads, no checksums; see in_memory_build.
  url_infos = None

  build = classmethod(sharded_build.build)
  report = classmethod(counts.report)

  def _info(self) -> tfds.core.DatasetInfo:
    return self.dataset_info_from_configs(
        features=features.make(labelled=self.LABELLED),
        metadata=tfds.core.MetadataDict(),
    )

  def _download_and_prepare(self, dl_manager, download_config=None) -> None:
    raise errors.InputError(
        f'build this dataset with `abaw-jax build {self.name}`'
    )
