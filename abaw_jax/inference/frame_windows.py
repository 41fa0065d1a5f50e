"""Windows of the frames of a video, for networks that read several frames at once.

The positions of a window count the frames of a video that its dataset has, without
repetitions: a missing frame number has no position. Windows start every `hop`
positions, and each gives the features of the `hop` frames in its middle. Before the
first frame and after the last one, a window repeats that frame.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any, NamedTuple

from jaxtyping import Int
import numpy as np

from abaw_jax.checkpoints import runs
from abaw_jax.core import errors, files
from abaw_jax.data import sources, transforms
from abaw_jax.models import zoo


class Sampling(NamedTuple):
  """Which frames a window has, and which frames get their features from it.

  Attributes:
    num_frames: t, frames of a window.
    tubelet_size: frames with the same features; t if all frames have the same.
    hop: positions from the start of a window to that of the next one.
    sampling_rate: positions from a frame of a window to the next one.
    max_gap: largest difference of the numbers of consecutive frames of a window; a
      larger one ends a part of the video, whose edges are those of a video. 0 = any.
  """

  num_frames: int
  tubelet_size: int
  hop: int
  sampling_rate: int
  max_gap: int

  @classmethod
  def from_options(
      cls, init_from: files.Path, given: Mapping[str, Any]
  ) -> 'Sampling | None':
    """Returns the sampling of the network of weights; None for single images.

    Args:
      init_from: as in `embedder.load`.
      given: the values that are not the defaults: `span`, `hop`, `sampling_rate`
        and `max_gap`.

    Raises:
      InputError: a value is for other networks, or out of its range.
    """
    model = runs.read_config(init_from)['model']
    if not zoo.is_video(model):
      for name, value in given.items():
        raise errors.InputError(
            f'--{name}={value}: is for video networks, but {init_from} reads single '
            'images; leave it out'
        )
      return None
    count, rate = model['num_frames'], given.get('sampling_rate', 1)
    hop = given.get('hop', count * rate // 2)
    if not 1 <= hop <= count * rate:
      raise errors.InputError(
          f'--hop={hop}: is not between 1 and the {count * rate} positions of a '
          'window; some frames would have no features'
      )
    is_window = given.get('span') == 'window'
    return cls(
        num_frames=count,
        tubelet_size=count if is_window else model['tubelet_size'],
        hop=hop,
        sampling_rate=rate,
        max_gap=given.get('max_gap', 0),
    )

  def plan(
      self, position: Int[np.ndarray, 'n']
  ) -> tuple[Int[np.ndarray, 'n t'], Int[np.ndarray, 'n']]:
    """Returns the window of each position, and the tubelet that has the position.

    Args:
      position: 0 is the first frame of a part of a video. Windows may have
        positions before it.
    """
    width = self.num_frames * self.sampling_rate
    start = position - position % self.hop - (width - self.hop) // 2
    offsets = self.sampling_rate * np.arange(self.num_frames)
    # A position between two frames of a window belongs to the first of them.
    frame = (position - start) // self.sampling_rate
    return start[:, None] + offsets[None], frame // self.tubelet_size


@dataclasses.dataclass(frozen=True)
class _Video:
  """The distinct frames of a video, in their order.

  Attributes:
    frame_id: frame numbers.
    record: index of a record with the frame.
    row: its row there.
    first: position of the first frame of its part of the video.
    last: position of the last one.
  """

  frame_id: Int[np.ndarray, 'n']
  record: Int[np.ndarray, 'n']
  row: Int[np.ndarray, 'n']
  first: Int[np.ndarray, 'n']
  last: Int[np.ndarray, 'n']


@dataclasses.dataclass(frozen=True)
class _Records:
  """Records with decoded images, and the inputs of a network that they need.

  A record has `image`, uint8 [m, s, s, 3]; `windows`, the index of the image [k], or
  of each frame [k, t], of every input; and `place`, the index of the features of each
  row in those of all inputs.
  """

  records: sources.Records
  decoding: Mapping[str, Any]

  def __len__(self) -> int:
    return len(self.records)

  def __getitem__(self, index: int) -> dict[str, Any]:
    record = transforms.decode_record(self.records[index], **self.decoding)
    rows = np.arange(len(record['image']))
    return record | {'windows': rows, 'place': rows}


@dataclasses.dataclass(frozen=True)
class _WindowRecords(_Records):
  """`_Records` of a video network; the frames around a record are in others."""

  sampling: Sampling
  videos: Mapping[bytes, _Video]

  def __getitem__(self, index: int) -> dict[str, Any]:
    record, sampling = self.records[index], self.sampling
    video = self.videos[record['video']]
    position = np.searchsorted(video.frame_id, record['frame_id'])
    first, last = video.first[position], video.last[position]
    window, tubelet = sampling.plan(position - first)
    window = np.clip(window + first[:, None], first[:, None], last[:, None])
    windows, which = np.unique(window, axis=0, return_inverse=True)
    needed, images = np.unique(windows, return_inverse=True)
    tubelets = sampling.num_frames // sampling.tubelet_size
    decoded = transforms.decode_record(
        {
            'video': record['video'],
            'frame_id': video.frame_id[needed],
            'image': self._encoded(index, record, video, needed),
        },
        **self.decoding,
    )
    return record | {
        'image': decoded['image'],
        'windows': images.reshape(windows.shape),
        'place': which.reshape(-1) * tubelets + tubelet,
    }

  def _encoded(self, index, record, video, needed) -> list[bytes]:
    """Returns the encoded images of some frames of a video."""
    others = set(video.record[needed].tolist()) - {index}
    records = self.records.with_fields('image')
    found = {index: record} | {i: records[i] for i in others}
    places = zip(video.record[needed], video.row[needed], strict=True)
    return [found[i]['image'][row] for i, row in places]


def read(
    records: sources.Records,
    sampling: Sampling | None,
    decoding: Mapping[str, Any],
) -> _Records:
  """Returns the records of a split with the inputs of a network, by index.

  Args:
    records: `sequences` of a dataset. For a video network, this function reads them
      once, to find the frames of each video.
    sampling: of a video network; None for single images.
    decoding: options of `transforms.decode_record`.
  """
  if not sampling:
    return _Records(records, decoding)
  frames: dict[bytes, list[np.ndarray]] = {}
  for index, record in enumerate(records.with_fields('video', 'frame_id')):
    rows = np.arange(len(record['frame_id']))
    frames.setdefault(record['video'], []).append(
        np.stack([record['frame_id'], np.full_like(rows, index), rows])
    )
  videos = {
      name: _video(np.concatenate(parts, axis=1), sampling.max_gap)
      for name, parts in frames.items()
  }
  return _WindowRecords(records, decoding, sampling, videos)


def _video(frames: Int[np.ndarray, '3 r'], max_gap: int) -> _Video:
  """Returns a video from the number, the record and the row of its frames."""
  frame_id, at = np.unique(frames[0], return_index=True)
  _, record, row = frames[:, at]
  gaps = np.diff(frame_id) > (max_gap or np.inf)
  part = np.concatenate([[0], np.cumsum(gaps)])
  return _Video(
      frame_id=frame_id,
      record=record,
      row=row,
      first=np.searchsorted(part, part),
      last=np.searchsorted(part, part, side='right') - 1,
  )
