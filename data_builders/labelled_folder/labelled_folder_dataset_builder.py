"""Your own labels as a TFDS dataset: single frames, and sequences of videos."""

from collections.abc import Iterator, Sequence
from concurrent import futures
import dataclasses
import os
from typing import Any

from etils import epath
import numpy as np
import tensorflow_datasets as tfds

from abaw_jax.core import errors, labels, progress_bars
from abaw_jax.data_builders import in_memory_build, schema
from abaw_jax.data_builders import report as report_lib
from abaw_jax.data_builders.labelled import builder, counts, pixels
from abaw_jax.data_builders.labelled import corpus as corpus_lib
from abaw_jax.data_builders.labelled_folder import sources, splits
from abaw_jax.data_builders.s_aff_wild2 import records

_SEQUENCES = 'sequences'
_FRAMES_PER_EXAMPLE = 64


class Builder(builder.Builder):
  """Class folders, a table, or the uni-task files of Aff-Wild2."""

  # TFDS would infer a folder that does not exist in a checkout.
  pkg_dir_path = epath.Path(__file__).parent

  BUILDER_CONFIGS = [
      tfds.core.BuilderConfig(name='frames', description='One image.'),
      tfds.core.BuilderConfig(
          name=_SEQUENCES,
          description='Up to 64 frames of one video, in the order of time.',
      ),
  ]
  DEFAULT_BUILDER_CONFIG_NAME = 'frames'
  OPTIONS = {**builder.Builder.OPTIONS, 'validation_share': None}
  HAS_PEOPLE = True

  @classmethod
  def build(
      cls,
      *,
      source_dir: str | os.PathLike[str],
      configs: Sequence[str] = (),
      **kwargs: Any,
  ) -> None:
    """Builds `frames`, and `sequences` if rows have a video and a frame."""
    if not configs:
      share = kwargs.get('validation_share')
      videos = sources.read(source_dir, share).has_videos
      configs = ('frames', _SEQUENCES) if videos else ('frames',)
    in_memory_build.build(cls, source_dir=source_dir, configs=configs, **kwargs)

  @classmethod
  def read(
      cls,
      source_dir: str | os.PathLike[str],
      configs: Sequence[str],
      *,
      validation_share: float | None,
      **options: Any,
  ) -> corpus_lib.Corpus:
    """Returns the verified corpus in `source_dir`, the same for all configs."""
    source = sources.read(source_dir, validation_share)
    if _SEQUENCES in configs and not source.has_videos:
      raise errors.InputError(
          f'{source_dir}: sequences need the columns video and frame; build'
          ' --config=frames'
      )
    corpus = corpus_lib.read(source.folder, source.layout, **options)
    corpus.options['validation_share'] = validation_share
    return corpus

  @classmethod
  def report(
      cls, source_dir: str | os.PathLike[str], *, decode: bool = False
  ) -> report_lib.Report:
    """Returns the counts of the splits that a build would write."""
    source = sources.read(source_dir, None)
    rows = corpus_lib.divide(source.listing, source.layout, None)
    report = counts.tabulate(source.listing, rows, {}, decode=decode)
    for split, members in rows.items():
      for noun, found in (
          ('videos', {row.video for row in members if row.video}),
          ('people', {row.person for row in members if row.person}),
      ):
        if found:
          report.counts[split][noun] = (len(found), None)
    if source.layout.validation_share:
      report.notes.append(splits.held_out_note(rows))
    return report

  def _split_generators(self, dl_manager: tfds.download.DownloadManager):
    if self.builder_config.name == _SEQUENCES and self.corpus is not None:
      self.corpus = _of_videos(self.corpus)
    return super()._split_generators(dl_manager)

  def _info(self) -> tfds.core.DatasetInfo:
    if self.builder_config.name != _SEQUENCES:
      return super()._info()
    features = {
        'video': tfds.features.Text(),
        'chunk': np.int32,
        # TFDS would decode a Sequence of Images on every read, so this is bytes.
        'image': tfds.features.Sequence(tfds.features.Text()),
        **schema.tensors(labels.FRAME_COLUMNS, (None,)),
    }
    return self.dataset_info_from_configs(
        features=tfds.features.FeaturesDict(features),
        metadata=tfds.core.MetadataDict(),
    )

  def _generate_examples(
      self, corpus: corpus_lib.Corpus, split: str
  ) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the examples of one split."""
    if self.builder_config.name != _SEQUENCES:
      yield from super()._generate_examples(corpus, split)
      return
    size = corpus.options['face_size']
    rows = corpus.usable(split)
    with (
        futures.ThreadPoolExecutor() as pool,
        progress_bars.make(
            desc=f'Writing {split}', total=len(rows), unit='frames'
        ) as bar,
    ):
      for video, chunk, run in records.sequences(rows, _FRAMES_PER_EXAMPLE):
        images = list(pool.map(lambda row: pixels.stored(row, size), run))
        columns = [self._columns(row) for row in run]
        yield f'{video}/{chunk:06d}', {
            'video': os.fsencode(video),
            'chunk': chunk,
            'image': images,
            **{
                name: np.array([column[name] for column in columns], dtype)
                for name, (dtype, _) in labels.FRAME_COLUMNS.items()
            },
        }
        bar.update(len(run))


def _of_videos(corpus: corpus_lib.Corpus) -> corpus_lib.Corpus:
  """Returns the rows that have a video and a frame; drops splits without any."""
  good = {
      split: [row for row in rows if row.frame is not None]
      for split, rows in corpus.good.items()
  }
  good = {split: rows for split, rows in good.items() if rows}
  left_out = sum(map(len, corpus.good.values())) - sum(map(len, good.values()))
  note = f'{left_out:,} images without video are only in frames'
  return dataclasses.replace(
      corpus,
      rows=good,
      good=good,
      notes=corpus.notes + [note] * bool(left_out),
  )
