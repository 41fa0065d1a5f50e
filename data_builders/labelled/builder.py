"""What the builders of labelled single faces share: fields, reading, writing."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent import futures
import itertools
import os
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
import tqdm

from abaw_jax.core import errors, labels
from abaw_jax.data_builders import choices, problems
from abaw_jax.data_builders.labelled import corpus as corpus_lib
from abaw_jax.data_builders.labelled import listings, pixels
from abaw_jax.data_builders.labelled import rows as rows_lib

# Name: (dtype, shape), as in the config `frames` of s_aff_wild2 and `label`.
_COLUMNS = {
    'frame_id': (np.int32, ()),
    'row': (np.int32, ()),
    'label': (np.int32, ()),
    'valence': (np.float32, ()),
    'arousal': (np.float32, ()),
    'expression': (np.int32, ()),
    'au': (np.int8, (labels.NUM_AUS,)),
    'va': (np.bool_, ()),
    'expr': (np.bool_, ()),
    'au_mask': (np.bool_, (labels.NUM_AUS,)),
}
_AT_ONCE = 256  # images that are encoded side by side


def configs(
    layouts: Mapping[str, listings.Layout],
) -> list[tfds.core.BuilderConfig]:
  """Returns one config for each layout."""
  return [
      tfds.core.BuilderConfig(name=name, description=layout.description)
      for name, layout in layouts.items()
  ]


class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
  """Writes images untouched, or faces cut out of them, beside their labels."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'First release.'}
  MANUAL_DOWNLOAD_INSTRUCTIONS = 'See README.md for how to get the data.'
  # No downloads, no checksums; see s_aff_wild2_dataset_builder.
  url_infos = None
  # What a dataset is built with; another value makes another dataset.
  OPTIONS = {'max_examples': None, 'face_size': 0}
  # By config.
  LAYOUTS: Mapping[str, listings.Layout] = {}
  # How many classes the votes of a row are about; 0 if rows have none.
  NUM_VOTES = 0
  # What to write; if None it is read from the manual_dir of TFDS.
  corpus: corpus_lib.Corpus | None = None

  @classmethod
  def read(
      cls,
      source_dir: str | os.PathLike[str],
      configs: Sequence[str],
      **options: Any,
  ) -> corpus_lib.Corpus:
    """Returns the verified corpus below `source_dir`, in its one layout."""
    if len(configs) != 1:
      raise errors.InputError(
          f'{cls.name}: --config={",".join(configs)} are different splits or'
          ' layouts; build them one by one'
      )
    return corpus_lib.read(source_dir, cls.LAYOUTS[configs[0]], **options)

  def _info(self) -> tfds.core.DatasetInfo:
    votes = {'votes': (np.int32, (self.NUM_VOTES,))} if self.NUM_VOTES else {}
    columns = {
        name: tfds.features.Tensor(shape=shape, dtype=dtype)
        for name, (dtype, shape) in (_COLUMNS | votes).items()
    }
    return self.dataset_info_from_configs(
        features=tfds.features.FeaturesDict(
            {
                'video': tfds.features.Text(),
                'image': tfds.features.Image(),
                **columns,
            }
        ),
        metadata=tfds.core.MetadataDict(),
    )

  def _split_generators(self, dl_manager: tfds.download.DownloadManager):
    corpus = self.corpus
    if corpus is None:
      source = dl_manager.manual_dir
      corpus = self.read(source, [self.builder_config.name], **self.OPTIONS)
      problems.fail_on(corpus.problems, source)
    self.info.metadata.clear()
    self.info.metadata.update(corpus.metadata())
    return {
        split: self._generate_examples(corpus, split) for split in corpus.rows
    }

  def _generate_examples(
      self, corpus: corpus_lib.Corpus, split: str
  ) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the examples of one split, keyed by their row."""
    size = corpus.options['face_size']
    rows = iter(corpus.usable(split))
    with (
        futures.ThreadPoolExecutor() as pool,
        tqdm.tqdm(
            desc=f'Writing {split}',
            total=len(corpus.usable(split)),
            unit=' faces',
            leave=False,
            disable=None,
        ) as bar,
    ):
      while chunk := list(itertools.islice(rows, _AT_ONCE)):
        images = pool.map(lambda row: pixels.stored(row, size), chunk)
        for row, image in zip(chunk, images, strict=True):
          yield f'{row.row:09d}', {'image': image, **self._columns(row)}
          bar.update()

  def _columns(self, row: rows_lib.Row) -> dict[str, Any]:
    """Returns the fields of a record beside its image."""
    columns = {
        'video': os.fsencode(row.name),
        'frame_id': row.face,
        'row': row.row,
        'label': row.label,
        'valence': row.valence,
        'arousal': row.arousal,
        'expression': row.expression,
        'au': np.array(row.au, np.int8),
        'va': row.va,
        'expr': row.expr,
        'au_mask': np.array(row.au_mask),
    }
    if self.NUM_VOTES:
      columns['votes'] = np.array(row.votes, np.int32)
    return columns


def layout(builder_class: type[Builder], config: str | None) -> listings.Layout:
  """Returns the layout of a config; raises InputError if there is none."""
  if config is None:
    raise errors.InputError(
        f'{builder_class.name} has several layouts; name it by one --config:'
        f' {", ".join(builder_class.LAYOUTS)}'
    )
  return choices.choose('--config', config, builder_class.LAYOUTS)
