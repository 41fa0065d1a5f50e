"""Reads a clip: decodes, detects, tracks and aligns, frame by frame."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from jaxtyping import UInt8
import numpy as np

from abaw_jax import faces, video
from abaw_jax.clips import options as settings
from abaw_jax.clips import stage_times
from abaw_jax.core import errors
from abaw_jax.data import images
from abaw_jax.tables import rows

Crop = Callable[[UInt8[np.ndarray, 'h w 3'], Any], UInt8[np.ndarray, 's s 3']]

# A face that is missing for more seconds gets a new face_id.
MAX_GAP = 1.0


class _WholeImage:
  """Takes every image for one face, in place of a tracker."""

  def update(self, frame: Any) -> list[faces.TrackedFace]:
    """Returns the face."""
    height, width = frame.image.shape[:2]
    box = np.array([0, 0, width, height], np.float32)
    return [faces.TrackedFace(0, faces.Face(box, None, 1.0), True)]


def make_tracker(
    options: settings.Options, name: str, frame_rate: float | None = None
) -> Any:
  """Returns the source of faces of a clip, a `faces.FaceTracker` or alike.

  Args:
    options: of the prediction.
    name: of the clip.
    frame_rate: of the clip, if it is known.

  Raises:
    InputError: the detector is unknown, or its file is missing.
  """
  if options.is_aligned:
    return _WholeImage()
  detector = faces.make_detector(
      options.detector.replace('{clip}', name),
      long_side=options.long_side,
      min_confidence=options.min_confidence,
  )
  every = options.every  # frames of the clip, of which not all may be read
  if frame_rate and options.frame_rate is not None:
    every = round(every * min(options.frame_rate / frame_rate, 1.0))
  return faces.FaceTracker(detector, every=max(every, 1), max_gap=MAX_GAP)


def make_crop(predictor: Any, options: settings.Options) -> Crop:
  """Returns the function from (image, face) to an aligned face."""
  if not options.is_aligned:
    return predictor.alignment.crop
  size, resizing = predictor.image_size, predictor.resizing
  return lambda image, _: images.square(image, size=size, resizing=resizing)


def read_faces(
    frames: Iterable[Any],
    tracker: Any,
    crop: Crop,
    options: settings.Options,
    times: stage_times.StageTimes,
) -> Iterator[rows.FrameFaces]:
  """Yields the frames of a clip with their aligned faces.

  Args:
    frames: `video.Frame` in order of presentation.
    tracker: of `make_tracker`.
    crop: of `make_crop`.
    options: of the prediction.
    times: gets the time of each stage.
  """
  iterator = iter(_chosen(frames, options))
  while True:
    with times.measure('decode'):
      frame = next(iterator, None)
    if frame is None:
      return
    yield find_faces(frame, tracker, crop, times)


def find_faces(
    frame: Any,
    tracker: Any,
    crop: Crop,
    times: stage_times.StageTimes,
) -> rows.FrameFaces:
  """Returns a frame with its aligned faces; the arguments are those of `read_faces`."""
  with times.measure('detect'):
    found = sorted(tracker.update(frame), key=lambda x: x.face_id)
  with times.measure('align'):
    crops = [crop(frame.image, x.face) for x in found]
  return rows.FrameFaces(
      frame.index,
      frame.timestamp,
      frame.is_corrupt,
      found,
      np.stack(crops) if crops else np.zeros([0, 1, 1, 3], np.uint8),
  )


def _chosen(frames: Iterable[Any], options: settings.Options) -> Iterator[Any]:
  """Yields the frames that `frame_rate` and `duration` select."""
  start, last = None, -1
  for frame in frames:
    start = frame.timestamp if start is None else start
    seconds = frame.timestamp - start
    if options.duration is not None and seconds >= options.duration:
      return
    if options.frame_rate is not None:
      # A small part of a frame, because time stamps are rounded.
      slot = int(seconds * options.frame_rate + 0.01)
      if slot == last:
        continue
      last = slot
    yield frame


def array_frames(
    array: UInt8[np.ndarray, 't h w 3'],
    frame_rate: float,
) -> Iterator[Any]:
  """Yields the images of an array as `video.Frame`."""
  for index, image in enumerate(array):
    yield video.Frame(index, index / frame_rate, image, False)


def check_images(array: Any) -> None:
  """Raises an InputError if this is not an array of RGB images."""
  shape = getattr(array, 'shape', ())
  dtype = getattr(array, 'dtype', None)
  if len(shape) != 4 or shape[-1] != 3 or dtype != np.uint8:
    raise errors.InputError(
        f'frames of type {dtype} and shape {list(shape)}: give uint8 RGB images '
        'as one array [t, height, width, 3]'
    )
