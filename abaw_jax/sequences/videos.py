"""Frames of videos: labels are in memory, features are read or in memory too."""

from collections.abc import Callable, Mapping, Sequence
import functools
from typing import Any

from jaxtyping import Bool, Float, Int
import numpy as np

from abaw_jax.core import fingerprint
from abaw_jax.data import mixture, protocol, sources, statistics, transforms
from abaw_jax.sequences import table as table_lib

NORMS = ('none', 'train', 'video', 'batch')
# Number of videos whose moments are cached; each takes 16 bytes per feature.
_MAX_CACHED = 4096
# Number of frames in memory while moments are computed.
_CHUNK = 1024


class Videos:
  """The videos of a dataset; a frame that is listed twice appears once.

  `names` and `sizes` are of all videos, indexed by `video_id`. `dim` is d, the size
  of the joined features; 0 if there are only images. `normalized` [d] says which
  features are normalized.
  """

  def __init__(
      self,
      table: table_lib.Table,
      sets: Sequence[Sequence[sources.Records]],
      *,
      norm: str = 'none',
      normalized: Sequence[bool] | None = None,
  ):
    """Initializes the videos; reads only the first frame.

    The table is that of `sets`, or of some of their videos. The `features` of the
    sets are joined on the last axis. `norm` is one of NORMS. `normalized` says
    which sets are normalized; None means all.
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
    self._features = None  # of all frames, after `fill`
    chosen = [True] * len(dims) if normalized is None else list(normalized)
    self.normalized: Bool[np.ndarray, 'd'] = np.repeat(chosen, dims)
    self._keep_moments()

  @property
  def num_bytes(self) -> int:
    """The memory that `fill` takes."""
    return self._bounds[-1] * self.dim * np.dtype(np.float32).itemsize

  def fill(self, update: Callable[[int], Any]) -> None:
    """Reads all features into memory, video by video.

    Args:
      update: gets the number of new frames after each video.

    Raises:
      InputError: a feature is NaN or infinite.
    """
    features = np.empty((self._bounds[-1], self.dim), np.float32)
    for video_id, size in enumerate(self.sizes):
      part = self._read(video_id, 0, size)
      transforms.check_features(
          part['features'], part['video'], part['frame_id']
      )
      features[slice(*self._bounds[video_id : video_id + 2])] = part['features']
      update(size)
    features.flags.writeable = False  # windows are views
    self._features = features

  def gather(
      self,
      video_id: Int[np.ndarray, 'n'],
      start: Int[np.ndarray, 'n'],
      *,
      length: int,
      rows: int,
  ) -> dict[str, np.ndarray] | None:
    """Returns the frames of n windows at once, padded to [rows, length, ...].

    The fields are those of `transforms.window_batch` that every frame has. None if
    there are no features, or they are normalized by video.

    Raises:
      InputError: a feature is NaN or infinite.
    """
    if not self.dim or self.norm == 'video':
      return None
    bounds = np.asarray(self._bounds)
    first = bounds[video_id] + start
    position = first[:, None] + np.arange(length)
    inside = position < bounds[video_id + 1, None]
    mask = np.zeros((rows, length), bool)
    mask[: len(first)] = inside
    index = np.zeros((rows, length), int)
    index[: len(first)] = np.where(inside, position, 0)
    found = {name: x[index] for name, x in self.table.columns.items()}
    if self._features is not None:
      features = self._features[index]
    else:
      features = np.zeros((*mask.shape, self.dim), np.float32)
      if mask.any():
        features[mask] = self._payload(index[mask])['features']
      finite = np.isfinite(features).all(axis=-1)
      if not finite.all():
        at = tuple(np.argwhere(~finite)[0])
        name = self.names[video_id[at[0]]]
        transforms.check_features(
            features[at][None], name, found['frame_id'][at][None]
        )
    if not mask.all():
      for column in (features, *found.values()):
        column[~mask] = 0
    kept = {name: found[name] for name in table_lib.KEYS}
    kept |= {'features': features, 'frame_mask': mask}
    return kept | transforms.without_sentinels(found)

  def frames(
      self, video_id: int, start: int, stop: int, *, padded: int = 0
  ) -> dict[str, Any]:
    """Returns the fields of up to `stop` - `start` consecutive frames of a video.

    With the norms 'video' and 'batch', the selected features are normalized to
    (x - mean) / std, with the unbiased std, or 1 if that is 0. The statistics are
    computed over:

    - 'video': all frames of the video.
    - 'batch': all frames of the video, and zeros as padding up to `padded` frames.
      The result then also contains normalized padding, which is not 0. Reference:
      AIM3, which pads videos to the longest of their batch before it normalizes.

    The fields are those of records as [n, ...], `video` as str and `video_id` int32.
    `stop` may be after the end of the video.

    Raises:
      InputError: a feature of the video is NaN or infinite.
    """
    window = self._read(video_id, start, stop)
    if self.norm == 'video' and len(window['features']):
      window['features'] = self._standardized(
          window['features'], self.moments(video_id)
      )
    elif self.norm == 'batch':
      padding = min(stop, padded) - start - len(window['features'])
      features = np.pad(window['features'], ((0, padding), (0, 0)))
      padding = padded - self.sizes[video_id]
      zeros = statistics.Moments.zeros(padding, self.dim)
      window['features'] = self._standardized(
          features, self.moments(video_id).merge(zeros)
      )
    return window

  def fingerprints(self) -> dict[str, fingerprint.Fingerprint]:
    """Returns the fingerprint of each feature set, by name."""
    parts = [part.fingerprints() for parts in self._sets for part in parts]
    return fingerprint.merged(*parts)

  def no_frames(self) -> dict[str, Any]:
    """Returns the fields of `frames` with n = 0."""
    return self._read(0, 0, 0)

  def train_statistics(self) -> tuple[Float[np.ndarray, 'd'], ...]:
    """Returns float64 (mean, std) of all frames; reads one video at a time.

    The std is the population standard deviation, or 1 if that is 0. Features that
    are not normalized have mean 0 and std 1.

    Raises:
      InputError: a feature is NaN or infinite.
    """
    total = statistics.Moments.zeros(0, self.dim)
    for video_id in range(len(self.names)):
      total = total.merge(self._measure(video_id))
    return (
        np.where(self.normalized, total.mean, 0.0),
        np.where(self.normalized, total.std(ddof=0), 1.0),
    )

  def listed(self, frames: Mapping[str, np.ndarray]) -> protocol.Rows:
    """Returns one value for each row of the list, sorted by row.

    Frames may have any order and be repeated; their `row` identifies them. Rows
    that list the same frame get the same values, including its labels.
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
    self.moments = functools.lru_cache(_MAX_CACHED)(self._measure)

  def _read(self, video_id: int, start: int, stop: int) -> dict[str, Any]:
    """Returns `frames` without normalization."""
    first, end = self._bounds[video_id : video_id + 2]
    rows = slice(min(first + start, end), min(first + stop, end))
    window = {name: col[rows] for name, col in self.table.columns.items()}
    window['video'] = self.names[video_id]
    window['video_id'] = np.int32(video_id)
    if self._features is not None:
      return window | {'features': self._features[rows]}
    return window | self._payload(rows)

  def _payload(self, rows: slice | Int[np.ndarray, 'n']) -> dict[str, Any]:
    """Returns the large fields of some rows of the table; joins all sets."""
    parts = [
        _gather(store, places[rows]) if len(places[rows]) else empty
        for store, places, empty in zip(
            self._stores, self.table.places, self._empty, strict=True
        )
    ]
    if len(parts) == 1:
      return dict(parts[0])
    features = np.concatenate([part['features'] for part in parts], axis=-1)
    return parts[0] | {'features': features}

  def _measure(self, video_id: int) -> statistics.Moments:
    """Returns the moments of the features of a video."""
    total = statistics.Moments.zeros(0, self.dim)
    for start in range(0, self.sizes[video_id], _CHUNK):
      part = self._read(video_id, start, start + _CHUNK)
      transforms.check_features(
          part['features'], part['video'], part['frame_id']
      )
      total = total.merge(statistics.Moments.of(part['features']))
    return total

  def _standardized(self, features, moments) -> Float[np.ndarray, 'n d']:
    scaled = (features - moments.mean) / moments.std(ddof=1)
    return np.where(self.normalized, scaled, features).astype(np.float32)


def _payload(source: sources.Records) -> list[str]:
  """Returns the fields that are not in the table, because they are large."""
  small = {*table_lib.FIELDS, 'video', 'chunk'}
  return [field for field in source.fields if field not in small]


def _gather(store, places: np.ndarray) -> dict[str, Any]:
  """Returns the rows at `places` as one record; reads each record once."""
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
