"""Windows of consecutive frames over the videos of a sequence dataset."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from abaw_jax import errors
from abaw_jax.data import sources


class Windows:
  """Windows of up to `length` frames of one video, in the order of time.

  The windows of a video start at its rows 0, stride, 2 stride, ... as long as
  they bring a new row, so stride == length gives each row exactly once. The
  last window of a video may be short. A window is a dict of the fields of a
  record with [n, ...] values, n <= length, `video` as str and `video_id` int32,
  the index into `videos`. Labels and sentinels are those of the records.

  Attributes:
    videos: the sorted names of all videos.
    num_rows: rows of the dataset, each repeated row counted.
  """

  def __init__(
      self, records: Sequence[sources.Records], *, length: int, stride: int
  ):
    """Reads every record once to learn where each row lies.

    Args:
      records: sequence datasets over the same rows. The labels are those of the
        first; with several, their `features` are joined on the last axis.
      length: frames per window.
      stride: frames between the starts of two windows, at most `length`.

    Raises:
      InputError: the datasets differ in their rows, or the stride in the config
        would lose rows.
    """
    if not 0 < stride <= length:
      raise errors.InputError(
          f'stride is {stride} and length {length}: rows between two windows '
          'would be lost; choose 1 <= stride <= length'
      )
    self._records = tuple(records)
    self._length = length
    self._stride = stride
    tables = [_table(source) for source in self._records]
    for source, table in zip(self._records[1:], tables[1:], strict=True):
      _check_same_rows(self._records[0], tables[0], source, table)
    self._places = [places for _, places in tables]  # [rows, 2] per source
    rows, _ = tables[0]
    names, starts = np.unique([row[0] for row in rows], return_index=True)
    self.videos: tuple[str, ...] = tuple(names.tolist())
    self.num_rows = len(rows)
    ends = [*starts[1:].tolist(), self.num_rows]
    self._windows = [
        (video_id, start, min(start + length, end))
        for video_id, (first, end) in enumerate(
            zip(starts.tolist(), ends, strict=True)
        )
        for start in range(first, max(end - length + stride, first + 1), stride)
    ]

  def __len__(self) -> int:
    return len(self._windows)

  def __getitem__(self, index: int) -> dict[str, Any]:
    video_id, start, stop = self._windows[index]
    parts = [
        _gather(source, places[start:stop])
        for source, places in zip(self._records, self._places, strict=True)
    ]
    window = parts[0]
    if len(parts) > 1:
      window['features'] = np.concatenate(
          [part['features'] for part in parts], axis=-1
      )
    window['video'] = self.videos[video_id]
    window['video_id'] = np.int32(video_id)
    return window

  def __repr__(self) -> str:
    return (
        f'Windows({list(self._records)}, length={self._length}, '
        f'stride={self._stride}, {len(self)} windows)'
    )


def _table(source: sources.Records):
  """Returns every row's (video, frame_id, row), sorted, and its place.

  A place is the position of a record and the position inside it.
  """
  rows = []
  keys = source.with_fields('video', 'frame_id', 'row')
  for record_index, record in enumerate(keys):
    video = record['video'].decode()
    frames = zip(
        record['frame_id'].tolist(), record['row'].tolist(), strict=True
    )
    for position, (frame_id, row) in enumerate(frames):
      rows.append(((video, frame_id, row), (record_index, position)))
  rows.sort()
  return [key for key, _ in rows], np.array([place for _, place in rows])


def _check_same_rows(first, first_table, other, other_table):
  """Raises an InputError that names the first row where two tables differ."""
  for rows, lacking, others in (
      (first_table[0], other, set(other_table[0])),
      (other_table[0], first, set(first_table[0])),
  ):
    for video, frame_id, row in rows:
      if (video, frame_id, row) not in others:
        raise errors.InputError(
            f'{lacking!r}: video {video} has no frame {frame_id} (row {row}), '
            f'unlike the dataset it is joined with; {first!r} and {other!r} '
            'must come from the same build: extract the features again'
        )


def _gather(source: sources.Records, places: np.ndarray) -> dict[str, Any]:
  """Returns the rows at `places` as one record, reading each record once."""
  indices, part = np.unique(places[:, 0], return_inverse=True)
  parts = [source[index] for index in indices.tolist()]
  lengths = [len(record['frame_id']) for record in parts]
  take = np.cumsum([0, *lengths[:-1]])[part] + places[:, 1]
  gathered = {}
  for field, value in parts[0].items():
    if isinstance(value, list):
      flat = [item for record in parts for item in record[field]]
      gathered[field] = [flat[position] for position in take]
    elif np.ndim(value):
      gathered[field] = np.concatenate([p[field] for p in parts])[take]
  return gathered
