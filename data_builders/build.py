r"""Builds a dataset from its source folder into ArrayRecord shards.

  abaw-jax build s_aff_wild2 \
      --source_dir=/path/to/the/release --data_dir=data
  abaw-jax build face_images --config=folders \
      --source_dir=/path/to/images --data_dir=data
  abaw-jax build affectnet --config=manual_2017 \
      --source_dir=/path/to/the/release --data_dir=data
  abaw-jax build labelled_folder --source_dir=/path/to/labels --data_dir=data

The dataset is written to <data_dir>/<dataset>/<config>/<version>. An existing
dataset is not built again. Bad lines and images of the source, images in two
splits and images with two labels are listed by file and line; --on_error=skip
builds the rest and stores that list in the metadata of the dataset. An interrupted build of face_images or identities
continues where it stopped.
"""

from collections.abc import Sequence
import functools
import os
import pathlib
import signal
import sys
from typing import Any

from absl import flags

from abaw_jax.core import choices, cli, errors, files, storage_errors
from abaw_jax.data_builders import bucket_build, datasets, problems

ON_ERROR = ('fail', 'skip')
# Flags that only some datasets have: how to define the flag, its help and its
# limits. `OPTIONS` and `WRITER_OPTIONS` of a builder class list its options. The
# flags have no default here: the build function has the defaults.
_OPTIONS = {
    'max_videos': (
        flags.DEFINE_integer,
        's_aff_wild2: use only the first N videos of each split.',
        {'lower_bound': 1},
    ),
    'max_examples': (
        flags.DEFINE_integer,
        'Use only the first N faces of each split (identities: of the source).',
        {'lower_bound': 1},
    ),
    'face_size': (
        flags.DEFINE_integer,
        'Single faces: store the centre square as a JPEG with sides of N pixels;'
        ' the default stores the files unchanged.',
        {'lower_bound': 1, 'upper_bound': 4096},
    ),
    'validation_share': (
        flags.DEFINE_float,
        'Fraction to hold out for validation if the source has no validation'
        ' split (default 0.01; emotionet, labelled_folder: 0.1).',
        {'lower_bound': 0.0, 'upper_bound': 0.99},
    ),
    'hold_out': (
        flags.DEFINE_enum,
        'identities: hold out all images of some people (default), or some'
        ' images of each person.',
        {'enum_values': ('people', 'images')},  # the keys of holdout.KINDS
    ),
    'images_per_shard': (
        flags.DEFINE_integer,
        'face_images, identities: images in one file (default 4096).',
        {'lower_bound': 1},
    ),
    'drop_duplicates': (
        flags.DEFINE_bool,
        'face_images, identities: keep only the first of identical files.',
        {},
    ),
    'num_workers': (
        flags.DEFINE_integer,
        'face_images, identities: local processes (default: one per core).',
        {'lower_bound': 1},
    ),
    'beam_runner': (
        flags.DEFINE_string,
        'face_images, identities: an Apache Beam runner, such as DirectRunner.',
        {},
    ),
    'beam_options': (
        flags.DEFINE_string,
        'Options of the Beam runner: a=b,c=d.',
        {},
    ),
}


def build(
    name: str,
    *,
    source_dir: str | os.PathLike[str],
    data_dir: str | os.PathLike[str],
    configs: Sequence[str] = (),
    on_error: str = 'fail',
    overwrite: bool = False,
    **options: Any,
) -> None:
  """Builds the configs of a dataset that do not exist yet.

  Args:
    name: a key of datasets.DATASETS.
    source_dir: folder of the release; only read.
    data_dir: folder of all built datasets.
    configs: names of its configs.
    on_error: one of ON_ERROR: what to do if there are bad lines or images.
    overwrite: replace an existing dataset.
    **options: the options of this dataset (OPTIONS and WRITER_OPTIONS of its
      builder class).

  Raises:
    InputError: the source or an argument is wrong, or the dataset exists with
      other options.
  """
  dataset = choices.pick(datasets.DATASETS, name, 'dataset')
  choices.pick(dict.fromkeys(ON_ERROR), on_error, '--on_error')
  builder_class = dataset.load()
  _check_options(name, options, builder_class)
  data = files.path(data_dir)
  source_dir = files.local_path(source_dir, '--source_dir')
  build_in = functools.partial(
      _build_in,
      builder_class,
      source_dir=source_dir,
      configs=configs,
      on_error=on_error,
      overwrite=overwrite,
      **options,
  )
  with (
      storage_errors.writing(data, 'the dataset'),
      problems.reading(source_dir),
  ):
    if files.is_bucket(data):
      bucket_build.build(name, data, build_in)
      return
    if data.is_file():
      raise errors.InputError(f'--data_dir={data_dir} is a file; name a folder')
    build_in(data)


def _build_in(builder_class: Any, data_dir: pathlib.Path, **options: Any):
  builder_class.build(data_dir=data_dir, **options)


def _check_options(
    name: str, options: dict[str, Any], builder_class: Any
) -> None:
  """Raises an InputError if the dataset does not have an option."""
  known = (*builder_class.OPTIONS, *builder_class.WRITER_OPTIONS)
  for option in options:
    if option not in known:
      raise errors.InputError(
          f'--{option} does not apply to {name}; its options are'
          f' {", ".join(f"--{option}" for option in known)}'
      )


def _define_flags() -> None:
  """Defines the flags; called late, because tests import this module too."""
  flags.DEFINE_string(
      'source_dir', None, 'Folder of the release; only read.', required=True
  )
  flags.DEFINE_string('data_dir', 'data', 'Folder of all built datasets.')
  flags.DEFINE_list(
      'config',
      [],
      'Configs to build; for most datasets the layout of the source.',
  )
  flags.DEFINE_enum(
      'on_error',
      'fail',
      ON_ERROR,
      'What to do if there are bad lines or images.',
  )
  flags.DEFINE_bool('overwrite', False, 'Replace an existing dataset.')
  for name, (define, help_text, limits) in _OPTIONS.items():
    define(name, default=None, help=help_text, **limits)


def _beam_options(text: str) -> dict[str, str]:
  """Returns the options in `a=b,c=d` by name."""
  options = {}
  for item in text.split(','):
    name, equals, value = item.partition('=')
    if not name or not equals:
      raise errors.InputError(
          f'--beam_options={text}: {item!r} does not have the form name=value'
      )
    options[name.lstrip('-')] = value
  return options


def main(dataset: str) -> None:
  """Builds the dataset."""
  # SIGTERM ends the build like Ctrl-C: half-written files are removed.
  signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
  args = flags.FLAGS
  options = {n: args[n].value for n in _OPTIONS if args[n].value is not None}
  if 'beam_options' in options:
    options['beam_options'] = _beam_options(options['beam_options'])
  build(
      dataset,
      source_dir=args.source_dir,
      data_dir=args.data_dir,
      configs=args.config,
      on_error=args.on_error,
      overwrite=args.overwrite,
      **options,
  )


if __name__ == '__main__':
  _define_flags()
  cli.run(main, __doc__, arguments={'dataset': datasets.DATASETS})
