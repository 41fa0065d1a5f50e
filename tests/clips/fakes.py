"""A tracker and a model whose rows are closed forms of frame and face."""

from collections.abc import Callable, Mapping, Sequence
import types
from typing import Any, NamedTuple

import numpy as np

from abaw_jax.data import images

EXPRESSIONS = ('Neutral', 'Anger', 'Other')
AUS = ('AU01', 'AU12')
INFO = {'name': 'fake', 'version': 1}


class Face(NamedTuple):
  """As `faces.Face`."""

  box: Any
  landmarks: Any
  confidence: float


class TrackedFace(NamedTuple):
  """As `faces.TrackedFace`."""

  face_id: int
  face: Face
  detected: bool


class Rows(NamedTuple):
  """As `bundles.Rows`."""

  frame_index: Any
  valence: Any
  arousal: Any
  expression: Any
  au: Any


def box(index: int, face_id: int) -> np.ndarray:
  """Returns where a face is in a frame."""
  return np.array([index, face_id, index + 8, face_id + 8], np.float32)


def expected(index: Any, face_id: Any) -> Rows:
  """Returns the values of faces."""
  index, face_id = np.broadcast_arrays(index, face_id)
  anger = (index % 7) / 10
  rest = (1 - anger) / 4
  return Rows(
      index,
      index / 1000,
      -face_id / 10,
      np.stack([3 * rest, anger, rest], axis=-1),
      np.stack([(index % 4) / 4, (index % 3) / 3], axis=-1),
  )


class Tracker:
  """Finds the faces that `present` names."""

  def __init__(self, present: Callable[[int], Sequence[int]]):
    self._present = present

  def update(self, frame: Any) -> list[TrackedFace]:
    """Returns the faces of a frame, in a mixed order."""
    found = []
    for face_id in sorted(self._present(frame.index), reverse=True):
      points = np.arange(10, dtype=np.float32).reshape(5, 2)
      face = Face(box(frame.index, face_id), points, 0.75)
      found.append(TrackedFace(face_id, face, frame.index % 2 == 0))
    return found


class _Track:
  """Returns rows `delay` frames late."""

  def __init__(self, delay: int):
    self._delay = delay
    self.waiting = np.zeros([0, 2], int)

  def take(self, count: int) -> Rows:
    """Returns the first rows."""
    done, self.waiting = self.waiting[:count], self.waiting[count:]
    return expected(done[:, 0], done[:, 1])


class Predictor:
  """As `bundles.Predictor`.

  Attributes:
    calls: number of batches so far.
    embedded: number of faces in them.
  """

  outputs = ('valence', 'arousal', 'expression', 'au')
  expressions = EXPRESSIONS
  au_names = AUS
  info: Mapping[str, Any] = INFO
  image_size = 4
  resizing = images.OURS

  def __init__(self, delay: int = 0):
    self.delay = delay
    self.calls = self.embedded = 0
    self.alignment = types.SimpleNamespace(crop=crop)

  def embed(self, faces: np.ndarray) -> np.ndarray:
    """Returns (frame, face_id) of each crop, float32."""
    assert faces.dtype == np.uint8
    self.calls += 1
    self.embedded += len(faces)
    low, high, face_id = faces[:, 0, 0].astype(np.float32).T
    return np.stack([low + 256 * high, face_id], axis=1)

  def frame_scores(self, features: np.ndarray) -> Rows:
    """Returns rows of single faces."""
    return expected(features[:, 0].round().astype(int), features[:, 1])

  def track(self, *, live: bool = False) -> _Track:
    """Returns a track."""
    return _Track(0 if live else self.delay)

  def push_all(self, pushes) -> list[Rows]:
    """Returns the rows that are old enough."""
    done = []
    for track, features, index, _ in pushes:
      assert (np.diff(index) > 0).all()
      new = np.stack([index, features[:, 1].round()], axis=1).astype(int)
      track.waiting = np.concatenate([track.waiting, new])
      done.append(track.take(max(len(track.waiting) - self.delay, 0)))
    return done

  def finish_all(self, ended: Sequence[_Track]) -> list[Rows]:
    """Returns all other rows."""
    return [track.take(len(track.waiting)) for track in ended]


def crop(image: np.ndarray, face: Face) -> np.ndarray:
  """Returns a crop that tells frame and face."""
  del image
  index, face_id = int(face.box[0]), int(face.box[1])
  color = np.array([index % 256, index // 256, face_id], np.uint8)
  return np.tile(color, (32, 32, 1))
