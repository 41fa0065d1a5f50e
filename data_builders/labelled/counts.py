"""Counts the rows, labels and images of a source of labelled faces."""

import collections
from collections.abc import Mapping
import os
from typing import Any

import numpy as np

from abaw_jax.core import labels
from abaw_jax.data_builders import arguments
from abaw_jax.data_builders import report as report_lib
from abaw_jax.data_builders.labelled import corpus as corpus_lib
from abaw_jax.data_builders.labelled import listings
from abaw_jax.data_builders.labelled import rows as rows_lib

# Split of the source -> field -> count.
Counts = Mapping[str, Mapping[str, int]]


def report(
    builder_class: Any,
    source_dir: str | os.PathLike[str],
    *,
    config: str | None = None,
    decode: bool = False,
) -> report_lib.Report:
  """Returns the counts of a source by its own splits, with the published ones.

  Args:
    builder_class: subclass of builder.Builder.
    source_dir: folder of the release; only read.
    config: layout of the source; None means the default config.
    decode: decode every image and check that the faces lie inside.

  Raises:
    InputError: a list is missing, or there is no such layout.
  """
  name = config or builder_class.DEFAULT_BUILDER_CONFIG_NAME
  layout = arguments.layout(name, builder_class.LAYOUTS)
  listing = layout.read(arguments.source_folder(source_dir))
  published = builder_class.PUBLISHED.get(name, {})
  return tabulate(listing, listing.rows, published, decode=decode)


def tabulate(
    listing: listings.Listing,
    rows_by_split: Mapping[str, list[rows_lib.Row]],
    published: Counts,
    *,
    decode: bool,
) -> report_lib.Report:
  """Returns the counts of rows by split, and the problems of all."""
  table, problems, present = {}, list(listing.problems), {}
  for split, rows in rows_by_split.items():
    good, bad = corpus_lib.verify(rows, decode=decode, title=split)
    problems += bad
    present[split] = good
    found = {
        'rows': len(rows)
        + listing.left_out.get(split, collections.Counter()).total(),
        **count(rows),
        'images on disk': len({row.name for row in good}),
    }
    known = published.get(split, {})
    fields = [*found, *(name for name in known if name not in found)]
    table[split] = {f: (found.get(f, 0), known.get(f)) for f in fields}
  _, conflicts, notes = corpus_lib.consistent(present)
  return report_lib.Report(
      table,
      corpus_lib.notes(listing) + notes,
      corpus_lib.sorted_problems(problems + conflicts),
  )


def count(rows: list[rows_lib.Row]) -> dict[str, int]:
  """Returns the number of faces with each label, without labels that no face has."""
  au = np.array([row.au for row in rows]).reshape(-1, labels.NUM_AUS)
  found = {
      'faces': len(rows),
      'VA valid': sum(row.va for row in rows),
      'EXPR valid': sum(row.expr for row in rows),
  }
  for i, name in enumerate(labels.EXPRESSIONS):
    found[name] = sum(row.expression == i for row in rows)
  for i, name in enumerate(labels.AU_NAMES):
    found[f'{name} known'] = int((au[:, i] != labels.AU_MISSING).sum())
    found[f'{name} present'] = int((au[:, i] == 1).sum())
  return {name: n for name, n in found.items() if n or name == 'faces'}
