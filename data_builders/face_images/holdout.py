"""Chooses the images held out for validation, by hashes of their names.

The same source has the same split on every machine.
"""

from collections.abc import Iterable
import hashlib
import os
from typing import NamedTuple

from abaw_jax.data_builders.face_images.sources import entries

HASHES = 2**64
# Value of --hold_out -> Rule.kind: all images of some people, or some images of
# each person.
KINDS = {'people': 'group', 'images': 'image'}


def hash_of(key: str | bytes) -> int:
  """Returns a hash below HASHES that is the same on every machine."""
  digest = hashlib.blake2b(os.fsencode(key), digest_size=8).digest()
  return int.from_bytes(digest, 'big')


def names(candidates: Iterable[str], share: float) -> frozenset[str]:
  """Returns about the fraction `share` of names; at least one unless it is 0."""
  hashes = {name: hash_of(name) for name in candidates}
  if not share or not hashes:
    return frozenset()
  below = max(int(share * HASHES), min(hashes.values()) + 1)
  return frozenset(name for name, value in hashes.items() if value < below)


class Rule(NamedTuple):
  """The rule that assigns an image to train or validation.

  Attributes:
    kind: 'group' to hold out all images of a group, 'image' for single images.
    below: groups or images with a hash below this are held out.
    kept: hashes of images that stay in train, so that each group keeps one.
  """

  kind: str
  below: int
  kept: frozenset[int] = frozenset()

  def split(self, entry: entries.Entry) -> str:
    """Returns the split of an image; the split of the source if it has one."""
    if entry.split is not None:
      return entry.split
    value = hash_of(_key(entry, self.kind))
    held_out = value < self.below and value not in self.kept
    return 'validation' if held_out else 'train'


class Survey:
  """Collects the hashes of all images, then makes the rule."""

  def __init__(self, *, keep_one: bool):
    """Starts; with `keep_one`, each group keeps an image in train."""
    self._keep_one = keep_one
    self._groups = set()
    self._smallest = {'group': HASHES, 'image': HASHES}
    self._largest = {}

  def add(self, entry: entries.Entry) -> None:
    """Adds an image."""
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
    """Returns a rule that holds out about the fraction `share`.

    At least one group or image is held out unless `share` is 0. If `kind` is
    None, groups are held out if `share` is at least one group, else images.
    """
    if kind is None:
      kind = 'group' if share * len(self._groups) >= 1 else 'image'
    below = max(int(share * HASHES), self._smallest[kind] + 1) if share else 0
    return Rule(kind, below, frozenset(self._largest.values()))


def _key(entry: entries.Entry, kind: str) -> str:
  return entry.group if kind == 'group' and entry.group else entry.name
