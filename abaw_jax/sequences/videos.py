"""Consecutive frames of videos: labels from memory, features read when needed."""

from collections.abc import Mapping, Sequence
import functools
from typing import Any

from jaxtyping import Bool, Float
import numpy as np

from abaw_jax.data import mixture, protocol, sources, statistics, transforms
from abaw_jax.sequences import table as table_lib

NORMS = ('none', 'train', 'video', 'batch')
# Videos whose moments are kept, which take 16 bytes per feature.
_KEPT = 4096
# Frames that are in memory at once while moments are measured.
_CHUNK = 1024


class Videos:
  """The videos of a dataset; a frame that is listed twice is there once.

  Attributes:
    names: the sorted names of all videos; a `video_id` is an index into them.
    sizes: distinct frames of each.
    table: their keys and labels.
    dim: d, the size of the joined features; 0 if there are only images.
    norm: see `frames`.
  """

  def __init__(
      self,
      table: table_lib.Table,
      sets: Sequence[Sequence[sources.Records]],
      *,
      norm: str = 'none',
      normalised: Sequence[bool] | None = None,
  ):
    """Reads no more than the first frame.

    Args:
      table: of `sets`, or a part of it.
      sets: as in `table.read`; the `features` of several are joined on the last
        axis.
      norm: one of NORMS.
      normalised: whether each set takes part in it; None means all do.
    """
    self.names = table.videos
    self.table = table
    self.norm = norm
    self._sets = tuple(tuple(parts) for parts in sets)
    self._bounds = table.bounds().tolist()
    self.sizes = tuple(np.diff(self._bounds).tolist())
    self._stores = [
        mixture.Mixture([part.with_fields(*_payload(part)) for part in parts])
        for parts in sets
    ]
    self._empty = [
        {name: value[:0] for name, value in _gather(store, places[:1]).items()}
        for store, places in zip(self._stores, table.places, strict=True)
    ]
    dims = [
        part['features'].shape[-1] if 'features' in part else 0
        for part in self._empty
    ]
    self.dim = sum(dims)
    chosen = [True] * len(dims) if normalised is None else list(normalised)
    self.normalised: Bool[np.ndarray, 'd'] = np.repeat(chosen, dims)
    self._keep_moments()

  def frames(
      self, video_id: int, start: int, stop: int, *, padded: int = 0
  ) -> dict[str, Any]:
    """Returns the fields of n frames of a video, fewer where it ends.

    Columns of features that take part are made (x - mean) / std, with the
    unbiased std, or 1 where that is 0, for these norms:

    - 'video': of the frames of the video.
    - 'batch': of these and of zeros up to `padded` frames. Features then have
      as many rows as `padded` allows, and those behind the last frame are not 0.
      Reference: AIM3, whose statistics are of videos padded to the longest of
      their batch.

    Args:
      video_id: index into `names`.
      start: first frame.
      stop: one behind the last frame; may lie behind the end.
      padded: frames of the longest video beside this one.

    Returns:
      The fields of records as [n, ...], `video` as str and `video_id` int32.

    Raises:
      InputError: a feature of a video that is normalised is NaN or infinite.
    """
    window = self._read(video_id, start, stop)
    if self.norm == 'video' and len(window['features']):
      window['features'] = self._standardised(
          window['features'], self.moments(video_id)
      )
    elif self.norm == 'batch':
      behind = min(stop, padded) - start - len(window['features'])
      features = np.pad(window['features'], ((0, behind), (0, 0)))
      behind = padded - self.sizes[video_id]
      zeros = statistics.Moments.zeros(behind, self.dim)
      window['features'] = self._standardised(
          features, self.moments(video_id).merge(zeros)
      )
    return window

  def no_frames(self) -> dict[str, Any]:
    """Returns what `frames` does, without any frame."""
    return self._read(0, 0, 0)

  def train_statistics(
      self,
  ) -> tuple[Float[np.ndarray, 'd'], Float[np.ndarray, 'd']]:
    """Returns float64 (mean, std) of all frames, read video by video.

    The std is that of a population, 1 where it is 0. Columns that take no part
    have mean 0 and std 1.

    Raises:
      InputError: a feature is NaN or infinite.
    """
    total = statistics.Moments.zeros(0, self.dim)
    for video_id in range(len(self.names)):
      total = total.merge(self._measure(video_id))
    return (
        np.where(self.normalised, total.mean, 0.0),
        np.where(self.normalised, total.std(ddof=0), 1.0),
    )

  def listed(self, frames: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns values per frame as values per row of the list, by row.

    Rows that name the same frame have the same values, labels too.

    Args:
      frames: arrays [n, ...] in any order, of every frame at least once; `row`
        says which.
    """
    rows, at = np.unique(frames['row'], return_index=True)
    kept = self.table.columns['row'][self.table.listed]
    take = at[np.searchsorted(rows, kept)]
    listed = {name: value[take] for name, value in frames.items()}
    return listed | {'row': self.table.listed_row}

  def __getstate__(self):
    state = self.__dict__.copy()
    del state['moments']
    return state

  def __setstate__(self, state):
    self.__dict__.update(state)
    self._keep_moments()

  def __repr__(self) -> str:
    sets = [part for parts in self._sets for part in parts]
    return f'Videos({sets}, {len(self.names)} videos)'

  def _keep_moments(self) -> None:
    self.moments = functools.lru_cache(_KEPT)(self._measure)

  def _read(self, video_id: int, start: int, stop: int) -> dict[str, Any]:
    """Returns `frames` with the features as they are stored."""
    first, end = self._bounds[video_id : video_id + 2]
    rows = slice(min(first + start, end), min(first + stop, end))
    window = {name: col[rows] for name, col in self.table.columns.items()}
    parts = [
        _gather(store, places[rows]) if rows.start < rows.stop else empty
        for store, places, empty in zip(
            self._stores, self.table.places, self._empty, strict=True
        )
    ]
    window |= parts[0]
    if len(parts) > 1:
      window['features'] = np.concatenate(
          [part['features'] for part in parts], axis=-1
      )
    window['video'] = self.names[video_id]
    window['video_id'] = np.int32(video_id)
    return window

  def _measure(self, video_id: int) -> statistics.Moments:
    """Returns the moments of a video's features."""
    total = statistics.Moments.zeros(0, self.dim)
    for start in range(0, self.sizes[video_id], _CHUNK):
      part = self._read(video_id, start, start + _CHUNK)
      transforms.check_features(
          part['features'], part['video'], part['frame_id']
      )
      total = total.merge(statistics.Moments.of(part['features']))
    return total

  def _standardised(self, features, moments) -> Float[np.ndarray, 'n d']:
    scaled = (features - moments.mean) / moments.std(ddof=1)
    return np.where(self.normalised, scaled, features).astype(np.float32)


class VideoSource(protocol.Source):
  """A source of examples that are windows of videos.

  Attributes:
    videos: the videos that the windows are cut from.
  """

  def __init__(self, videos: Videos):
    self.videos = videos

  def listed(self, rows: Mapping[str, np.ndarray]) -> protocol.Rows:
    """Returns the predictions of every row of the list; see `Videos.listed`."""
    return self.videos.listed(rows)

  def names(self, rows: Mapping[str, np.ndarray]) -> protocol.Rows:
    """Returns the name of the `video` of each row."""
    return {'video': np.array(self.videos.names)[rows['video_id']]}


def _payload(source: sources.Records) -> list[str]:
  """Returns the fields that are too large for the table."""
  small = {*table_lib.FIELDS, 'video', 'chunk'}
  return [field for field in source.fields if field not in small]


def _gather(store, places: np.ndarray) -> dict[str, Any]:
  """Returns the rows at `places` as one record, reading each record once."""
  indices, part = np.unique(places[:, 0], return_inverse=True)
  parts = [store[index] for index in indices.tolist()]
  gathered = {}
  for field, value in parts[0].items():
    lengths = [len(record[field]) for record in parts]
    take = np.cumsum([0, *lengths[:-1]])[part] + places[:, 1]
    if isinstance(value, list):
      flat = [item for record in parts for item in record[field]]
      gathered[field] = [flat[position] for position in take]
    else:
      gathered[field] = np.concatenate([p[field] for p in parts])[take]
  return gathered
