"""Counts the rows, labels and images of a copy of s-Aff-Wild2."""

import os

from abaw_jax.data_builders import report as report_lib
from abaw_jax.data_builders.s_aff_wild2 import corpus as corpus_lib

# Counts by participants, on the release of 2022, 2024 and 2026.
PUBLISHED = {
    'train': {
        'rows': 142_382,
        'videos': 257,
        'repeated rows': 951,
        'rows with a label': 142_333,
        'VA valid': 103_917,
        'EXPR valid': 90_645,
        'AU valid': 103_316,
        'images on disk': 141_431,
    },
    'validation': {
        'rows': 26_876,
        'videos': 50,
        'repeated rows': 210,
        'rows with a label': 26_876,
        'VA valid': 26_876,
        'EXPR valid': 15_440,
        'AU valid': 26_876,
        'images on disk': 26_666,
    },
    'test': {
        'rows': 51_159,
        'videos': 82,
        'repeated rows': 718,
        'rows with a label': 0,
        'VA valid': 0,
        'EXPR valid': 0,
        'AU valid': 0,
        'images on disk': 50_441,
    },
}


def count(corpus: corpus_lib.Corpus, split: str) -> dict[str, int]:
  """Returns the fields of `PUBLISHED[split]`; all are 0 if there is no split.

  A row is repeated if an earlier row has the same image.
  """
  rows = corpus.rows.get(split, [])
  return {
      'rows': len(rows),
      'videos': len({row.video for row in rows}),
      'repeated rows': len(rows) - len({row.image for row in rows}),
      'rows with a label': sum(
          row.va or row.expr or row.au_mask for row in rows
      ),
      'VA valid': sum(row.va for row in rows),
      'EXPR valid': sum(row.expr for row in rows),
      'AU valid': sum(row.au_mask for row in rows),
      'images on disk': len(corpus.images.get(split, {})),
  }


def report(
    source_dir: str | os.PathLike[str], *, decode: bool = False
) -> report_lib.Report:
  """Returns the counts of a source folder and PUBLISHED; see corpus.read."""
  corpus = corpus_lib.read(source_dir, decode=decode)
  counts = {}
  for split, published in PUBLISHED.items():
    found = count(corpus, split)
    counts[split] = {f: (found[f], number) for f, number in published.items()}
  return report_lib.Report(counts, corpus.notes, corpus.problems)
