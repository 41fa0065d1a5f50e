"""Turns records into a batch: decodes, pads and masks.

Sentinels are removed here: a label under a False mask is 0. A function reads at
most `rows` records, one at a time, and pads the other rows with 0 and False. All
functions use NumPy only and can be pickled for worker processes.
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
# Fields with one value for each window, not for each frame.
_WINDOW_FIELDS = ('real', 'video_id', 'start', 'window_length')
# Fields to read from a record for `identity_batch`.
IDENTITY_FIELDS = ('image', 'identity')
# Fields to read from a record for `frame_batch`.
FRAME_FIELDS = ('image', *_FRAME_FIELDS)


def image_batch(
    records: Iterable[Record],
    *,
    rows: int,
    image_size: int,
    resizing: images.Resizing = images.OURS,
) -> Batch:
  """Returns the batch for pretraining: `image` and `real`.

  Args:
    records: records with `image`.
    rows: b, rows of the batch.
    image_size: s, the side in pixels to which images are resized.
    resizing: how images become squares.

  Returns:
    `image` uint8 [b,s,s,3] RGB and `real` bool [b], False for padding.

  Raises:
    InputError: an image cannot be decoded; the message does not name it.
  """
  faces = np.empty((rows, image_size, image_size, 3), np.uint8)
  count = sum(1 for _ in _decoded(records, faces, resizing))
  return _images(faces, count)


def frame_batch(
    records: Iterable[Record],
    *,
    rows: int,
    image_size: int,
    resizing: images.Resizing = images.OURS,
    probs: bool = False,
    identity: bool = False,
) -> Batch:
  """Returns a `labels.FrameBatch`; see `image_batch`.

  With `probs`, it is a `labels.SoftFrameBatch`. The distributions come from the
  votes of a record, or from its class if it has no votes. With `identity`, it also
  has the `identity` of each record, see `image_sources.Identified`.
  """
  faces = np.empty((rows, image_size, image_size, 3), np.uint8)
  kept, expression_probs, identities = [], [], []
  for record in _decoded(records, faces, resizing):
    pseudo = [name for name in labels.PSEUDO.values() if name in record]
    kept.append({k: record[k] for k in (*_FRAME_FIELDS, *pseudo)})
    if probs:
      expression_probs.append(_expression_probs(record))
    if identity:
      identities.append(record['identity'])
  columns = {
      field: _pad(np.array([row[field] for row in kept]), rows)
      for field in kept[0]
  }
  batch = {
      **_images(faces, len(kept)),
      **without_sentinels(columns),
      'row': columns['row'],
  }
  if probs:
    batch['expression_probs'] = _pad(np.array(expression_probs), rows)
    batch['expr'] = batch['expression_probs'].any(axis=-1)
  if identity:
    batch['identity'] = _pad(np.array(identities, np.int32), rows)
  return batch


def identity_batch(
    records: Iterable[Record],
    *,
    rows: int,
    image_size: int,
    resizing: images.Resizing = images.OURS,
) -> Batch:
  """Returns an `image_batch` with `identity` int32 [b], 0 for padding."""
  faces = np.empty((rows, image_size, image_size, 3), np.uint8)
  identity = [x['identity'] for x in _decoded(records, faces, resizing)]
  return {
      **_images(faces, len(identity)),
      'identity': _pad(np.array(identity, np.int32), rows),
  }


def decoded_columns(
    records: Iterable[Record],
    *,
    rows: int,
    image_size: int,
    resizing: images.Resizing = images.OURS,
) -> Batch:
  """Returns all fields of records as they are, without padding; decodes `image`.

  Row i of each array is the field of record i. See `image_batch`.
  """
  faces = np.empty((rows, image_size, image_size, 3), np.uint8)
  kept = [
      {name: value for name, value in record.items() if name != 'image'}
      for record in _decoded(records, faces, resizing)
  ]
  others = {name: np.array([row[name] for row in kept]) for name in kept[0]}
  return {'image': faces[: len(kept)]} | others


def window_batch(windows: Iterable[Record], *, rows: int, length: int) -> Batch:
  """Returns a `labels.SequenceBatch` with windows padded to `length` frames.

  Padding is 0 and False. Only features may differ from 0 after the last frame of a
  window, because the norm 'batch' also normalizes padding. `window_length` is the
  same in all rows.

  Raises:
    InputError: a feature is NaN or infinite.
  """
  examples = [_window(window, length) for window in windows]
  batch = {
      field: _pad(np.array([example[field] for example in examples]), rows)
      for field in examples[0]
  }
  return batch | {'window_length': np.repeat(batch['window_length'][:1], rows)}


def decode_record(
    record: Record,
    *,
    image_size: int,
    resizing: images.Resizing = images.OURS,
) -> dict[str, Any]:
  """Returns a `sequences` record with decoded `image`, uint8 [n,s,s,3].

  Raises:
    InputError: an image cannot be decoded; the message names its frame.
  """
  faces = np.empty((len(record['image']), image_size, image_size, 3), np.uint8)
  frames = zip(faces, record['image'], record['frame_id'], strict=True)
  for face, image, frame_id in frames:
    try:
      images.fill(face, image, resizing)
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
  """Checks that all features are finite.

  Args:
    features: one row for each frame.
    video: name of the video, for the message.
    frame_id: frame numbers, for the message.

  Raises:
    InputError: a feature is NaN or infinite; the message names its frame.
  """
  finite = np.isfinite(features).all(axis=-1)
  if not finite.all():
    frame = frame_id[np.argmin(finite)]
    raise errors.InputError(
        f'video {video} frame {frame}: features are NaN or infinite; extract '
        'them again from a checkpoint with finite weights'
    )


def _expression_probs(record: Record) -> Float[np.ndarray, '8']:
  """Returns the probability of each expression; all 0 without a label."""
  if 'votes' in record and not record.get('pseudo_expr'):
    return votes.distribution(record['votes']).astype(np.float32)
  probs = np.zeros(labels.NUM_EXPRESSIONS, np.float32)
  if record['expr']:
    probs[record['expression']] = 1.0
  return probs


def _decoded(
    records: Iterable[Record],
    faces: UInt8[np.ndarray, 'b s s 3'],
    resizing: images.Resizing,
) -> Iterator[Record]:
  """Decodes each image into the next row of `faces`, then yields its record."""
  for face, record in zip(faces, records, strict=False):
    images.fill(face, record['image'], resizing)
    yield record


def _images(faces: UInt8[np.ndarray, 'b s s 3'], count: int) -> Batch:
  """Returns `image` and `real`; faces from `count` on become padding."""
  faces[count:] = 0
  return {'image': faces, 'real': np.arange(len(faces)) < count}


def _window(window: Record, length: int) -> dict[str, Any]:
  """Returns one row of a `labels.SequenceBatch`."""
  real = window['features'][: len(window['frame_id'])]
  check_features(real, window['video'], window['frame_id'])
  frames = {
      'features': window['features'],
      **without_sentinels(window),
      'frame_mask': np.ones(len(window['frame_id']), bool),
      'frame_id': window['frame_id'],
      'row': window['row'],
  }
  return {
      **{field: _pad(value, length) for field, value in frames.items()},
      **{field: window[field] for field in _WINDOW_FIELDS},
  }


def without_sentinels(rows: Record) -> dict[str, np.ndarray]:
  """Returns labels and masks; labels under a False mask are 0."""
  values = {
      field: np.where(rows[mask], rows[field], rows[field].dtype.type(0))
      for field, mask in labels.MASKS.items()
  }
  pseudo = [name for name in labels.PSEUDO.values() if name in rows]
  masks = (*labels.MASKS.values(), *pseudo)
  return values | {mask: rows[mask] for mask in masks}


def _pad(value: np.ndarray, length: int) -> np.ndarray:
  padded = np.zeros((length, *value.shape[1:]), value.dtype)
  padded[: len(value)] = value
  return padded
