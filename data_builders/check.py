r"""Counts a source folder and compares it with the published counts.

  python -m data_builders.check s_aff_wild2 --source_dir=/path/to/the/release

Prints a table per split, marks the counts that differ from a complete copy and
lists bad lines and missing images. The exit status is 1 if there is anything
of either kind; --subset expects other counts and minds only the problems.
"""

import os

from absl import flags

from abaw_jax import cli, errors
from data_builders import problems


def _s_aff_wild2():
  from data_builders.s_aff_wild2 import corpus, counts

  return corpus.read, counts.count, counts.PUBLISHED


# How to read a source folder (source_dir, decode=), how to count a split of
# it, and the published counts by split; behind functions for a quick --help.
DATASETS = {
    's_aff_wild2': _s_aff_wild2,
}


def check(
    name: str,
    *,
    source_dir: str | os.PathLike[str],
    subset: bool = False,
    decode: bool = False,
) -> bool:
  """Returns True if the folder is in order, having printed its counts.

  Args:
    name: a key of DATASETS.
    source_dir: folder of the release; only read.
    subset: other counts than the published ones are expected.
    decode: also decode every image, not only look whether it is there.
  """
  if name not in DATASETS:
    raise errors.InputError(
        f'dataset {name!r} is unknown; choose from {", ".join(DATASETS)}'
    )
  read, count, published = DATASETS[name]()
  corpus = read(source_dir, decode=decode)
  differences = 0
  for split, numbers in published.items():
    found = count(corpus, split)
    print(f'{split:<20}{"found":>10}{"published":>12}')
    for field, number in numbers.items():
      differs = found[field] != number
      differences += differs
      mark = '  differs' if differs else ''
      print(f'  {field:<18}{found[field]:>10,}{number:>12,}{mark}')
  for note in corpus.notes:
    print(note)
  expected = ' (expected in a subset)' if subset else ''
  print(f'counts that differ: {differences}{expected}')
  print(f'problems: {len(corpus.problems)}')
  if corpus.problems:
    print(problems.listing(corpus.problems))
  return not corpus.problems and (subset or not differences)


def _define_flags() -> None:
  """Defines the flags; not at import, where other commands have theirs."""
  flags.DEFINE_string(
      'source_dir', None, 'Folder of the release; only read.', required=True
  )
  flags.DEFINE_bool('subset', False, 'Accept other counts than the published.')
  flags.DEFINE_bool('decode', False, 'Also decode every image.')


def main(dataset: str) -> int:
  """Returns 0 if the folder is in order, 1 if not."""
  args = flags.FLAGS
  in_order = check(
      dataset,
      source_dir=args.source_dir,
      subset=args.subset,
      decode=args.decode,
  )
  return 0 if in_order else 1


if __name__ == '__main__':
  _define_flags()
  cli.run(main, __doc__, arguments={'dataset': DATASETS})
