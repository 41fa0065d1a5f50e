"""Finds and drops images with identical bytes."""

from collections.abc import Callable, Sequence
import functools
import json
import pathlib
from typing import NamedTuple

import numpy as np

from abaw_jax.core import files
from abaw_jax.data_builders.face_images import plan as plan_lib
from abaw_jax.data_builders.face_images import shards


class Duplicates(NamedTuple):
  """Records with the same source bytes as an earlier record of the plan.

  Attributes:
    places: int [n, 2], shard of each duplicate and its position in the shard.
    firsts: int [n, 2], the same for the first record with these bytes.
  """

  places: np.ndarray
  firsts: np.ndarray

  def in_shard(self, index: int) -> list[int]:
    """Returns the positions of the duplicates in one shard."""
    return self.places[self.places[:, 0] == index, 1].tolist()


def find(plan: plan_lib.Plan) -> Duplicates:
  """Returns the duplicates in all splits, from the hashes in the shard cards."""
  by_shard = [shards.hashes(plan, i) for i in range(len(plan.shards))]
  everything = np.concatenate(by_shard)
  starts = np.cumsum([0, *map(len, by_shard)])
  _, first, which = np.unique(
      everything, return_index=True, return_inverse=True
  )
  origin = first[which]
  again = np.flatnonzero(origin != np.arange(len(everything)))

  def locate(positions: np.ndarray) -> np.ndarray:
    index = np.searchsorted(starts, positions, side='right') - 1
    return np.stack([index, positions - starts[index]], axis=-1)

  return Duplicates(locate(again), locate(origin[again]))


def write(
    duplicates: Duplicates, plan: plan_lib.Plan, path: pathlib.Path
) -> tuple[str, list[str]]:
  """Writes a JSON line for each duplicate.

  Returns:
    The number of duplicates, of those in two splits and of those of two people,
    as text, and a line for each of the first 20.
  """
  entries = functools.lru_cache(64)(lambda index: shards.entries(plan, index))
  labelled = bool(plan.people())
  between_splits = between_people = 0
  first_lines = []
  with path.open('w', encoding='utf-8') as file:
    for place, first in zip(
        duplicates.places.tolist(), duplicates.firsts.tolist(), strict=True
    ):
      (split, entry), (other_split, other) = (
          (plan.shards[index].split, entries(index)[position])
          for index, position in (place, first)
      )
      row = {
          'split': split,
          'name': entry.name,
          'same_as': {'split': other_split, 'name': other.name},
      }
      file.write(json.dumps(row) + '\n')
      between_splits += split != other_split
      between_people += labelled and entry.group != other.group
      if len(first_lines) < 20:
        first_lines.append(
            f'  {split} {entry.name} = {other_split} {other.name}'
        )
  count = len(duplicates.places)
  text = f'{count:,} duplicate{"s" if count > 1 else ""}'
  if between_splits:
    text += f', {between_splits:,} of them in two splits'
  if between_people:
    text += f', {between_people:,} of them with two people'
  return text, first_lines


def drop(
    duplicates: Duplicates,
    plan: plan_lib.Plan,
    run_task: Callable[
        [Callable[[plan_lib.Plan, int], None], Sequence[int]], None
    ],
) -> None:
  """Removes the duplicates from the shards, by `run_task(task, indices)`.

  An interrupted call can be repeated. If an image was fixed in between, a shard
  may have lost other records; such a shard is written again first.
  """
  affected, stale = [], []
  for index, shard in enumerate(plan.shards):
    path, places = plan.drops(shard), duplicates.in_shard(index)
    if path.exists() and json.loads(path.read_text()) != places:
      stale.append(index)
    if places:
      affected.append(index)
  if stale:
    run_task(shards.write_shard, stale)
  for index, shard in enumerate(plan.shards):
    files.write_json(plan.drops(shard), duplicates.in_shard(index))
  run_task(shards.drop_records, affected)
