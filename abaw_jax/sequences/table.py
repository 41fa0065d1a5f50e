"""The table of all frames of a sequence dataset: keys, labels and positions.

It takes about 60 bytes per frame, so it fits into memory. Features do not.
"""

from collections.abc import Callable, Sequence
import dataclasses

from jaxtyping import Bool, Int
import numpy as np

from abaw_jax.core import errors, labels
from abaw_jax.data import sources

Columns = dict[str, np.ndarray]
# A function from a mask (True for rows whose label may be used) to the row from
# which each frame takes its label.
Pick = Callable[[Bool[np.ndarray, 'n']], Int[np.ndarray, 'm']]

# The labels of each mask.
LABELS = {
    mask: tuple(name for name, own in labels.MASKS.items() if own == mask)
    for mask in labels.MASKS.values()
}
KEYS = ('frame_id', 'row')
FIELDS = tuple(labels.FRAME_COLUMNS)


@dataclasses.dataclass(frozen=True)
class Table:
  """The n distinct frames of all videos, sorted by video and frame number.

  A list may contain a frame several times (0.7 % of the rows of s-Aff-Wild2). The
  table contains it once, with its first row number and the first usable label of
  each kind. `columns` has an array [n, ...] for each name in FIELDS; missing labels
  have the sentinels of the records.
  """

  videos: tuple[str, ...]  # sorted names
  video_id: Int[np.ndarray, 'n']  # index into `videos`, ascending
  columns: Columns
  places: tuple[Int[np.ndarray, 'n 2'], ...]  # by feature set: record, position
  listed: Int[np.ndarray, 'r']  # index of the frame of each row of the list
  listed_row: Int[np.ndarray, 'r']  # position of these rows in the list
  conflicts: int  # frames with different usable labels in two rows

  def bounds(self) -> Int[np.ndarray, 'e']:
    """Returns the index of the first frame of each video, and n at the end."""
    return np.searchsorted(self.video_id, np.arange(len(self.videos) + 1))

  def only(self, keep: Bool[np.ndarray, 'v']) -> 'Table':
    """Returns the table of the videos for which `keep` is True."""
    frames = keep[self.video_id]
    rows = frames[self.listed]
    return dataclasses.replace(
        self,
        videos=tuple(np.array(self.videos)[keep].tolist()),
        # Sums minus one are the new indices of kept items.
        video_id=(np.cumsum(keep) - 1)[self.video_id[frames]].astype(np.int32),
        columns={name: value[frames] for name, value in self.columns.items()},
        places=tuple(places[frames] for places in self.places),
        listed=(np.cumsum(frames) - 1)[self.listed[rows]],
        listed_row=self.listed_row[rows],
    )

  def filled(self, max_distance: int) -> 'Table':
    """Returns the table with missing labels copied from the nearest frames.

    A missing label of a frame comes from the frame of the same video that has one
    and is nearest by frame number. If two are equally near, it is the earlier one.
    The frame numbers differ by at most `max_distance`. AIM3 did a similar step
    offline (`trn_target_supplyement`).
    """
    frame_id = self.columns['frame_id'].astype(np.int64)
    index = np.arange(len(frame_id))

    def distance(other):
      near = np.clip(other, 0, len(index) - 1)
      inside = (near == other) & (self.video_id[near] == self.video_id)
      return np.where(inside, np.abs(frame_id[near] - frame_id), 2**40)

    def nearest(usable):
      before = np.maximum.accumulate(np.where(usable, index, -1))
      after = np.where(usable, index, len(index))
      after = np.minimum.accumulate(after[::-1])[::-1]
      to_before, to_after = distance(before), distance(after)
      chosen = np.where(to_before <= to_after, before, after)
      near = np.minimum(to_before, to_after) <= max_distance
      return np.where(near, chosen, index)

    return dataclasses.replace(
        self, columns=self.columns | _relabelled(self.columns, nearest)
    )


def read(sets: Sequence[Sequence[sources.Records]]) -> Table:
  """Returns the table of all rows; reads each dataset once.

  Feature sets have the same frames, in the records of one or more splits. The row
  numbers of a second split continue after the first. The labels come from the first
  set.

  Raises:
    InputError: two datasets have different rows.
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
  """Returns the sorted videos, and the fields of all rows with two more.

  These are `video_id` and `place`. Rows are sorted by video, frame and row number.
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
  """Returns the labels and masks at the rows that `pick` selects.

  It selects them for each kind of label. Each AU has its own mask, so it also
  selects them for each AU.
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
  """Returns the number of frames with different usable labels in two rows."""
  differing = np.zeros(len(listed), bool)
  for mask, names in LABELS.items():
    for name in names:
      other = rows[mask] & (rows[name] != columns[name][listed])
      differing |= other.reshape(len(listed), -1).any(axis=-1)
  return len(np.unique(listed[differing]))


def _check_same_rows(first, first_table, other, other_table) -> None:
  """Raises an InputError that names the first row in only one of two datasets."""
  (videos, rows), (other_videos, other_rows) = first_table, other_table
  keys = ('video_id', *KEYS)
  if videos == other_videos and all(
      np.array_equal(rows[key], other_rows[key]) for key in keys
  ):
    return
  tables = [
      {
          (names[video_id], frame_id, row)
          for video_id, frame_id, row in zip(
              *(columns[key].tolist() for key in keys), strict=True
          )
      }
      for names, columns in (first_table, other_table)
  ]
  for incomplete, absent in (
      (other, tables[0] - tables[1]),
      (first, tables[1] - tables[0]),
  ):
    if absent:
      video, frame_id, row = min(absent)
      raise errors.InputError(
          f'{incomplete[0]!r}: video {video} has no frame {frame_id} (row {row}), '
          f'but the other feature set has it; {first[0]!r} and {other[0]!r} '
          'must come from the same build: extract the features again'
      )
