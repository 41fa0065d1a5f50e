r"""Builds a dataset from its source folder into ArrayRecord shards.

  python -m data_builders.build s_aff_wild2 \
      --source_dir=/path/to/the/release --data_dir=data
  python -m data_builders.build face_images --config=folders \
      --source_dir=/path/to/images --data_dir=data
  python -m data_builders.build affectnet --config=manual_2017 \
      --source_dir=/path/to/the/release --data_dir=data

The result lies in <data_dir>/<dataset>/<config>/<version>; a dataset that is
already there is left alone. Bad lines and images of the source are listed by
file and line; --on_error=skip builds the rest and keeps that list in the
dataset's metadata. An interrupted build of face_images or identities goes on
where it was.
"""

from collections.abc import Callable, Sequence
import functools
import os
import pathlib
import signal
import sys
from typing import Any

from absl import flags

from abaw_jax.core import cli, errors
from abaw_jax.data_builders import choices


def _s_aff_wild2() -> Callable[..., None]:
  from abaw_jax.data_builders import in_memory
  from abaw_jax.data_builders.s_aff_wild2 import s_aff_wild2_dataset_builder

  return functools.partial(in_memory.build, s_aff_wild2_dataset_builder.Builder)


def _affectnet() -> Callable[..., None]:
  from abaw_jax.data_builders import in_memory
  from abaw_jax.data_builders.affectnet import affectnet_dataset_builder

  return functools.partial(in_memory.build, affectnet_dataset_builder.Builder)


def _fer_plus() -> Callable[..., None]:
  from abaw_jax.data_builders import in_memory
  from abaw_jax.data_builders.fer_plus import fer_plus_dataset_builder

  return functools.partial(in_memory.build, fer_plus_dataset_builder.Builder)


def _raf_db() -> Callable[..., None]:
  from abaw_jax.data_builders import in_memory
  from abaw_jax.data_builders.raf_db import raf_db_dataset_builder

  return functools.partial(in_memory.build, raf_db_dataset_builder.Builder)


def _emotionet() -> Callable[..., None]:
  from abaw_jax.data_builders import in_memory
  from abaw_jax.data_builders.emotionet import emotionet_dataset_builder

  return functools.partial(in_memory.build, emotionet_dataset_builder.Builder)


def _face_images() -> Callable[..., None]:
  from abaw_jax.data_builders.face_images import (
      building,
      face_images_dataset_builder,
  )

  return functools.partial(building.build, face_images_dataset_builder.Builder)


def _identities() -> Callable[..., None]:
  from abaw_jax.data_builders.face_images import building
  from abaw_jax.data_builders.identities import identities_dataset_builder

  return functools.partial(building.build, identities_dataset_builder.Builder)


# What builds a dataset, behind functions so that --help stays quick.
DATASETS = {
    's_aff_wild2': _s_aff_wild2,
    'affectnet': _affectnet,
    'fer_plus': _fer_plus,
    'raf_db': _raf_db,
    'emotionet': _emotionet,
    'face_images': _face_images,
    'identities': _identities,
}
_SHARDED = (
    'face_size',
    'validation_share',
    'images_per_shard',
    'drop_duplicates',
    'num_workers',
    'beam_runner',
    'beam_options',
)
# What it takes beside the arguments of `build` that it has a name for.
OPTIONS = {
    's_aff_wild2': ('max_videos',),
    'affectnet': ('max_examples', 'face_size'),
    'fer_plus': ('max_examples', 'face_size'),
    'raf_db': ('max_examples', 'face_size'),
    'emotionet': ('max_examples', 'face_size', 'validation_share'),
    'face_images': _SHARDED,
    'identities': ('max_examples', 'hold_out', *_SHARDED),
}
ON_ERROR = ('fail', 'skip')
HOLD_OUT = ('people', 'images')  # the keys of face_images.holdout.KINDS


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
  """Builds the configs of a dataset that are not there yet, and says so.

  Args:
    name: a key of DATASETS.
    source_dir: folder of the release; only read.
    data_dir: folder of all built datasets.
    configs: names of its configs.
    on_error: one of ON_ERROR, what to do about bad lines and images.
    overwrite: replace a dataset that is already there.
    **options: OPTIONS[name] say which; what builds it says what they mean.

  Raises:
    InputError: if the source or an argument is at fault, or if the dataset is
      there but was built with other options.
  """
  make = choices.choose('dataset', name, DATASETS)
  choices.choose('--on_error', on_error, dict.fromkeys(ON_ERROR))
  choices.check_options(name, options, OPTIONS[name])
  if pathlib.Path(data_dir).is_file():
    raise errors.InputError(f'--data_dir={data_dir} is a file; name a folder')
  make()(
      source_dir=source_dir,
      data_dir=data_dir,
      configs=configs,
      on_error=on_error,
      overwrite=overwrite,
      **options,
  )


def _define_flags() -> None:
  """Defines the flags; not at import, where other commands have theirs."""
  flags.DEFINE_string(
      'source_dir', None, 'Folder of the release; only read.', required=True
  )
  flags.DEFINE_string('data_dir', 'data', 'Folder of all built datasets.')
  flags.DEFINE_list(
      'config',
      [],
      'Configs to build, for most datasets the layout of the source.',
  )
  flags.DEFINE_enum(
      'on_error', 'fail', ON_ERROR, 'What to do about bad lines and images.'
  )
  flags.DEFINE_bool('overwrite', False, 'Replace a dataset that is there.')
  # Options have no default here: one that is not given is not handed on.
  flags.DEFINE_integer(
      'max_videos',
      None,
      's_aff_wild2: take the first so many videos of each split.',
      lower_bound=1,
  )
  flags.DEFINE_integer(
      'max_examples',
      None,
      'Take the first so many faces of each split (identities: of all).',
      lower_bound=1,
  )
  flags.DEFINE_integer(
      'face_size',
      None,
      'Single faces: store the centre square as a JPEG of this side in pixels;'
      ' without it the files are stored untouched.',
      lower_bound=1,
      upper_bound=4096,
  )
  flags.DEFINE_float(
      'validation_share',
      None,
      'Part to hold out for validation where the source has no split for that'
      ' (0.01 if not given; emotionet: 0.1).',
      lower_bound=0.0,
      upper_bound=0.99,
  )
  flags.DEFINE_enum(
      'hold_out',
      None,
      HOLD_OUT,
      'identities: whole people (if not given), or images of everybody.',
  )
  flags.DEFINE_integer(
      'images_per_shard',
      None,
      'face_images, identities: images of one file of the dataset (4096 if not given).',
      lower_bound=1,
  )
  flags.DEFINE_bool(
      'drop_duplicates',
      None,
      'face_images, identities: keep the first only of images with the same bytes.',
  )
  flags.DEFINE_integer(
      'num_workers',
      None,
      'face_images, identities: local processes (one per core if not given).',
      lower_bound=1,
  )
  flags.DEFINE_string(
      'beam_runner',
      None,
      'face_images, identities: runner of Apache Beam, such as DirectRunner.',
  )
  flags.DEFINE_string('beam_options', None, 'Options of that runner: a=b,c=d.')


def _beam_options(text: str) -> dict[str, str]:
  """Returns the options in `a=b,c=d` by name."""
  options = {}
  for item in text.split(','):
    name, equals, value = item.partition('=')
    if not name or not equals:
      raise errors.InputError(
          f'--beam_options={text}: {item!r} is not of the form name=value'
      )
    options[name.lstrip('-')] = value
  return options


def main(dataset: str) -> None:
  """Builds the dataset."""
  # A polite kill ends like Ctrl-C: what is half written is removed.
  signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
  args = flags.FLAGS
  names = dict.fromkeys(name for known in OPTIONS.values() for name in known)
  options = {n: args[n].value for n in names if args[n].value is not None}
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
  cli.run(main, __doc__, arguments={'dataset': DATASETS})
