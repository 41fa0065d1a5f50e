"""s-Aff-Wild2 as a TFDS dataset: sequences of faces, or single frames."""

from collections.abc import Iterator, Sequence
import dataclasses
import os
from typing import Any

from etils import epath
import numpy as np
import tensorflow_datasets as tfds

from abaw_jax.core import labels, progress_bars
from abaw_jax.data_builders import in_memory_build, schema
from abaw_jax.data_builders.s_aff_wild2 import corpus as corpus_lib
from abaw_jax.data_builders.s_aff_wild2 import counts, records


@dataclasses.dataclass(kw_only=True)
class Config(tfds.core.BuilderConfig):
  """Frames of a video in one example; an example of 1 has no axis of frames."""

  frames_per_example: int


class Builder(in_memory_build.Builder):
  """Writes the unchanged JPEG bytes with their labels and masks."""

  # TFDS would infer a folder that does not exist in a checkout.
  pkg_dir_path = epath.Path(__file__).parent

  MANUAL_DOWNLOAD_INSTRUCTIONS = (
      'Sign the EULA of the ABAW challenge (see README.md) and unpack the lists'
      ' and the cropped_aligned folders into one folder.'
  )
  BUILDER_CONFIGS = [
      Config(
          name='sequences',
          description='Up to 64 frames of one video, in the order of time.',
          frames_per_example=64,
      ),
      Config(
          name='frames',
          description='One frame, for models of single images.',
          frames_per_example=1,
      ),
  ]
  DEFAULT_BUILDER_CONFIG_NAME = 'sequences'

  OPTIONS = {'max_videos': None}

  report = staticmethod(counts.report)

  @staticmethod
  def read(
      source_dir: str | os.PathLike[str],
      configs: Sequence[str],
      *,
      max_videos: int | None,
  ) -> corpus_lib.Corpus:
    """Returns the verified corpus in `source_dir`, the same for all configs."""
    del configs
    return corpus_lib.read(source_dir, decode=True, max_videos=max_videos)

  def _info(self) -> tfds.core.DatasetInfo:
    if self.builder_config.frames_per_example == 1:
      features = {'image': tfds.features.Image(encoding_format='jpeg')}
      frames = ()
    else:
      # TFDS would decode a Sequence of Images on every read, so this is bytes.
      features = {
          'chunk': np.int32,
          'image': tfds.features.Sequence(tfds.features.Text()),
      }
      frames = (None,)
    columns = schema.tensors(labels.FRAME_COLUMNS, frames)
    return self.dataset_info_from_configs(
        features=tfds.features.FeaturesDict(
            {'video': tfds.features.Text(), **features, **columns}
        ),
        metadata=tfds.core.MetadataDict(),
    )

  def _generate_examples(
      self, corpus: corpus_lib.Corpus, split: str
  ) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the examples of one split; the key is the video and the chunk."""
    rows = corpus.usable(split)
    size = self.builder_config.frames_per_example
    images = corpus.images[split]
    with progress_bars.make(
        desc=f'Writing {self.builder_config.name} {split}',
        total=len(rows),
        unit='rows',
    ) as bar:
      for video, chunk, run in records.sequences(rows, size):
        data = [images[row.image].read_bytes() for row in run]
        columns = records.columns(run)
        if size == 1:
          columns = {name: column[0] for name, column in columns.items()}
          example = {'video': video, 'image': data[0], **columns}
        else:
          example = {'video': video, 'chunk': chunk, 'image': data, **columns}
        yield f'{video}/{chunk:06d}', example
        bar.update(len(run))
