r"""Counts the files of a source folder and compares them with published counts.

  abaw-jax check s_aff_wild2 --source_dir=/path/to/the/release
  abaw-jax check face_images --config=celeba --source_dir=...

Prints a table for each split and marks the counts that differ from a complete
copy. Lists bad lines, missing images, images in two splits and images with two
labels. Notes repeats and identical files; images without labels must be read for
that, with --decode. The exit status is 1 if a count differs or if there is a
problem. With --subset, only problems matter.
"""

import os

from absl import flags

from abaw_jax.core import choices, cli, errors, files
from abaw_jax.data_builders import datasets, problems


def check(
    name: str,
    *,
    source_dir: str | os.PathLike[str],
    subset: bool = False,
    decode: bool = False,
    config: str | None = None,
) -> bool:
  """Prints the counts of a source; returns True if everything is correct.

  Args:
    name: a key of datasets.DATASETS.
    source_dir: folder of the release; only read.
    subset: accept counts that differ from the published ones.
    decode: decode every image; otherwise an image only has to exist.
    config: layout of the source, if the dataset has several.
  """
  builder_class = choices.pick(datasets.DATASETS, name, 'dataset').load()
  # A dataset whose source can have several layouts has no default config.
  if config and builder_class.DEFAULT_BUILDER_CONFIG_NAME:
    raise errors.InputError(
        f'--config does not apply to {name}, whose source has one layout'
    )
  options = {'config': config} if config else {}
  with problems.reading(source_dir):
    report = builder_class.report(source_dir, decode=decode, **options)
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
  """Defines the flags; called late, because tests import this module too."""
  flags.DEFINE_string(
      'source_dir', None, 'Folder of the release; only read.', required=True
  )
  flags.DEFINE_string('config', None, 'Layout of the source.')
  flags.DEFINE_bool(
      'subset', False, 'Accept counts that differ from the published ones.'
  )
  flags.DEFINE_bool('decode', False, 'Decode every image.')


def main(dataset: str) -> int:
  """Returns the exit status: 0 if everything is correct, else 1."""
  args = flags.FLAGS
  correct = check(
      dataset,
      source_dir=files.local_path(args.source_dir, '--source_dir'),
      subset=args.subset,
      decode=args.decode,
      config=args.config,
  )
  return 0 if correct else 1


if __name__ == '__main__':
  _define_flags()
  cli.run(main, __doc__, arguments={'dataset': datasets.DATASETS})
