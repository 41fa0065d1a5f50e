"""Assigns the images of a source to splits and shards, from their names alone.

A plan is a folder with `plan.json` and one manifest per shard, which has a line
for each image. Memory depends on the number of groups, and on 8 bytes for each image
of a list.
"""

import collections
from collections.abc import Iterator
import dataclasses
import hashlib
import itertools
import json
import pathlib
import shutil
from typing import Any, NamedTuple

from abaw_jax.core import choices, errors, files, progress_bars
from abaw_jax.data_builders.face_images import holdout, repeats
from abaw_jax.data_builders.face_images.sources import entries

SPLITS = ('train', 'validation', 'test')
PEOPLE = 'people.json'  # names in the order of their labels


class Shard(NamedTuple):
  """One file of the dataset: file `number` (from 0) of `total` of a split."""

  split: str
  number: int
  total: int

  @property
  def name(self) -> str:
    """A name that is unique in all splits."""
    return f'{self.split}-{self.number:05d}'


@dataclasses.dataclass(frozen=True)
class Plan:
  """The content of the shards; small, because every worker gets a copy.

  Attributes:
    builder: name of the builder.
    folder: folder of the unfinished build.
    source: folder of the images.
    face_size: side of the stored images in pixels; 0 keeps the files.
    on_error: 'skip' writes shards without their bad images; 'fail' does not
      write shards that have bad images.
    shards: all shards, in the order of SPLITS.
    facts: content of `plan.json`; a resumed build must have the same.
  """

  builder: str
  folder: pathlib.Path
  source: pathlib.Path
  face_size: int
  on_error: str
  shards: tuple[Shard, ...]
  facts: dict[str, Any]

  def entries(self, shard: Shard) -> Iterator[entries.Entry]:
    """Yields the images of a shard."""
    path = self.folder / 'plan' / f'{shard.name}.jsonl'
    with path.open(encoding='utf-8') as file:
      for row in file:
        name, at, group, line = json.loads(row)
        yield entries.Entry(name, tuple(at), group, line=line and tuple(line))

  def people(self) -> list[str]:
    """Returns the names of the people in the order of their labels.

    People with an image in train come first, then people who are only in
    validation, then only in test; each part is sorted by name. Empty if the
    dataset has no labels.
    """
    return json.loads((self.folder / 'plan' / PEOPLE).read_text())

  def dataset(self) -> pathlib.Path:
    """Returns the folder that becomes the dataset at the end of the build."""
    return self.folder / 'dataset'

  def file(self, shard: Shard) -> pathlib.Path:
    """Returns the ArrayRecord file of a shard; it exists once it is complete."""
    return self.dataset() / (
        f'{self.builder}-{shard.split}.array_record-'
        f'{shard.number:05d}-of-{shard.total:05d}'
    )

  def card(self, shard: Shard) -> pathlib.Path:
    """Returns the file with the hashes and problems of a shard."""
    return self.folder / 'cards' / f'{shard.name}.json'

  def drops(self, shard: Shard) -> pathlib.Path:
    """Returns the file with the positions of the records to drop."""
    return self.folder / 'cards' / f'{shard.name}.drops.json'


def make(
    folder: pathlib.Path,
    source: pathlib.Path,
    layout: entries.Layout,
    *,
    builder: str,
    flags: dict[str, Any],
    labelled: bool,
    on_error: str,
    overwrite: bool,
) -> Plan:
  """Returns the plan for a source, or the plan in `folder` if it is the same.

  If the layout has no splits, `holdout.Survey.rule` chooses the images for
  validation.

  Args:
    folder: folder of the unfinished build.
    source: folder of the images.
    layout: layout of that folder.
    builder: name of the builder.
    flags: options of `sharded_build.build`.
    labelled: the groups are labels; images without a group are left out.
    on_error: 'fail' or 'skip'.
    overwrite: replace a plan that differs.

  Raises:
    InputError: the source is empty or has another layout, no image is left for
      train, or `folder` has a plan that differs and `overwrite` is False.
  """
  try:
    with files.replacing(folder / 'plan') as draft:
      draft.mkdir()
      survey, rule = _survey(draft / 'all', source, layout, flags, labelled)
      facts = flags | survey
      facts |= _divide(draft, rule, flags['images_per_shard'], labelled)
      (draft / 'plan.json').write_text(json.dumps(facts, indent=2) + '\n')
      if (folder / 'plan').exists():
        difference = _difference(folder, facts)
        if difference and not overwrite:
          raise errors.InputError(
              f'{folder}: an unfinished build with {difference}; undo the change'
              ' to continue it, or pass --overwrite to start again'
          )
        if difference:
          # The plan goes last: it describes the other two.
          for name in ('dataset', 'cards', 'plan'):
            shutil.rmtree(folder / name, ignore_errors=True)
        else:
          shutil.rmtree(draft)
  finally:
    if folder.exists() and not any(folder.iterdir()):
      folder.rmdir()
  shards = []
  for split, count in facts['images'].items():
    total = -(-count // flags['images_per_shard'])
    shards += [Shard(split, number, total) for number in range(total)]
  for name in ('cards', 'dataset'):
    (folder / name).mkdir(exist_ok=True)
  return Plan(
      builder, folder, source, flags['face_size'], on_error, tuple(shards),
      facts,
  )  # fmt: skip


def _survey(
    path: pathlib.Path,
    source: pathlib.Path,
    layout: entries.Layout,
    flags: dict[str, Any],
    labelled: bool,
) -> tuple[dict[str, Any], holdout.Rule]:
  """Writes every entry to `path`; returns facts and the rule of the hold-out."""
  ignored = entries.Ignored()
  digest = hashlib.blake2b(digest_size=16)
  kind = 'group' if layout.identities else None
  if 'hold_out' in flags:
    kind = choices.pick(holdout.KINDS, flags['hold_out'], '--hold_out')
  repeated = repeats.Repeats()
  survey = holdout.Survey(keep_one=labelled and kind == 'image')
  found = layout.entries(source, ignored)
  if labelled:
    found = entries.with_group(found, ignored)
  with path.open('w', encoding='utf-8') as file:
    for entry in progress_bars.make(
        itertools.islice(found, flags.get('max_examples')),
        desc='Listing',
        unit='images',
    ):
      row = json.dumps(entry) + '\n'
      file.write(row)
      digest.update(row.encode())
      survey.add(entry)
      repeated.add(entry)
  if not path.stat().st_size:
    raise errors.InputError(
        f'{source}: no image in the layout {flags["layout"]}; '
        f'{" ".join(ignored.notes()) or "the folder is empty"}'
    )
  conflicts, notes = repeated.find(_entries(path))
  if conflicts:
    _exclude(path, {(p.file, p.line): p.reason for p in conflicts})
  rule = survey.rule(flags['validation_share'], kind)
  facts = {
      'listing': digest.hexdigest(),
      'held_out': {'kind': rule.kind, 'below': rule.below},
      'notes': ignored.notes() + notes,
  }
  return facts, rule


def _entries(path: pathlib.Path) -> Iterator[entries.Entry]:
  with path.open(encoding='utf-8') as file:
    for row in file:
      yield entries.Entry(*json.loads(row))


def _exclude(path: pathlib.Path, reasons: dict[tuple[str, int], str]) -> None:
  """Marks the entries of some lines of lists as broken."""
  with files.replacing(path) as draft, draft.open('w') as file:
    for entry in _entries(path):
      reason = entry.line and reasons.get(tuple(entry.line))
      if reason:
        reason = reason.removeprefix(f'image {entry.name}: ')
        entry = entry._replace(at=('broken', reason))
      file.write(json.dumps(entry) + '\n')


def _divide(
    draft: pathlib.Path, rule: holdout.Rule, size: int, labelled: bool
) -> dict[str, Any]:
  """Writes manifests and labels; returns the images and groups by split."""
  images = collections.Counter()
  groups = collections.defaultdict(set)
  alone = collections.Counter()
  manifests = {}
  first_split = {}  # of each person
  for entry in _entries(draft / 'all'):
    split = rule.split(entry)
    number, place = divmod(images[split], size)
    if not place:
      if split in manifests:
        manifests[split].close()
      path = draft / f'{split}-{number:05d}.jsonl'
      manifests[split] = path.open('w', encoding='utf-8')
    manifests[split].write(
        json.dumps((entry.name, entry.at, entry.group, entry.line)) + '\n'
    )
    images[split] += 1
    if entry.group:
      groups[split].add(holdout.hash_of(entry.group))
    else:
      alone[split] += 1
    if labelled:
      rank = SPLITS.index(split)
      first_split[entry.group] = min(rank, first_split.get(entry.group, rank))
  for manifest in manifests.values():
    manifest.close()
  (draft / 'all').unlink()
  if not images['train']:
    raise errors.InputError(
        'no image is left for train; a source with one group needs'
        ' --validation_share=0'
    )
  people = sorted(first_split, key=lambda name: (first_split[name], name))
  (draft / PEOPLE).write_text(json.dumps(people))
  present = [split for split in SPLITS if images[split]]
  return {
      'images': {split: images[split] for split in present},
      'groups': {s: len(groups[s]) + alone[s] for s in present},
  }


def _difference(folder: pathlib.Path, facts: dict[str, Any]) -> str | None:
  """Returns how the plan in `folder` differs from one with these facts."""
  found = json.loads((folder / 'plan' / 'plan.json').read_text())
  for field, wanted in facts.items():
    if found.get(field) != wanted:
      if field == 'listing':
        return 'other images, because the source has changed'
      return f'--{field}={found.get(field)}, not {wanted}'
  return None
