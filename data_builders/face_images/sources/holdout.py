"""Which images are held out for validation: decided by hashes of names.

The same copy is always divided in the same way, on any machine.
"""

from collections.abc import Iterable
import hashlib
import os
from typing import NamedTuple

from abaw_jax.data_builders.face_images.sources import entries

HASHES = 2**64
# What is held out of a source of people: whole people, or images of everybody.
KINDS = {'people': 'group', 'images': 'image'}


def hash_of(key: str) -> int:
  """Returns a hash below HASHES that is the same everywhere and always."""
  digest = hashlib.blake2b(os.fsencode(key), digest_size=8).digest()
  return int.from_bytes(digest, 'big')


def names(candidates: Iterable[str], share: float) -> frozenset[str]:
  """Returns about `share` of some names, at least one unless that is 0."""
  hashes = {name: hash_of(name) for name in candidates}
  if not share or not hashes:
    return frozenset()
  below = max(int(share * HASHES), min(hashes.values()) + 1)
  return frozenset(name for name, value in hashes.items() if value < below)


class Rule(NamedTuple):
  """What is held out.

  Attributes:
    kind: 'group' or 'image', what is held out as a whole.
    below: hashes below this are.
    kept: hashes of images that are not, so that each group keeps one.
  """

  kind: str
  below: int
  kept: frozenset[int] = frozenset()

  def split(self, entry: entries.Entry) -> str:
    """Returns the split of an image; its own if it has one."""
    if entry.split is not None:
      return entry.split
    value = hash_of(_key(entry, self.kind))
    held_out = value < self.below and value not in self.kept
    return 'validation' if held_out else 'train'


class Survey:
  """Sees every image once, then makes the rule for all of them."""

  def __init__(self, *, keep_one: bool):
    """Starts; `keep_one` if no group may be held out as a whole."""
    self._keep_one = keep_one
    self._groups = set()
    self._smallest = {'group': HASHES, 'image': HASHES}
    self._largest = {}

  def add(self, entry: entries.Entry) -> None:
    """Takes note of an image."""
    group = hash_of(entry.group) if entry.group else None
    if group is not None:
      self._groups.add(group)
    if entry.split is not None:
      return
    for kind in self._smallest:
      value = hash_of(_key(entry, kind))
      self._smallest[kind] = min(self._smallest[kind], value)
    if self._keep_one and group is not None:
      value = hash_of(entry.name)
      self._largest[group] = max(self._largest.get(group, 0), value)

  def rule(self, share: float, kind: str | None) -> Rule:
    """Returns the rule that holds out `share`, at least one unless that is 0.

    Without a kind it is whole groups, if the share makes one of them at least.
    """
    if kind is None:
      kind = 'group' if share * len(self._groups) >= 1 else 'image'
    below = max(int(share * HASHES), self._smallest[kind] + 1) if share else 0
    return Rule(kind, below, frozenset(self._largest.values()))


def _key(entry: entries.Entry, kind: str) -> str:
  return entry.group if kind == 'group' and entry.group else entry.name
