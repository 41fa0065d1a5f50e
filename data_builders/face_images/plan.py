"""Which image goes to which shard: decided once, from names alone.

A plan is a folder: `plan.json` and one manifest per shard, a line per image.
It holds as much memory as a source has groups, however many images there are.
"""

import collections
from collections.abc import Iterator
import dataclasses
import hashlib
import itertools
import json
import os
import pathlib
import shutil
from typing import Any, NamedTuple
import uuid

import tqdm

from abaw_jax.core import errors
from abaw_jax.data_builders.face_images.sources import entries, holdout

SPLITS = ('train', 'validation', 'test')
PEOPLE = 'people.json'  # names by label, in the order of the labels


class Shard(NamedTuple):
  """One file of the dataset: the `number`-th of `total` of a split."""

  split: str
  number: int
  total: int

  @property
  def name(self) -> str:
    """Its name among the shards of all splits."""
    return f'{self.split}-{self.number:05d}'


@dataclasses.dataclass(frozen=True)
class Plan:
  """What the shards hold; small, because it travels to every worker.

  Attributes:
    builder: its name.
    folder: where everything lies until the dataset is whole.
    source: folder of the images.
    face_size: side of the stored images in pixels; 0 keeps the files.
    on_error: 'skip' writes shards without their bad images; 'fail' does not
      write shards that have any.
    shards: in the order of SPLITS.
    facts: what `plan.json` says of the source, which two runs must agree on.
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
    """Returns the names of the people, each at the place of its label.

    Those of train come first, then those of validation and test alone; by name
    in each. Empty if the dataset has no labels.
    """
    return json.loads((self.folder / 'plan' / PEOPLE).read_text())

  def dataset(self) -> pathlib.Path:
    """Returns the folder that becomes the dataset."""
    return self.folder / 'dataset'

  def file(self, shard: Shard) -> pathlib.Path:
    """Returns the ArrayRecord file of a shard, there as soon as it is whole."""
    return self.dataset() / (
        f'{self.builder}-{shard.split}.array_record-'
        f'{shard.number:05d}-of-{shard.total:05d}'
    )

  def card(self, shard: Shard) -> pathlib.Path:
    """Returns the file that says what a shard holds."""
    return self.folder / 'cards' / f'{shard.name}.json'

  def drops(self, shard: Shard) -> pathlib.Path:
    """Returns the file that lists the records a shard is to lose."""
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
  """Returns the plan for a source; the one in `folder`, if that agrees.

  Images of layouts without splits of their own are held out for validation as
  `holdout.Survey.rule` says.

  Args:
    folder: of the unfinished dataset.
    source: folder of the images.
    layout: of that folder.
    builder: its name.
    flags: `building.build` says what they mean.
    labelled: the groups are labels; images without one are left out.
    on_error: 'fail' or 'skip'.
    overwrite: replace a plan that does not agree.

  Raises:
    InputError: the source is empty or has another layout, one split would take
      it all, or `folder` holds a plan for another source or other flags and
      is not to be overwritten.
  """
  draft = folder / f'plan.{uuid.uuid4().hex}.tmp'
  draft.mkdir(parents=True)
  try:
    survey, rule = _survey(draft / 'all', source, layout, flags, labelled)
    facts = flags | survey
    facts |= _divide(draft, rule, flags['images_per_shard'], labelled)
    (draft / 'plan.json').write_text(json.dumps(facts, indent=2) + '\n')
    if (folder / 'plan').exists():
      difference = _difference(folder, facts)
      if difference and not overwrite:
        raise errors.InputError(
            f'{folder}: an unfinished build with {difference}; undo the change'
            ' to go on, or pass --overwrite to start anew'
        )
      if difference:
        for name in ('dataset', 'cards', 'plan'):  # the plan vouches for them
          shutil.rmtree(folder / name, ignore_errors=True)
    if not (folder / 'plan').exists():
      os.rename(draft, folder / 'plan')
  finally:
    shutil.rmtree(draft, ignore_errors=True)
    if not any(folder.iterdir()):
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
  """Writes every entry to `path`; returns facts and what is held out."""
  ignored = entries.Ignored()
  digest = hashlib.blake2b(digest_size=16)
  kind = 'group' if layout.identities else None
  if 'hold_out' in flags:
    kind = holdout.KINDS[flags['hold_out']]
  survey = holdout.Survey(keep_one=labelled and kind == 'image')
  found = layout.entries(source, ignored)
  if labelled:
    found = entries.with_group(found, ignored)
  with path.open('w', encoding='utf-8') as file:
    for entry in tqdm.tqdm(
        itertools.islice(found, flags.get('max_examples')),
        desc='Listing',
        unit=' images',
        leave=False,
        disable=None,
    ):
      row = json.dumps(entry) + '\n'
      file.write(row)
      digest.update(row.encode())
      survey.add(entry)
  if not path.stat().st_size:
    raise errors.InputError(
        f'{source}: no image of the layout {flags["layout"]}; '
        f'{" ".join(ignored.notes()) or "the folder is empty"}'
    )
  rule = survey.rule(flags['validation_share'], kind)
  facts = {
      'listing': digest.hexdigest(),
      'held_out': {'kind': rule.kind, 'below': rule.below},
      'notes': ignored.notes(),
  }
  return facts, rule


def _divide(
    draft: pathlib.Path, rule: holdout.Rule, size: int, labelled: bool
) -> dict[str, Any]:
  """Writes the manifests and the labels; returns images and groups by split."""
  images = collections.Counter()
  groups = collections.defaultdict(set)
  alone = collections.Counter()
  manifests = {}
  first_split = {}  # of each person
  with (draft / 'all').open(encoding='utf-8') as file:
    for row in file:
      entry = entries.Entry(*json.loads(row))
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
        'no image is left for train; a source of one group only needs'
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
        return 'another listing of the source, which has changed since'
      return f'--{field}={found.get(field)}, not {wanted}'
  return None
