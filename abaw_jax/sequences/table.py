"""The table of all frames of a sequence dataset: keys, labels, and where they lie.

Small enough for memory, unlike the features: some 60 bytes per frame.
"""

from collections.abc import Callable, Sequence
import dataclasses

from jaxtyping import Bool, Int
import numpy as np

from abaw_jax.core import errors, labels
from abaw_jax.data import sources

Columns = dict[str, np.ndarray]
# From where the labels under a mask [n] may be used, to where those of each
# frame are taken from.
Pick = Callable[[Bool[np.ndarray, 'n']], Int[np.ndarray, 'm']]

# The labels under each mask.
LABELS = {
    mask: tuple(task for task, own in labels.MASKS.items() if own == mask)
    for mask in labels.MASKS.values()
}
KEYS = ('frame_id', 'row')
FIELDS = (
    *KEYS,
    *LABELS,
    *labels.MASKS,
)


@dataclasses.dataclass(frozen=True)
class Table:
  """The n distinct frames of all videos, by video and then in the order of time.

  A list may name a frame several times (s-Aff-Wild2 does in 0.7 % of its rows).
  Here it stands once, under the first of its rows, with the first usable label
  of each kind; `listed` leads from its rows back to it.

  Attributes:
    videos: sorted names.
    video_id: int32 [n], index into `videos`; never falls.
    columns: by name in FIELDS, [n, ...]; labels have the sentinels of records.
    places: for each set of records int64 [n, 2]: record, position inside it.
    listed: int64 [r], the frame of each of the rows of the list.
    listed_row: int32 [r], their positions in the list.
    conflicts: frames of which two rows have usable labels that differ.
  """

  videos: tuple[str, ...]
  video_id: Int[np.ndarray, 'n']
  columns: Columns
  places: tuple[Int[np.ndarray, 'n 2'], ...]
  listed: Int[np.ndarray, 'r']
  listed_row: Int[np.ndarray, 'r']
  conflicts: int

  def bounds(self) -> Int[np.ndarray, 'e']:
    """Returns where each video begins, and where the last one ends."""
    return np.searchsorted(self.video_id, np.arange(len(self.videos) + 1))

  def only(self, keep: Bool[np.ndarray, 'v']) -> 'Table':
    """Returns the table of the videos that `keep` is True for."""
    frames = keep[self.video_id]
    rows = frames[self.listed]
    return dataclasses.replace(
        self,
        videos=tuple(np.array(self.videos)[keep].tolist()),
        video_id=_renumber(keep)[self.video_id[frames]].astype(np.int32),
        columns={name: value[frames] for name, value in self.columns.items()},
        places=tuple(places[frames] for places in self.places),
        listed=_renumber(frames)[self.listed[rows]],
        listed_row=self.listed_row[rows],
    )

  def filled(self, max_distance: int) -> 'Table':
    """Returns the table with missing labels taken from near frames.

    A frame without a usable label of a kind has that of the frame of the same
    video that has one and is nearest by frame number, the earlier of two as
    near. AIM3 made the like offline (`trn_target_supplyement`).

    Args:
      max_distance: frames that may lie between the two, at most.
    """
    frame_id = self.columns['frame_id'].astype(np.int64)
    own = np.arange(len(frame_id))

    def distance(other):
      near = np.clip(other, 0, len(own) - 1)
      inside = (near == other) & (self.video_id[near] == self.video_id)
      return np.where(inside, np.abs(frame_id[near] - frame_id), 2**40)

    def nearest(usable):
      before = np.maximum.accumulate(np.where(usable, own, -1))
      after = np.where(usable, own, len(own))
      after = np.minimum.accumulate(after[::-1])[::-1]
      to_before, to_after = distance(before), distance(after)
      chosen = np.where(to_before <= to_after, before, after)
      near = np.minimum(to_before, to_after) <= max_distance
      return np.where(near, chosen, own)

    return dataclasses.replace(
        self, columns=self.columns | _relabelled(self.columns, nearest)
    )


def read(sets: Sequence[Sequence[sources.Records]]) -> Table:
  """Returns the table of all rows, read once; the labels are those of the first.

  Args:
    sets: sequence datasets over the same rows, such as sets of features; each
      as the records of one split or of several. The rows of a second split
      count on where those of the first end.

  Raises:
    InputError: the datasets differ in their rows.
  """
  videos, rows = _rows(sets[0], FIELDS)
  places = [rows['place']]
  for parts in sets[1:]:
    other_videos, other = _rows(parts, KEYS)
    _check_same_rows(sets[0], (videos, rows), parts, (other_videos, other))
    places.append(other['place'])
  video_id = rows['video_id']
  first = np.ones(len(video_id), bool)
  first[1:] = (np.diff(video_id) != 0) | (np.diff(rows['frame_id']) != 0)
  kept = np.flatnonzero(first)
  listed = np.cumsum(first) - 1

  def first_usable(usable):
    chosen = kept.copy()
    candidates = np.flatnonzero(usable)
    frames, at = np.unique(listed[candidates], return_index=True)
    chosen[frames] = candidates[at]
    return chosen

  columns = _relabelled(rows, first_usable)
  return Table(
      videos=videos,
      video_id=video_id[kept].astype(np.int32),
      columns={name: rows[name][kept] for name in KEYS} | columns,
      places=tuple(place[kept] for place in places),
      listed=listed,
      listed_row=rows['row'],
      conflicts=_conflicts(rows, columns, listed),
  )


def _rows(
    parts: Sequence[sources.Records], fields: Sequence[str]
) -> tuple[tuple[str, ...], Columns]:
  """Returns the sorted videos, and of every row its fields, by video and KEYS.

  With them go `video_id` and `place`.
  """
  names, counts, places, columns = [], [], [], {name: [] for name in fields}
  first_row = 0
  for part in parts:
    num_rows = 0
    for record in part.with_fields('video', *fields):
      count = len(record['row'])
      record['row'] = record['row'] + first_row
      places.append(np.stack([np.full(count, len(names)), np.arange(count)], 1))
      names.append(record['video'].decode())
      counts.append(count)
      for name, column in columns.items():
        column.append(record[name])
      num_rows += count
    first_row += num_rows
  rows = {name: np.concatenate(column) for name, column in columns.items()}
  videos, video_id = np.unique(names, return_inverse=True)
  rows['video_id'] = np.repeat(video_id, counts)
  rows['place'] = np.concatenate(places)
  order = np.lexsort((rows['row'], rows['frame_id'], rows['video_id']))
  return tuple(videos.tolist()), {
      k: column[order] for k, column in rows.items()
  }


def _relabelled(columns: Columns, pick: Pick) -> Columns:
  """Returns labels and masks, each kind taken from where `pick` says.

  Every AU has a mask of its own and so is picked on its own.
  """
  taken = {}
  for mask, names in LABELS.items():
    usable = columns[mask].reshape(len(columns[mask]), -1)
    chosen = np.stack([pick(column) for column in usable.T], axis=-1)
    for name in (mask, *names):
      value = columns[name]
      flat = value.reshape(usable.shape)
      flat = np.take_along_axis(flat, chosen, axis=0)
      taken[name] = flat.reshape(-1, *value.shape[1:])
  return taken


def _conflicts(
    rows: Columns, columns: Columns, listed: Int[np.ndarray, 'r']
) -> int:
  """Returns how many frames have a row with another usable label."""
  differing = np.zeros(len(listed), bool)
  for mask, names in LABELS.items():
    for name in names:
      other = rows[mask] & (rows[name] != columns[name][listed])
      differing |= other.reshape(len(listed), -1).any(axis=-1)
  return len(np.unique(listed[differing]))


def _renumber(keep: Bool[np.ndarray, 'n']) -> Int[np.ndarray, 'n']:
  """Returns the new number of each that is kept."""
  return np.cumsum(keep) - 1


def _check_same_rows(first, first_table, other, other_table) -> None:
  """Raises an InputError that names the first row where two datasets differ."""
  (videos, rows), (other_videos, other_rows) = first_table, other_table
  keys = ('video_id', *KEYS)
  if videos == other_videos and all(
      np.array_equal(rows[key], other_rows[key]) for key in keys
  ):
    return
  tables = [
      [
          (names[video_id], frame_id, row)
          for video_id, frame_id, row in zip(
              *(columns[key].tolist() for key in keys), strict=True
          )
      ]
      for names, columns in (first_table, other_table)
  ]
  for rows, lacking, others in (
      (tables[0], other, set(tables[1])),
      (tables[1], first, set(tables[0])),
  ):
    for video, frame_id, row in rows:
      if (video, frame_id, row) not in others:
        raise errors.InputError(
            f'{lacking[0]!r}: video {video} has no frame {frame_id} (row {row}), '
            f'unlike the dataset it is joined with; {first[0]!r} and '
            f'{other[0]!r} must come from the same build: extract the features '
            'again'
        )
