"""Builds a face dataset shard by shard, and resumes an interrupted build."""

from collections.abc import Mapping, Sequence
import os
import pathlib
import shutil
from typing import Any

import tensorflow_datasets as tfds

from abaw_jax.core import errors, fingerprint, locks
from abaw_jax.data_builders import arguments, problems
from abaw_jax.data_builders.face_images import duplicates as duplicates_lib
from abaw_jax.data_builders.face_images import plan as plan_lib
from abaw_jax.data_builders.face_images import runners, shards

DUPLICATES = 'duplicates.jsonl'  # in the folder of the dataset


def build(
    builder_class: Any,
    *,
    source_dir: str | os.PathLike[str],
    data_dir: str | os.PathLike[str],
    configs: Sequence[str] = (),
    on_error: str = 'fail',
    overwrite: bool = False,
    images_per_shard: int = 4096,
    num_workers: int | None = None,
    beam_runner: str | None = None,
    beam_options: Mapping[str, str] | None = None,
    **options: Any,
) -> None:
  """Builds one config, or the missing shards of an interrupted build.

  Args:
    builder_class: face_images_dataset_builder.Builder or a subclass.
    source_dir: folder of the images; only read.
    data_dir: folder of all built datasets.
    configs: the layout of the source; exactly one.
    on_error: 'fail' reads all images, then raises if an image is bad; 'skip'
      builds the dataset without the bad images.
    overwrite: replace an existing dataset, or an unfinished build with other
      arguments.
    images_per_shard: images of the source in one file of the dataset.
    num_workers: local processes; None means one per core.
    beam_runner: name of an Apache Beam runner, instead of local processes.
    beam_options: options of that runner.
    **options: of builder_class.OPTIONS. `face_size`: store squares with sides of
      so many pixels, or the files if it is 0; `validation_share`: fraction to
      hold out, in [0, 1); `drop_duplicates`: keep only the first of identical
      files; `hold_out`: a key of holdout.KINDS; `max_examples`: use only the
      first images of the source.

  Raises:
    InputError: the source or an argument is wrong, a dataset or an unfinished
      build with other arguments exists, or another process builds this dataset.
  """
  layout = configs[0] if len(configs) == 1 else None
  source_layout = arguments.layout(layout, builder_class.LAYOUTS)
  if beam_runner is None and beam_options:
    raise errors.InputError('--beam_options need a --beam_runner')
  if beam_runner is not None and num_workers is not None:
    raise errors.InputError(
        '--num_workers is only for local processes; set the number of workers'
        ' of the --beam_runner by --beam_options'
    )
  builder = builder_class(
      config=layout, data_dir=data_dir, file_format='array_record'
  )
  final = pathlib.Path(builder.data_dir)
  work = final.with_name(f'{final.name}.unfinished')
  flags = builder_class.OPTIONS | options
  # This comes before any write, so that a wrong folder leaves no files.
  source = arguments.source_folder(source_dir)
  with locks.held(final):
    if final.exists() and not (overwrite and builder.is_prepared()):
      arguments.accept_existing(builder, flags, 'bad images')
      if not (work / 'dataset').exists():  # its removal was interrupted
        shutil.rmtree(work, ignore_errors=True)
      return
    plan = plan_lib.make(
        work,
        source,
        source_layout,
        builder=builder.name,
        flags={
            'layout': layout, **flags, 'images_per_shard': images_per_shard,
        },
        labelled=builder_class.LABELLED,
        on_error=on_error,
        overwrite=overwrite,
    )  # fmt: skip
    title = arguments.title(builder)
    for note in plan.facts['notes']:
      print(f'{title}: {note}')
    missing = [i for i in range(len(plan.shards)) if not _is_done(plan, i)]
    if done := len(plan.shards) - len(missing):
      print(f'{title}: {done:,} of {len(plan.shards):,} shards are written')

    def run_task(task: runners.Task, indices: Sequence[int]) -> None:
      if beam_runner is not None:
        runners.run_on_beam(
            task, plan, indices, runner=beam_runner, options=beam_options or {}
        )
      else:
        runners.run_locally(
            task, plan, indices, num_workers=num_workers or os.cpu_count() or 1
        )

    if missing:
      run_task(shards.write_shard, missing)
    faults = [
        f for i in range(len(plan.shards)) for f in shards.faults(plan, i)
    ]
    if on_error == 'fail':
      problems.fail_on(faults, source_dir)
    elif faults:
      print(f'{title}: built without {len(faults):,} bad images')
      print(problems.listing(faults))
    counts = [len(shards.hashes(plan, i)) for i in range(len(plan.shards))]
    duplicates = duplicates_lib.find(plan)
    _report(duplicates, plan, title, final)
    if flags['drop_duplicates']:
      duplicates_lib.drop(duplicates, plan, run_task)
      for index in duplicates.places[:, 0].tolist():
        counts[index] -= 1
    _describe(builder, plan, counts, faults, len(duplicates.places))
    if final.exists():
      shutil.rmtree(final)
    os.replace(plan.dataset(), final)
    shutil.rmtree(work)
    for split, info in builder.info.splits.items():
      print(
          f'{title} {split}: {info.num_examples:,} images,'
          f' {plan.facts["groups"][split]:,} groups,'
          f' {info.num_bytes / 1e6:,.1f} MB in {final}'
      )


def _is_done(plan: plan_lib.Plan, index: int) -> bool:
  """Returns whether a shard is written, and complete if `on_error` is 'fail'."""
  if not plan.file(plan.shards[index]).exists():
    return False
  return plan.on_error == 'skip' or not shards.faults(plan, index)


def _report(
    duplicates: duplicates_lib.Duplicates,
    plan: plan_lib.Plan,
    title: str,
    final: pathlib.Path,
) -> None:
  """Writes the list of duplicates into the dataset, and prints the first ones."""
  count = len(duplicates.places)
  if not count:
    return
  text, lines = duplicates_lib.write(
      duplicates, plan, plan.dataset() / DUPLICATES
  )
  done = 'dropped' if plan.facts['drop_duplicates'] else 'kept'
  print(f'{title}: {text}: {done}, listed in {final / DUPLICATES}')
  print('\n'.join(lines))
  if count > len(lines):
    print(f'  ... and {count - len(lines):,} more')


def _describe(
    builder: tfds.core.DatasetBuilder,
    plan: plan_lib.Plan,
    counts: Sequence[int],
    faults: Sequence[problems.Problem],
    num_duplicates: int,
) -> None:
  """Writes the files by which TFDS reads the shards; removes temporary files."""
  splits, rows = [], {}
  for split in plan.facts['images']:
    members = [
        (shard, count)
        for shard, count in zip(plan.shards, counts, strict=True)
        if shard.split == split
    ]
    rows[split] = sum(count for _, count in members)
    if not rows[split]:
      raise errors.InputError(
          f'{plan.source}: no usable image in {split}; fix its images\n'
          f'{problems.listing(faults)}'
      )
    splits.append(
        tfds.core.SplitInfo(
            name=split,
            shard_lengths=[count for _, count in members],
            num_bytes=sum(plan.file(s).stat().st_size for s, _ in members),
            filename_template=tfds.core.ShardedFileTemplate(
                data_dir=plan.dataset(),
                dataset_name=builder.name,
                split=split,
                filetype_suffix='array_record',
            ),
        )
    )
  builder.info.set_splits(tfds.core.SplitDict(splits))
  options = {name: plan.facts[name] for name in builder.OPTIONS}
  builder.info.metadata.update(
      **options,
      **{name: plan.facts[name] for name in ('layout', 'notes')},
      rows=rows,
      groups=plan.facts['groups'],
      duplicates=num_duplicates,
      skipped=[fault._asdict() for fault in faults],
      **({'people': plan.people()} if builder.LABELLED else {}),
  )
  digests = (
      (shard.split, shards.digest(plan, i))
      for i, shard in enumerate(plan.shards)
  )
  fingerprint.write(plan.dataset(), fingerprint.make(options, digests))
  for leftover in plan.dataset().glob('*.tmp'):
    leftover.unlink()
  builder.info.write_to_directory(plan.dataset())
