"""From records to a batch: decoded, padded and masked.

Sentinels stop here: under a False mask every label is 0. Records are taken one
at a time, at most `rows` of them, and the rows behind the last one are 0 and
False. All functions work on NumPy and are picklable, so worker processes can run
them.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jaxtyping import Float, Int, UInt8
import numpy as np

from abaw_jax.core import errors, labels
from abaw_jax.data import images, votes

Record = Mapping[str, Any]
Batch = dict[str, np.ndarray]

_FRAME_FIELDS = (*labels.MASKS, 'va', 'expr', 'au_mask', 'row')
# What a window has one of.
_WINDOW_FIELDS = ('real', 'video_id', 'start', 'window_length')
# What the image of a person is read as.
IDENTITY_FIELDS = ('image', 'identity')
# What a labelled image is read as.
FRAME_FIELDS = ('image', *_FRAME_FIELDS)


def image_batch(
    records: Iterable[Record], *, rows: int, image_size: int
) -> Batch:
  """Returns `image` uint8 [b,s,s,3] RGB and `real` [b]: all pretraining needs.

  An image is the central square of the record's at the size s = `image_size`,
  see `images.fill`.

  Raises:
    InputError: an image cannot be decoded; does not say which.
  """
  faces = np.empty((rows, image_size, image_size, 3), np.uint8)
  count = sum(1 for _ in _decoded(records, faces))
  return _images(faces, count)


def frame_batch(
    records: Iterable[Record],
    *,
    rows: int,
    image_size: int,
    probs: bool = False,
) -> Batch:
  """Returns a `labels.FrameBatch`; see `image_batch`.

  With `probs` it is a `labels.SoftFrameBatch`, its distributions from the votes of
  records that have them.
  """
  faces = np.empty((rows, image_size, image_size, 3), np.uint8)
  kept, expression_probs = [], []
  for record in _decoded(records, faces):
    kept.append([record[field] for field in _FRAME_FIELDS])
    if probs:
      expression_probs.append(_expression_probs(record))
  columns = {
      field: _pad(np.array(column), rows)
      for field, column in zip(
          _FRAME_FIELDS, zip(*kept, strict=True), strict=True
      )
  }
  batch = {
      **_images(faces, len(kept)),
      **_without_sentinels(columns),
      'row': columns['row'],
  }
  if probs:
    batch['expression_probs'] = _pad(np.array(expression_probs), rows)
    batch['expr'] = batch['expression_probs'].any(axis=-1)
  return batch


def identity_batch(
    records: Iterable[Record], *, rows: int, image_size: int
) -> Batch:
  """Returns an `image_batch` with `identity` int32 [b]; 0 behind the last."""
  faces = np.empty((rows, image_size, image_size, 3), np.uint8)
  identity = [record['identity'] for record in _decoded(records, faces)]
  return {
      **_images(faces, len(identity)),
      'identity': _pad(np.array(identity, np.int32), rows),
  }


def window_batch(windows: Iterable[Record], *, rows: int, length: int) -> Batch:
  """Returns a `labels.SequenceBatch`, its windows padded to `length` frames.

  Everything is 0 or False on the padding behind the last frame, but for features
  that a window has there. `window_length` is the same in all rows.

  Raises:
    InputError: a feature is NaN or infinite.
  """
  examples = [_window(window, length) for window in windows]
  batch = {
      field: _pad(np.array([example[field] for example in examples]), rows)
      for field in examples[0]
  }
  return batch | {'window_length': np.repeat(batch['window_length'][:1], rows)}


def decode_record(record: Record, *, image_size: int) -> dict[str, Any]:
  """Returns a `sequences` record with `image` decoded, uint8 [n,s,s,3].

  Raises:
    InputError: an image cannot be decoded; names its frame.
  """
  faces = np.empty((len(record['image']), image_size, image_size, 3), np.uint8)
  frames = zip(faces, record['image'], record['frame_id'], strict=True)
  for face, image, frame_id in frames:
    try:
      images.fill(face, image)
    except errors.InputError as error:
      video = record['video'].decode()
      raise errors.InputError(
          f'video {video} frame {frame_id}: {error}'
      ) from error
  return {**record, 'image': faces}


def check_features(
    features: Float[np.ndarray, 'n d'],
    video: str,
    frame_id: Int[np.ndarray, 'n'],
) -> None:
  """Raises an InputError that names the first frame with a bad feature.

  Args:
    features: one row per frame.
    video: name of the video, for the message.
    frame_id: frame numbers, for the message.
  """
  finite = np.isfinite(features).all(axis=-1)
  if not finite.all():
    frame = frame_id[np.argmin(finite)]
    raise errors.InputError(
        f'video {video} frame {frame}: features are NaN or infinite; extract '
        'them again from a checkpoint that is finite'
    )


def _expression_probs(record: Record) -> Float[np.ndarray, '8']:
  """Returns the probability of each expression; all 0 without a label."""
  if 'votes' in record:
    return votes.distribution(record['votes']).astype(np.float32)
  probs = np.zeros(labels.NUM_EXPRESSIONS, np.float32)
  if record['expr']:
    probs[record['expression']] = 1.0
  return probs


def _decoded(
    records: Iterable[Record], faces: UInt8[np.ndarray, 'b s s 3']
) -> Iterator[Record]:
  """Yields each record once its image fills the next of `faces`."""
  for face, record in zip(faces, records, strict=False):
    images.fill(face, record['image'])
    yield record


def _images(faces: UInt8[np.ndarray, 'b s s 3'], count: int) -> Batch:
  """Returns the first `count` faces as the real ones, the others as zeros."""
  faces[count:] = 0
  return {'image': faces, 'real': np.arange(len(faces)) < count}


def _window(window: Record, length: int) -> dict[str, Any]:
  """Returns one row of a `labels.SequenceBatch`."""
  real = window['features'][: len(window['frame_id'])]
  check_features(real, window['video'], window['frame_id'])
  frames = {
      'features': window['features'],
      **_without_sentinels(window),
      'frame_mask': np.ones(len(window['frame_id']), bool),
      'frame_id': window['frame_id'],
      'row': window['row'],
  }
  return {
      **{field: _pad(value, length) for field, value in frames.items()},
      **{field: window[field] for field in _WINDOW_FIELDS},
  }


def _without_sentinels(rows: Record) -> dict[str, np.ndarray]:
  """Returns labels and masks of frames or of a window; 0 under a False mask."""
  values = {
      field: np.where(rows[mask], rows[field], rows[field].dtype.type(0))
      for field, mask in labels.MASKS.items()
  }
  return values | {mask: rows[mask] for mask in labels.MASKS.values()}


def _pad(value: np.ndarray, length: int) -> np.ndarray:
  padded = np.zeros((length, *value.shape[1:]), value.dtype)
  padded[: len(value)] = value
  return padded
