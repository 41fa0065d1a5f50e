"""Which image goes to which shard: decided once, from names alone.

A plan is a folder: `plan.json` and one manifest per shard, a line per image.
It holds as much memory as a source has groups, however many images there are.
"""

import collections
from collections.abc import Iterator
import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
from typing import Any, NamedTuple
import uuid

import tqdm

from abaw_jax import errors
from data_builders.face_images import entries, layouts

SPLITS = ('train', 'validation', 'test')
_HASHES = 2**64


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
    folder: where everything lies until the dataset is whole.
    source: folder of the images.
    face_size: side of the stored images in pixels; 0 keeps the files.
    on_error: 'skip' writes shards without their bad images; 'fail' does not
      write shards that have any.
    shards: in the order of SPLITS.
    facts: what `plan.json` says of the source, which two runs must agree on.
  """

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
        name, at, line = json.loads(row)
        yield entries.Entry(name, tuple(at), line=line and tuple(line))

  def dataset(self) -> pathlib.Path:
    """Returns the folder that becomes the dataset."""
    return self.folder / 'dataset'

  def file(self, shard: Shard) -> pathlib.Path:
    """Returns the ArrayRecord file of a shard, there as soon as it is whole."""
    return self.dataset() / (
        f'face_images-{shard.split}.array_record-'
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
    layout: str,
    *,
    face_size: int,
    validation_share: float,
    images_per_shard: int,
    drop_duplicates: bool,
    on_error: str,
    overwrite: bool,
) -> Plan:
  """Returns the plan for a source; the one in `folder`, if that agrees.

  Images of layouts without splits of their own are held out for validation by
  a hash: whole groups if the share makes at least one of them or if they are
  people, otherwise single images; at least one of either.

  Raises:
    InputError: the source is empty or has another layout, one split would take
      it all, or `folder` holds a plan for another source or other flags and
      is not to be overwritten.
  """
  draft = folder / f'plan.{uuid.uuid4().hex}.tmp'
  draft.mkdir(parents=True)
  try:
    facts = {
        'layout': layout,
        'face_size': face_size,
        'validation_share': validation_share,
        'images_per_shard': images_per_shard,
        'drop_duplicates': drop_duplicates,
        **_survey(draft / 'all', source, layout, validation_share),
    }
    facts |= _divide(draft, facts)
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
  shards = [
      Shard(split, number, -(-count // images_per_shard))
      for split, count in facts['images'].items()
      for number in range(-(-count // images_per_shard))
  ]
  for name in ('cards', 'dataset'):
    (folder / name).mkdir(exist_ok=True)
  return Plan(folder, source, face_size, on_error, tuple(shards), facts)


def _survey(
    path: pathlib.Path, source: pathlib.Path, layout: str, share: float
) -> dict[str, Any]:
  """Writes every entry to `path` and returns what holding out needs to know."""
  chosen = layouts.LAYOUTS[layout]
  ignored = entries.Ignored()
  digest = hashlib.blake2b(digest_size=16)
  groups = set()
  smallest = {'group': _HASHES, 'image': _HASHES}
  with path.open('w', encoding='utf-8') as file:
    for entry in tqdm.tqdm(
        chosen.entries(source, ignored),
        desc='Listing',
        unit=' images',
        leave=False,
        disable=None,
    ):
      row = json.dumps(entry) + '\n'
      file.write(row)
      digest.update(row.encode())
      if entry.group:
        groups.add(hash_of(entry.group))
      if entry.split is None:
        for kind in smallest:
          smallest[kind] = min(smallest[kind], hash_of(_key(entry, kind)))
  if not path.stat().st_size:
    raise errors.InputError(
        f'{source}: no image of the layout {layout}; '
        f'{" ".join(ignored.notes()) or "the folder is empty"}'
    )
  kind = 'group' if chosen.identities or share * len(groups) >= 1 else 'image'
  limit = max(int(share * _HASHES), smallest[kind] + 1) if share else 0
  return {
      'listing': digest.hexdigest(),
      'held_out': {'kind': kind, 'below': limit},
      'notes': ignored.notes(),
  }


def _divide(draft: pathlib.Path, facts: dict[str, Any]) -> dict[str, Any]:
  """Writes the manifests; returns images and groups by split."""
  kind, below = facts['held_out'].values()
  size = facts['images_per_shard']
  images = collections.Counter()
  groups = collections.defaultdict(set)
  alone = collections.Counter()
  manifests = {}
  with (draft / 'all').open(encoding='utf-8') as file:
    for row in file:
      entry = entries.Entry(*json.loads(row))
      split = entry.split
      if split is None:
        held_out = hash_of(_key(entry, kind)) < below
        split = 'validation' if held_out else 'train'
      number, place = divmod(images[split], size)
      if not place:
        if split in manifests:
          manifests[split].close()
        path = draft / f'{split}-{number:05d}.jsonl'
        manifests[split] = path.open('w', encoding='utf-8')
      manifests[split].write(
          json.dumps((entry.name, entry.at, entry.line)) + '\n'
      )
      images[split] += 1
      if entry.group:
        groups[split].add(hash_of(entry.group))
      else:
        alone[split] += 1
  for manifest in manifests.values():
    manifest.close()
  (draft / 'all').unlink()
  if not images['train']:
    raise errors.InputError(
        'no image is left for train; a source of one group only needs'
        ' --validation_share=0'
    )
  present = [split for split in SPLITS if images[split]]
  return {
      'images': {split: images[split] for split in present},
      'groups': {s: len(groups[s]) + alone[s] for s in present},
  }


def _key(entry: entries.Entry, kind: str) -> str:
  return entry.group if kind == 'group' and entry.group else entry.name


def hash_of(key: str) -> int:
  """Returns a hash below 2**64 that is the same everywhere and always."""
  digest = hashlib.blake2b(os.fsencode(key), digest_size=8).digest()
  return int.from_bytes(digest, 'big')


def _difference(folder: pathlib.Path, facts: dict[str, Any]) -> str | None:
  """Returns how the plan in `folder` differs from one with these facts."""
  found = json.loads((folder / 'plan' / 'plan.json').read_text())
  for field, wanted in facts.items():
    if found.get(field) != wanted:
      if field == 'listing':
        return 'another listing of the source, which has changed since'
      return f'--{field}={found.get(field)}, not {wanted}'
  return None
