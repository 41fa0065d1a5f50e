"""From one record to one example of a batch: decoded, padded and masked.

Sentinels stop here: under a False mask every label is 0. All functions work on
NumPy and are picklable, so worker processes can run them.
"""

from collections.abc import Mapping
from typing import Any

import cv2
from jaxtyping import Float, Int, UInt8
import numpy as np

from abaw_jax import errors


def decode_jpeg(encoded: bytes, *, where: str) -> UInt8[np.ndarray, 'h w 3']:
  """Returns the RGB pixels of an encoded image, equal to what Pillow decodes.

  Raises:
    InputError: the bytes are no image; the message starts with `where`.
  """
  image = None
  if encoded:
    image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB)
  if image is None:
    raise errors.InputError(
        f'{where}: image cannot be decoded ({len(encoded)} bytes); replace the '
        'file and build the dataset again'
    )
  return image


def image_example(
    record: Mapping[str, Any], *, image_size: int
) -> dict[str, Any]:
  """Returns `image` uint8 [s,s,3] RGB and `real`, all that pretraining needs.

  A face of another size than `image_size` is resized, by area when it shrinks
  and by a cubic filter when it grows.

  Raises:
    InputError: the image cannot be decoded.
  """
  where = f'video {record["video"].decode()} frame {record["frame_id"]}'
  image = decode_jpeg(record['image'], where=where)
  height, width = image.shape[:2]
  if (height, width) != (image_size, image_size):
    shrinks = height * width > image_size**2
    image = cv2.resize(
        image,
        (image_size, image_size),
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC,
    )
  return {'image': image, 'real': np.True_}


def frame_example(
    record: Mapping[str, Any], *, image_size: int
) -> dict[str, Any]:
  """Returns one row of a `labels.FrameBatch`; see `image_example`."""
  return {
      **image_example(record, image_size=image_size),
      **_labels(record),
      'row': record['row'],
  }


def decode_record(
    record: Mapping[str, Any], *, image_size: int
) -> dict[str, Any]:
  """Returns a `sequences` record with `image` decoded, uint8 [n,s,s,3].

  Raises:
    InputError: an image cannot be decoded; names its frame.
  """
  images = [
      image_example(
          {'image': image, 'video': record['video'], 'frame_id': frame_id},
          image_size=image_size,
      )['image']
      for image, frame_id in zip(
          record['image'], record['frame_id'], strict=True
      )
  ]
  return {**record, 'image': np.stack(images)}


def window_example(window: Mapping[str, Any], *, length: int) -> dict[str, Any]:
  """Returns one row of a `labels.SequenceBatch`, padded to `length` frames.

  Everything is 0 or False on the padding behind the last frame.

  Raises:
    InputError: a feature is NaN or infinite.
  """
  check_features(window['features'], window['video'], window['frame_id'])
  frames = {
      'features': window['features'],
      **_labels(window),
      'frame_mask': np.ones(len(window['frame_id']), bool),
      'frame_id': window['frame_id'],
      'row': window['row'],
  }
  return {
      **{field: _pad(value, length) for field, value in frames.items()},
      'real': np.True_,
      'video_id': window['video_id'],
  }


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


def _labels(record: Mapping[str, Any]) -> dict[str, Any]:
  """Returns labels and masks of a frame or of a window, without sentinels."""
  va, expr, au_mask = record['va'], record['expr'], record['au_mask']
  zero = np.float32(0)
  return {
      'valence': np.where(va, record['valence'], zero),
      'arousal': np.where(va, record['arousal'], zero),
      'expression': np.where(expr, record['expression'], np.int32(0)),
      'au': np.where(au_mask, record['au'], np.int8(0)),
      'va': va,
      'expr': expr,
      'au_mask': au_mask,
  }


def _pad(value: np.ndarray, length: int) -> np.ndarray:
  padded = np.zeros((length, *value.shape[1:]), value.dtype)
  padded[: len(value)] = value
  return padded
