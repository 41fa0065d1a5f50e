"""Builds a dataset whose lists fit into memory, with the writer of TFDS."""

import abc
from collections.abc import Iterator, Mapping, Sequence
import contextlib
import io
import os
import pathlib
import shutil
import tempfile
from typing import Any

import tensorflow_datasets as tfds

from abaw_jax.core import errors, fingerprint, locks
from abaw_jax.data_builders import arguments, problems

# A corpus has `rows` by split, `usable(split)`, `problems`, `notes` and
# `metadata()`, which contains the options.
Corpus = Any


class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
  """Base class of the builders of such datasets.

  A subclass defines `report`, which counts a source for `abaw-jax check`, `read`,
  `_info` and `_generate_examples(corpus, split)`.
  """

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'First release.'}
  MANUAL_DOWNLOAD_INSTRUCTIONS = 'See README.md for how to get the data.'
  # No downloads, no checksums. To look for them, TFDS 4.9.10 would import
  # importlib_resources, which it does not install (tensorflow/datasets#11212).
  url_infos = None
  # Options that change the dataset, with their defaults.
  OPTIONS: Mapping[str, Any] = {}
  # Options that do not change it.
  WRITER_OPTIONS = ()
  # The rows to write; if None, they are read from the manual_dir of TFDS.
  corpus: Corpus | None = None

  @classmethod
  @abc.abstractmethod
  def read(
      cls,
      source_dir: str | os.PathLike[str],
      configs: Sequence[str],
      **options: Any,
  ) -> Corpus:
    """Returns the verified corpus in `source_dir` for some configs."""

  @classmethod
  def build(cls, **kwargs: Any) -> None:
    """Builds the dataset; see the function `build`."""
    build(cls, **kwargs)

  def _split_generators(self, dl_manager: tfds.download.DownloadManager):
    corpus = self.corpus
    if corpus is None:
      source = dl_manager.manual_dir
      corpus = self.read(source, [self.builder_config.name], **self.OPTIONS)
      problems.fail_on(corpus.problems, source)
    metadata = corpus.metadata()
    self.info.metadata.clear()
    self.info.metadata.update(metadata)
    self._options = {name: metadata[name] for name in self.OPTIONS}
    self._digests = {split: fingerprint.Digest() for split in corpus.rows}
    return {split: self._examples(corpus, split) for split in corpus.rows}

  def _examples(self, corpus: Corpus, split: str) -> Iterator[tuple[str, Any]]:
    """Yields the examples of a split, and adds them to its digest."""
    for key, example in self._generate_examples(corpus, split):
      self._digests[split].add(example)
      yield key, example

  def _download_and_prepare(self, *args: Any, **kwargs: Any) -> None:
    """Writes all files of the dataset; it appears only after that."""
    super()._download_and_prepare(*args, **kwargs)
    parts = [(split, d.summary()) for split, d in self._digests.items()]
    fingerprint.write(self.data_dir, fingerprint.make(self._options, parts))


def build(
    builder_class: type[Builder],
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
    builder_class: builder of the dataset.
    source_dir: folder of the release; only read.
    data_dir: folder of all built datasets.
    configs: names of builder configs; empty means the default config.
    on_error: 'fail' or 'skip': what to do if there are bad lines or images.
    overwrite: replace an existing dataset.
    **options: of builder_class.OPTIONS, which has their defaults.

  Raises:
    InputError: the source is wrong, the dataset exists with other options, or
      another process builds it. Then nothing was written or removed.
  """
  name = builder_class.name
  options = builder_class.OPTIONS | options
  configs = configs or (builder_class.DEFAULT_BUILDER_CONFIG_NAME,)
  missing = []
  for config in dict.fromkeys(configs):
    arguments.layout(config, builder_class.builder_configs)
    builder = builder_class(config=config, data_dir=data_dir)
    exists = pathlib.Path(builder.data_dir).exists()
    if not exists or (overwrite and builder.is_prepared()):
      missing.append(config)
    else:
      arguments.accept_existing(builder, options, 'bad rows')
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
          f'{source_dir}: no usable row in {split}; fix its rows, or move its'
          f' list away\n{problems.listing(corpus.problems)}'
      )
  if corpus.problems:
    print(f'{name}: built without {len(corpus.problems)} bad rows')
    print(problems.listing(corpus.problems))
  for config in missing:
    builder = builder_class(config=config, data_dir=data_dir)
    final = pathlib.Path(builder.data_dir)
    with locks.held(final):
      if final.exists() and not overwrite:
        continue  # another process has just built it
      with _replacing(final):
        builder = builder_class(config=config, data_dir=data_dir)
        builder.corpus = corpus
        _write(builder)


@contextlib.contextmanager
def _replacing(final: pathlib.Path) -> Iterator[None]:
  """Moves an old dataset away; moves it back if the block fails."""
  old = final.with_name(f'{final.name}.replaced')
  if final.exists():
    shutil.rmtree(old, ignore_errors=True)
    final.rename(old)
  try:
    yield
  except BaseException:
    if old.exists():
      old.rename(final)
    raise
  shutil.rmtree(old, ignore_errors=True)


def _write(builder: Builder) -> None:
  """Writes one config and prints a line per split."""
  title = arguments.title(builder)
  final = pathlib.Path(builder.data_dir)
  for folder in sorted(final.parent.glob(f'incomplete.*_{final.name}')):
    # The folder stays: another process may be writing it now.
    print(f'{title}: an interrupted build left {folder}')
  tfds.disable_progress_bar()  # it has four nested bars; the builder has one
  with (
      contextlib.redirect_stdout(io.StringIO()),  # TFDS prints about downloads
      tempfile.TemporaryDirectory() as downloads,  # TFDS requires a folder
  ):
    builder.download_and_prepare(
        file_format='array_record',
        download_dir=downloads,
        download_config=tfds.download.DownloadConfig(try_download_gcs=False),
    )
  for split, info in builder.info.splits.items():
    rows = builder.info.metadata['rows'][split]
    print(
        f'{title} {split}: {info.num_examples:,} examples,'
        f' {rows:,} rows, {info.num_bytes / 1e6:,.1f} MB in {final}'
    )
