"""Checks the arguments of a build: source folder, layout, existing dataset."""

from collections.abc import Mapping
import os
import pathlib
from typing import Any, TypeVar

import tensorflow_datasets as tfds

from abaw_jax.core import choices, errors, fingerprint

Layout = TypeVar('Layout')


def source_folder(source_dir: str | os.PathLike[str]) -> pathlib.Path:
  """Returns the absolute path; raises an InputError if it is not a folder."""
  source = pathlib.Path(source_dir).absolute()
  if not source.is_dir():
    raise errors.InputError(
        f'{source_dir}: no such folder; set --source_dir to the folder of the'
        ' source'
    )
  return source


def layout(config: str | None, layouts: Mapping[str, Layout]) -> Layout:
  """Returns the layout of a config; raises an InputError if there is none."""
  if not config:
    raise errors.InputError(
        'the source can have several layouts; name one by --config:'
        f' {choices.listing(layouts)}'
    )
  return choices.pick(layouts, config, '--config')


def title(builder: tfds.core.DatasetBuilder) -> str:
  """Returns `<dataset>/<config>`."""
  return f'{builder.name}/{builder.builder_config.name}'


def accept_existing(
    builder: tfds.core.DatasetBuilder, options: dict[str, Any], skipped: str
) -> None:
  """Prints that a dataset exists; raises if it has other options.

  Args:
    builder: of the dataset.
    options: option -> value that the user asks for.
    skipped: noun for the entries that the build left out.

  Raises:
    InputError: the folder is not a dataset, has no fingerprint, or was built
      with other options.
  """
  if not builder.is_prepared():
    raise errors.InputError(
        f'{builder.data_dir} exists but is not a dataset; remove it'
    )
  fingerprint.read(builder.data_dir)
  metadata = builder.info.metadata
  for name, wanted in options.items():
    if metadata[name] != wanted:
      built, asked = (
          f'no --{name}' if value is None else f'--{name}={value}'
          for value in (metadata[name], wanted)
      )
      raise errors.InputError(
          f'{builder.data_dir} was built with {built}, not with {asked};'
          ' pass --overwrite to replace it, or another --data_dir'
      )
  count = len(metadata['skipped'])
  without = f' without {count:,} {skipped}' if count else ''
  print(f'{title(builder)}: already built{without} in {builder.data_dir}')
