"""Builds a dataset whose corpus fits into memory, by the writer of TFDS."""

from collections.abc import Sequence
import contextlib
import io
import os
import pathlib
import shutil
import tempfile
from typing import Any

import tensorflow_datasets as tfds

from abaw_jax.core import errors
from abaw_jax.data_builders import choices, problems


def build(
    builder_class: type[tfds.core.GeneratorBasedBuilder],
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
    builder_class: its read(source_dir, configs, **options) returns a corpus with
      rows, usable(split), problems and notes; it writes its `corpus` and the
      metadata of that, which hold the options.
    source_dir: folder of the release; only read.
    data_dir: folder of all built datasets.
    configs: names of builder configs; none means the default one, if any.
    on_error: 'fail' or 'skip', what to do about bad lines and images.
    overwrite: replace a dataset that is already there.
    **options: of builder_class.OPTIONS, which has their defaults.

  Raises:
    InputError: if the source is at fault, or if the dataset is there but
      was built with other options. Nothing is written or removed then.
  """
  name = builder_class.name
  options = builder_class.OPTIONS | options
  configs = configs or (builder_class.DEFAULT_BUILDER_CONFIG_NAME,)
  if configs == (None,):
    raise errors.InputError(
        f'{name} has several layouts; name it by one --config:'
        f' {", ".join(builder_class.builder_configs)}'
    )
  missing = []
  for config in dict.fromkeys(configs):
    choices.choose('--config', config, builder_class.builder_configs)
    builder = builder_class(config=config, data_dir=data_dir)
    exists = pathlib.Path(builder.data_dir).exists()
    if not exists or (overwrite and builder.is_prepared()):
      missing.append(config)
    else:
      _accept(builder, options)
  if not missing:
    return
  corpus = builder_class.read(source_dir, missing, **options)
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


def _accept(builder, options: dict[str, Any]) -> None:
  """Says that a dataset is there; raises if it is not the one asked for."""
  if not builder.is_prepared():
    raise errors.InputError(
        f'{builder.data_dir} is there but holds no dataset; remove it'
    )
  metadata = builder.info.metadata
  for name, wanted in options.items():
    if metadata[name] != wanted:
      flags = [
          f'no --{name}' if value is None else f'--{name}={value}'
          for value in (metadata[name], wanted)
      ]
      raise errors.InputError(
          f'{builder.data_dir} was built with {flags[0]}, not with {flags[1]};'
          ' pass --overwrite to replace it, or another --data_dir'
      )
  skipped = len(metadata['skipped'])
  lack = f' without {skipped} bad rows' if skipped else ''
  print(f'{_title(builder)}: already built{lack} in {builder.data_dir}')


def _title(builder) -> str:
  return f'{builder.name}/{builder.builder_config.name}'


def _write(builder) -> None:
  """Writes one config and prints a line per split."""
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
