"""The faces of a clip: their temporal models, and rows until they are complete."""

import collections
from typing import Any

from jaxtyping import Float32
import numpy as np

from abaw_jax.tables import rows

_NO_CROPS = np.zeros([0, 1, 1, 3], np.uint8)


class ClipTracks:
  """Puts the rows of a clip in order: by frame, then by face.

  A temporal model may return a row late. Later frames wait for it, without their
  images. A face that is lost for longer than `patience` seconds gets no more rows,
  so that nothing waits for it until the end of the clip.
  """

  def __init__(
      self,
      predictor: Any,
      layout: rows.Layout,
      *,
      patience: float,
      live: bool = False,
  ):
    """Starts a clip without faces.

    Args:
      predictor: a `bundles.Predictor`.
      layout: of its outputs.
      patience: seconds after which a lost face does not return.
      live: return rows at once, as `Predictor.track` does with this argument.
    """
    self._predictor = predictor
    self._layout = layout
    self._patience = patience
    self._live = live
    self._tracks: dict[int, Any] = {}
    self._last_seen: dict[int, float] = {}
    self._frames: collections.deque[rows.FrameFaces] = collections.deque()
    self._values: dict[tuple[int, int], Float32[np.ndarray, 'v']] = {}
    self._unread: set[tuple[int, int]] = set()

  @property
  def waiting(self) -> int:
    """Number of frames that wait for a row."""
    return len(self._frames)

  def has_track(self, face_id: int) -> bool:
    """Returns whether a face is not lost."""
    return face_id in self._tracks

  def track(self, face_id: int) -> Any:
    """Returns the `bundles.Track` of a face; makes one for a new face."""
    if face_id not in self._tracks:
      self._tracks[face_id] = self._predictor.track(live=self._live)
    return self._tracks[face_id]

  def add(self, frame: rows.FrameFaces) -> None:
    """Adds the next frame; `fill` gives the values of its faces."""
    self._frames.append(frame._replace(crops=_NO_CROPS))
    for face in frame.faces:
      self._last_seen[face.face_id] = frame.timestamp

  def fill(self, face_id: int, found: Any) -> None:
    """Takes rows of the track of a face, a `bundles.Rows`."""
    matrix = self._layout.matrix(found)
    for index, values in zip(found.frame_index, matrix, strict=True):
      self._values[face_id, int(index)] = values

  def mark_unread(self, face_id: int, index: int) -> None:
    """Notes that the backbone has not seen a face."""
    self._unread.add((face_id, index))

  def pop_lost(self) -> dict[int, Any]:
    """Removes and returns the tracks of lost faces, by face_id."""
    if not self._frames:
      return {}
    oldest = self._frames[-1].timestamp - self._patience
    return self._pop([x for x in self._tracks if self._last_seen[x] < oldest])

  def pop_all(self) -> dict[int, Any]:
    """Removes and returns all tracks, by face_id."""
    return self._pop(list(self._tracks))

  def take(self) -> list[rows.FrameRows]:
    """Returns the frames that are complete and not taken yet, in order."""
    taken = []
    while self._frames and all(
        (face.face_id, self._frames[0].index) in self._values
        for face in self._frames[0].faces
    ):
      taken.append(self._complete(self._frames.popleft()))
    return taken

  def _pop(self, face_ids: list[int]) -> dict[int, Any]:
    for face_id in face_ids:
      del self._last_seen[face_id]
    return {face_id: self._tracks.pop(face_id) for face_id in face_ids}

  def _complete(self, frame: rows.FrameFaces) -> rows.FrameRows:
    faces = []
    for tracked in frame.faces:
      key = (tracked.face_id, frame.index)
      row = rows.FaceRow(
          face_id=tracked.face_id,
          confidence=float(tracked.face.confidence),
          detected=bool(tracked.detected),
          geometry=rows.geometry(tracked.face),
          values=self._values.pop(key),
          is_read=key not in self._unread,
      )
      self._unread.discard(key)
      faces.append(row)
    return rows.FrameRows(
        frame.index, frame.timestamp, frame.is_corrupt, tuple(faces)
    )
