r"""Builds a dataset from its source folder into ArrayRecord shards.

  python -m data_builders.build s_aff_wild2 \
      --source_dir=/path/to/the/release --data_dir=data

The result lies in <data_dir>/<dataset>/<config>/<version>; a dataset that is
already there is left alone. Bad lines and images of the source are listed by
file and line; --on_error=skip builds the rest and keeps that list in the
dataset's metadata.
"""

from collections.abc import Sequence
import contextlib
import io
import os
import pathlib
import shutil
import signal
import sys
import tempfile
from typing import Any

from absl import flags

from abaw_jax import cli, errors
from data_builders import problems


def _s_aff_wild2():
  from data_builders.s_aff_wild2 import s_aff_wild2_dataset_builder

  return s_aff_wild2_dataset_builder.Builder


# The TFDS builder by dataset, behind a function so that --help stays quick. Its
# read(source_dir, max_videos=) returns a corpus with rows, usable(split),
# problems and notes; it writes its `corpus` and the metadata of that.
DATASETS = {
    's_aff_wild2': _s_aff_wild2,
}
ON_ERROR = ('fail', 'skip')


def build(
    name: str,
    *,
    source_dir: str | os.PathLike[str],
    data_dir: str | os.PathLike[str],
    configs: Sequence[str] = (),
    max_videos: int | None = None,
    on_error: str = 'fail',
    overwrite: bool = False,
) -> None:
  """Builds the configs of a dataset that are not there yet, and says so.

  Args:
    name: a key of DATASETS.
    source_dir: folder of the release; only read.
    data_dir: folder of all built datasets.
    configs: names of builder configs; none means the default one.
    max_videos: take the first so many videos of each split.
    on_error: one of ON_ERROR, what to do about bad lines and images.
    overwrite: replace a dataset that is already there.

  Raises:
    InputError: if the source is at fault, or if the dataset is there but holds
      another number of videos. Nothing is written or removed then.
  """
  builder_class = _choose('dataset', name, DATASETS)()
  _choose('--on_error', on_error, dict.fromkeys(ON_ERROR))
  if pathlib.Path(data_dir).is_file():
    raise errors.InputError(f'--data_dir={data_dir} is a file; name a folder')
  configs = configs or (builder_class.DEFAULT_BUILDER_CONFIG_NAME,)
  missing = []
  for config in dict.fromkeys(configs):
    _choose('--config', config, builder_class.builder_configs)
    builder = builder_class(config=config, data_dir=data_dir)
    exists = pathlib.Path(builder.data_dir).exists()
    if not exists or (overwrite and builder.is_prepared()):
      missing.append(config)
    else:
      _accept(builder, max_videos)
  if not missing:
    return
  corpus = builder_class.read(source_dir, max_videos=max_videos)
  for note in corpus.notes:
    print(f'{name}: {note}')
  if on_error == 'fail':
    problems.fail_on(corpus.problems, source_dir)
  for split in corpus.rows:
    if not corpus.usable(split):
      raise errors.InputError(
          f'{source_dir}: no usable row in {split}; mend it or move its list'
          f' away\n{problems.listing(corpus.problems)}'
      )
  if corpus.problems:
    print(f'{name}: built without {len(corpus.problems)} bad rows')
    print(problems.listing(corpus.problems))
  for config in missing:
    builder = builder_class(config=config, data_dir=data_dir)
    if overwrite and builder.is_prepared():
      shutil.rmtree(builder.data_dir)  # only now that the source is good
      builder = builder_class(config=config, data_dir=data_dir)
    builder.corpus = corpus
    _write(builder)


def _choose(field: str, name: str, choices: dict[str, Any]) -> Any:
  if name not in choices:
    raise errors.InputError(
        f'{field} {name!r} is unknown; choose from {", ".join(choices)}'
    )
  return choices[name]


def _accept(builder, max_videos: int | None) -> None:
  """Says that a dataset is there; raises if it is not the one asked for."""
  if not builder.is_prepared():
    raise errors.InputError(
        f'{builder.data_dir} is there but holds no dataset; remove it'
    )
  metadata = builder.info.metadata
  if metadata['max_videos'] != max_videos:
    limits = [
        'all videos' if limit is None else f'--max_videos={limit}'
        for limit in (metadata['max_videos'], max_videos)
    ]
    raise errors.InputError(
        f'{builder.data_dir} was built with {limits[0]}, not with {limits[1]};'
        ' pass --overwrite to replace it, or another --data_dir'
    )
  skipped = len(metadata['skipped'])
  lack = f' without {skipped} bad rows' if skipped else ''
  print(f'{_title(builder)}: already built{lack} in {builder.data_dir}')


def _title(builder) -> str:
  return f'{builder.name}/{builder.builder_config.name}'


def _write(builder) -> None:
  """Writes one config and prints a line per split."""
  import tensorflow_datasets as tfds

  final = pathlib.Path(builder.data_dir)
  for folder in sorted(final.parent.glob(f'incomplete.*_{final.name}')):
    # Not removed: another process may be writing it at this moment.
    print(f'{_title(builder)}: an interrupted build left {folder}')
  tfds.disable_progress_bar()  # its four nested bars; the builder has one
  with (
      contextlib.redirect_stdout(io.StringIO()),  # its talk of downloads
      tempfile.TemporaryDirectory() as downloads,  # it insists on a folder
  ):
    builder.download_and_prepare(
        file_format='array_record',
        download_dir=downloads,
        download_config=tfds.download.DownloadConfig(try_download_gcs=False),
    )
  for split, info in builder.info.splits.items():
    rows = builder.info.metadata['rows'][split]
    print(
        f'{_title(builder)} {split}: {info.num_examples:,} examples,'
        f' {rows:,} rows, {info.num_bytes / 1e6:,.1f} MB in {final}'
    )


def _define_flags() -> None:
  """Defines the flags; not at import, where other commands have theirs."""
  flags.DEFINE_string(
      'source_dir', None, 'Folder of the release; only read.', required=True
  )
  flags.DEFINE_string('data_dir', 'data', 'Folder of all built datasets.')
  flags.DEFINE_list('config', [], 'Configs to build; the default one if empty.')
  flags.DEFINE_integer(
      'max_videos',
      None,
      'Take the first so many videos of each split, for a quick look.',
      lower_bound=1,
  )
  flags.DEFINE_enum(
      'on_error', 'fail', ON_ERROR, 'What to do about bad lines and images.'
  )
  flags.DEFINE_bool('overwrite', False, 'Replace a dataset that is there.')


def main(dataset: str) -> None:
  """Builds the dataset."""
  # A polite kill ends like Ctrl-C: TFDS then removes what it has half written.
  signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
  args = flags.FLAGS
  build(
      dataset,
      source_dir=args.source_dir,
      data_dir=args.data_dir,
      configs=args.config,
      max_videos=args.max_videos,
      on_error=args.on_error,
      overwrite=args.overwrite,
  )


if __name__ == '__main__':
  _define_flags()
  cli.run(main, __doc__, arguments={'dataset': DATASETS})
