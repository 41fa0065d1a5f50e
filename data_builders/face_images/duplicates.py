"""Images that are there more than once, byte by byte."""

from collections.abc import Callable, Sequence
import functools
import json
import pathlib
from typing import NamedTuple

import numpy as np

from abaw_jax.data_builders.face_images import plan as plan_lib
from abaw_jax.data_builders.face_images import shards


class Duplicates(NamedTuple):
  """Records whose source bytes an earlier record has, in the plan's order.

  `places[k]` and `firsts[k]`, int [2]: shard and place in it of a record and
  of the first record with the same bytes.
  """

  places: np.ndarray
  firsts: np.ndarray

  def of(self, index: int) -> list[int]:
    """Returns the places of the duplicates in one shard."""
    return self.places[self.places[:, 0] == index, 1].tolist()


def find(plan: plan_lib.Plan) -> Duplicates:
  """Returns the duplicates over all splits, from the cards of the shards."""
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
) -> list[str]:
  """Writes a JSON line per duplicate and returns the first 20 as text."""
  names = functools.lru_cache(64)(lambda index: shards.names(plan, index))
  first_lines = []
  with path.open('w', encoding='utf-8') as file:
    for place, first in zip(
        duplicates.places.tolist(), duplicates.firsts.tolist(), strict=True
    ):
      (split, name), (other_split, other) = (
          (plan.shards[index].split, names(index)[position])
          for index, position in (place, first)
      )
      row = {
          'split': split,
          'name': name,
          'same_as': {'split': other_split, 'name': other},
      }
      file.write(json.dumps(row) + '\n')
      if len(first_lines) < 20:
        first_lines.append(f'  {split} {name} = {other_split} {other}')
  return first_lines


def drop(
    duplicates: Duplicates,
    plan: plan_lib.Plan,
    run: Callable[[Callable[[plan_lib.Plan, int], None], Sequence[int]], None],
) -> None:
  """Removes the duplicates from the shards, by `run(task, indices)`.

  May be cut off and called again. A shard that has lost other records by then,
  because an image was mended in between, is first written anew.
  """
  losing, stale = [], []
  for index, shard in enumerate(plan.shards):
    path, places = plan.drops(shard), duplicates.of(index)
    if path.exists() and json.loads(path.read_text()) != places:
      stale.append(index)
    if places:
      losing.append(index)
  if stale:
    run(shards.write_shard, stale)
  for index, shard in enumerate(plan.shards):
    plan.drops(shard).write_text(json.dumps(duplicates.of(index)))
  run(shards.drop_records, losing)
