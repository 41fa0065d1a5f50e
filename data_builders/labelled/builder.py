"""Base class of the builders of labelled single faces."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent import futures
import itertools
import os
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from abaw_jax.core import errors, labels, progress_bars
from abaw_jax.data_builders import in_memory_build, schema
from abaw_jax.data_builders.labelled import corpus as corpus_lib
from abaw_jax.data_builders.labelled import counts, listings, pixels
from abaw_jax.data_builders.labelled import rows as rows_lib

_COLUMNS = {**labels.FRAME_COLUMNS, 'label': (np.int32, ())}
_AT_ONCE = 256  # images that are encoded in parallel


class Builder(in_memory_build.Builder, skip_registration=True):
  """Writes images, or the faces cropped from them, with their labels."""

  OPTIONS = {'max_examples': None, 'face_size': 0}
  # Source layouts by config.
  LAYOUTS: Mapping[str, listings.Layout] = {}
  # Counts of a complete copy by config.
  PUBLISHED: Mapping[str, counts.Counts] = {}
  # Number of classes that annotators vote for; 0 if there are no votes.
  NUM_VOTES = 0
  # Whether records have the name of their person.
  HAS_PEOPLE = False

  report = classmethod(counts.report)

  @classmethod
  def read(
      cls,
      source_dir: str | os.PathLike[str],
      configs: Sequence[str],
      **options: Any,
  ) -> corpus_lib.Corpus:
    """Returns the verified corpus in `source_dir`; takes exactly one config."""
    if len(configs) != 1:
      raise errors.InputError(
          f'{cls.name}: --config={",".join(configs)} have different splits or'
          ' layouts; build one after the other'
      )
    return corpus_lib.read(source_dir, cls.LAYOUTS[configs[0]], **options)

  def _info(self) -> tfds.core.DatasetInfo:
    votes = {'votes': (np.int32, (self.NUM_VOTES,))} if self.NUM_VOTES else {}
    people = {'person': tfds.features.Text()} if self.HAS_PEOPLE else {}
    return self.dataset_info_from_configs(
        features=tfds.features.FeaturesDict(
            {
                'video': tfds.features.Text(),
                'image': tfds.features.Image(),
                **people,
                **schema.tensors(_COLUMNS | votes),
            }
        ),
        metadata=tfds.core.MetadataDict(),
    )

  def _generate_examples(
      self, corpus: corpus_lib.Corpus, split: str
  ) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the examples of one split; the key is the row."""
    size = corpus.options['face_size']
    rows = iter(corpus.usable(split))
    with (
        futures.ThreadPoolExecutor() as pool,
        progress_bars.make(
            desc=f'Writing {split}',
            total=len(corpus.usable(split)),
            unit='faces',
        ) as bar,
    ):
      while chunk := list(itertools.islice(rows, _AT_ONCE)):
        images = pool.map(lambda row: pixels.stored(row, size), chunk)
        for row, image in zip(chunk, images, strict=True):
          yield f'{row.row:09d}', {'image': image, **self._columns(row)}
          bar.update()

  def _columns(self, row: rows_lib.Row) -> dict[str, Any]:
    """Returns the fields of a record, except its image."""
    columns = {
        'video': os.fsencode(row.video or row.name),
        'frame_id': row.frame_id,
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
    if self.HAS_PEOPLE:
      columns['person'] = os.fsencode(row.person)
    if self.NUM_VOTES:
      columns['votes'] = np.array(row.votes, np.int32)
    return columns
