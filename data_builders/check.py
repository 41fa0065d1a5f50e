r"""Counts a source folder and compares it with the published counts.

  python -m data_builders.check s_aff_wild2 --source_dir=/path/to/the/release
  python -m data_builders.check face_images --config=celeba --source_dir=...

Prints a table per split, marks the counts that differ from a complete copy and
lists bad lines and missing images. The exit status is 1 if there is anything
of either kind; --subset expects other counts and minds only the problems.
"""

from collections.abc import Callable, Mapping
import functools
import os

from absl import flags

from abaw_jax.core import cli
from abaw_jax.data_builders import choices, problems


def _s_aff_wild2() -> Callable:
  from abaw_jax.data_builders.s_aff_wild2 import counts

  return counts.report


def _affectnet() -> Callable:
  from abaw_jax.data_builders.affectnet import affectnet_dataset_builder, counts

  return _labelled(affectnet_dataset_builder.Builder, counts.PUBLISHED)


def _fer_plus() -> Callable:
  from abaw_jax.data_builders.fer_plus import counts, fer_plus_dataset_builder

  return _labelled(fer_plus_dataset_builder.Builder, counts.PUBLISHED)


def _raf_db() -> Callable:
  from abaw_jax.data_builders.raf_db import counts, raf_db_dataset_builder

  return _labelled(raf_db_dataset_builder.Builder, counts.PUBLISHED)


def _emotionet() -> Callable:
  from abaw_jax.data_builders.emotionet import emotionet_dataset_builder

  return _labelled(emotionet_dataset_builder.Builder, {})


def _labelled(builder_class, published: Mapping[str, Mapping]) -> Callable:
  from abaw_jax.data_builders.labelled import counts

  return functools.partial(counts.report, builder_class, published)


def _face_images() -> Callable:
  from abaw_jax.data_builders.face_images import counts

  return counts.count


def _identities() -> Callable:
  from abaw_jax.data_builders.face_images import counts
  from abaw_jax.data_builders.face_images.sources import layouts

  return functools.partial(counts.count, layouts=layouts.OF_PEOPLE)


# What returns the report of a source folder (source_dir, decode=, ...),
# behind functions for a quick --help.
DATASETS = {
    's_aff_wild2': _s_aff_wild2,
    'affectnet': _affectnet,
    'fer_plus': _fer_plus,
    'raf_db': _raf_db,
    'emotionet': _emotionet,
    'face_images': _face_images,
    'identities': _identities,
}
# What it takes beside the arguments of `check` that it has a name for.
OPTIONS = {
    's_aff_wild2': (),
    'affectnet': ('config',),
    'fer_plus': (),
    'raf_db': (),
    'emotionet': (),
    'face_images': ('config',),
    'identities': ('config',),
}


def check(
    name: str,
    *,
    source_dir: str | os.PathLike[str],
    subset: bool = False,
    decode: bool = False,
    **options: str,
) -> bool:
  """Returns True if the folder is in order, having printed its counts.

  Args:
    name: a key of DATASETS.
    source_dir: folder of the release; only read.
    subset: other counts than the published ones are expected.
    decode: also decode every image, not only look whether it is there.
    **options: OPTIONS[name] say which.
  """
  make = choices.choose('dataset', name, DATASETS)
  choices.check_options(name, options, OPTIONS[name])
  report = make()(source_dir, decode=decode, **options)
  differences = report.show()
  for note in report.notes:
    print(note)
  expected = ' (expected in a subset)' if subset else ''
  print(f'counts that differ: {differences}{expected}')
  print(f'problems: {len(report.problems)}')
  if report.problems:
    print(problems.listing(report.problems))
  return not report.problems and (subset or not differences)


def _define_flags() -> None:
  """Defines the flags; not at import, where other commands have theirs."""
  flags.DEFINE_string(
      'source_dir', None, 'Folder of the release; only read.', required=True
  )
  flags.DEFINE_string('config', None, 'The layout of the source.')
  flags.DEFINE_bool('subset', False, 'Accept other counts than the published.')
  flags.DEFINE_bool('decode', False, 'Also decode every image.')


def main(dataset: str) -> int:
  """Returns 0 if the folder is in order, 1 if not."""
  args = flags.FLAGS
  options = {} if args.config is None else {'config': args.config}
  in_order = check(
      dataset,
      source_dir=args.source_dir,
      subset=args.subset,
      decode=args.decode,
      **options,
  )
  return 0 if in_order else 1


if __name__ == '__main__':
  _define_flags()
  cli.run(main, __doc__, arguments={'dataset': DATASETS})
