"""Gives every face an identity that it keeps from frame to frame."""

from collections.abc import Sequence
import dataclasses
import itertools

from jaxtyping import Float
import numpy as np
from scipy import optimize

from abaw_jax.core import errors
from abaw_jax.faces import boxes, flow, shots
from abaw_jax.faces import face as face_lib
from abaw_jax.video import frames

# Below, a detection and a prediction are different faces.
_MIN_IOU = 0.2
# Seconds that a face may be missing.
MAX_GAP = 1.0
# Seconds for which the last velocity is believed.
_MAX_EXTRAPOLATION = 0.5
# Part of a new velocity in the running mean.
_NEW = 0.4


@dataclasses.dataclass
class _Track:
  face_id: int
  face: face_lib.Face
  timestamp: float  # of the last position
  velocity: Float[np.ndarray, '2'] | None = None  # after two positions
  is_visible: bool = True

  def predict(self, timestamp: float) -> face_lib.Box:
    """Returns the box at constant velocity."""
    if self.velocity is None:
      return self.face.box
    passed = min(timestamp - self.timestamp, _MAX_EXTRAPOLATION)
    return self.face.box + np.float32(np.tile(self.velocity * passed, 2))

  def move(self, face: face_lib.Face, timestamp: float) -> None:
    """Takes the next position."""
    passed = timestamp - self.timestamp
    if passed > 0:
      velocity = (_centre(face.box) - _centre(self.face.box)) / passed
      if self.velocity is not None:
        velocity = (1 - _NEW) * self.velocity + _NEW * velocity
      self.velocity = velocity
    self.face, self.timestamp, self.is_visible = face, timestamp, True


class FaceTracker:
  """Tracks the faces of one clip."""

  def __init__(
      self,
      detector: face_lib.Detector,
      every: int = 1,
      *,
      max_gap: float = MAX_GAP,
  ):
    """Starts without faces.

    Args:
      detector: finds faces.
      every: the detector runs on every so many-th frame; optical flow moves the
        landmarks in the frames between.
      max_gap: a face that is missing for more seconds gets a new identity.

    Raises:
      InputError: `every` is below 1.
    """
    if every < 1:
      raise errors.InputError(f'every={every}: give 1 or more')
    self._detector = detector
    self._every = every
    self._max_gap = max_gap
    self._ids = itertools.count()
    self._tracks: list[_Track] = []
    self._cuts = shots.CutDetector()
    self._flow = flow.Flow()
    self._since_detection = every

  def update(self, frame: frames.Frame) -> list[face_lib.TrackedFace]:
    """Returns the faces of the next frame, by identity.

    Faces that the detector does not find are not in the list.
    """
    if self._cuts.is_cut(frame.image):
      self._tracks = []
      self._since_detection = self._every
    if self._since_detection >= self._every:
      self._since_detection = 1
      return self._detect(frame)
    self._since_detection += 1
    return self._follow(frame)

  def _detect(self, frame: frames.Frame) -> list[face_lib.TrackedFace]:
    now = frame.timestamp
    found = self._detector(frame)
    self._tracks = [
        x for x in self._tracks if now - x.timestamp <= self._max_gap
    ]
    for track in self._tracks:
      track.is_visible = False
    unknown = set(range(len(found)))
    for track, i in self._match(found, now):
      track.move(found[i], now)
      unknown.discard(i)
    self._tracks += [
        _Track(next(self._ids), found[i], now) for i in sorted(unknown)
    ]
    if self._every > 1:
      self._flow.start(frame.image)
    return self._visible(detected=True)

  def _match(
      self, found: Sequence[face_lib.Face], now: float
  ) -> list[tuple[_Track, int]]:
    """Returns tracks with the index of their detection."""
    if not found or not self._tracks:
      return []
    detected = np.stack([face.box for face in found])
    predicted = np.stack([track.predict(now) for track in self._tracks])
    overlap = boxes.iou(predicted, detected)
    pairs = zip(
        *optimize.linear_sum_assignment(overlap, maximize=True), strict=True
    )
    return [
        (self._tracks[i], int(j)) for i, j in pairs if overlap[i, j] >= _MIN_IOU
    ]

  def _follow(self, frame: frames.Frame) -> list[face_lib.TrackedFace]:
    visible = [x for x in self._tracks if x.is_visible]
    moved = self._flow.move(frame.image, [x.face for x in visible])
    for track, face in zip(visible, moved, strict=True):
      if face is None:
        track.is_visible = False
        self._since_detection = self._every  # look again in the next frame
      else:
        track.move(face, frame.timestamp)
    return self._visible(detected=False)

  def _visible(self, *, detected: bool) -> list[face_lib.TrackedFace]:
    return [
        face_lib.TrackedFace(x.face_id, x.face, detected)
        for x in sorted(self._tracks, key=lambda x: x.face_id)
        if x.is_visible
    ]


def _centre(box: face_lib.Box) -> Float[np.ndarray, '2']:
  return (box[:2] + box[2:]) / 2
