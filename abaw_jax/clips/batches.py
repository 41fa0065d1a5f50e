"""Batches of faces of all clips through the backbone of a model."""

from __future__ import annotations

import collections
import dataclasses
from typing import Any

from jaxtyping import Bool, Float, UInt8
import numpy as np

from abaw_jax.clips import adaptive, stage_times, tracks
from abaw_jax.clips import options as settings
from abaw_jax.tables import rows

# Frames per face of a batch after which a batch is not full, but late.
_FRAMES = 8


@dataclasses.dataclass(eq=False)
class _Face:
  """A face that waits for a batch."""

  clip: tracks.ClipTracks
  face_id: int
  index: int
  timestamp: float
  crop: UInt8[np.ndarray, 's s 3']


class Batches:
  """Collects faces until there is a batch, then updates the tracks of their clips.

  Attributes:
    faces: number of faces so far.
    read: number of them that the backbone has read.
  """

  def __init__(
      self,
      predictor: Any,
      options: settings.Options,
      times: stage_times.StageTimes,
      *,
      batch_size: int,
  ):
    """Starts without faces.

    Args:
      predictor: a `bundles.Predictor`.
      options: of the prediction.
      times: gets the time of the backbone.
      batch_size: number of faces that make a batch.
    """
    self._predictor = predictor
    self._options = options
    self._times = times
    self._batch_size = batch_size
    # With adaptive reading, most faces are not read.
    factor = 1 if options.adaptive is None else options.strides[0]
    self._wanted = batch_size * factor
    self._faces: list[_Face] = []
    self._frames = 0  # since the last `run`
    self._clips: set[tracks.ClipTracks] = set()
    # Features of the last face of each track, for adaptive reading.
    self._anchors: dict[tuple[tracks.ClipTracks, int], adaptive.Anchor] = {}
    self._compiled: set[tuple[str, int]] = set()
    self.faces = self.read = 0

  def add(self, clip: tracks.ClipTracks, frame: rows.FrameFaces) -> bool:
    """Adds the next frame of a clip; returns whether `run` is due."""
    clip.add(frame)
    self._clips.add(clip)
    self._faces += [
        _Face(clip, face.face_id, frame.index, frame.timestamp, crop)
        for face, crop in zip(frame.faces, frame.crops, strict=True)
    ]
    self._frames += 1
    is_full = len(self._faces) >= self._wanted
    return is_full or self._frames >= _FRAMES * self._wanted

  def run(self) -> None:
    """Predicts the faces that wait; their rows are in the tracks of their clips.

    Faces of the newest frame that make no full batch wait for the next one.
    """
    count = len(self._faces)
    if count >= self._wanted:
      count -= count % self._batch_size
    self._run(count)

  def _run(self, count: int) -> None:
    faces, self._faces = self._faces[:count], self._faces[count:]
    self._frames = 0
    groups = collections.defaultdict(list)
    for face in faces:
      groups[face.clip, face.face_id].append(face)
    runs = list(groups.values())
    pushes = []
    for run, (features, is_read) in zip(
        runs, self._embed_runs(runs), strict=True
    ):
      clip, face_id = run[0].clip, run[0].face_id
      index = np.array([face.index for face in run])
      times = np.array([face.timestamp for face in run])
      pushes.append((clip.track(face_id), features, index, times))
      for i in index[~is_read]:
        clip.mark_unread(face_id, int(i))
    with self._times.measure(self._stage('temporal', 'push', len(pushes))):
      found = self._predictor.push_all(pushes)
    for run, part in zip(runs, found, strict=True):
      run[0].clip.fill(run[0].face_id, part)
    clips, self._clips = self._clips, {face.clip for face in self._faces}
    self._finish([(clip, clip.pop_lost()) for clip in clips])

  def end(self, clip: tracks.ClipTracks) -> None:
    """Predicts everything that is left of a clip."""
    self._run(len(self._faces))
    self._finish([(clip, clip.pop_all())])

  def drop(self, clip: tracks.ClipTracks) -> None:
    """Forgets a clip and its faces."""
    self._faces = [face for face in self._faces if face.clip is not clip]
    self._clips.discard(clip)
    clip.pop_all()
    self._drop_anchors()

  def _stage(self, stage: str, call: str, count: int) -> str:
    """Returns the stage of a call with so many items; the first one compiles."""
    if (call, count) in self._compiled:
      return stage
    self._compiled.add((call, count))
    return stage_times.COMPILE

  def _finish(
      self, ended: list[tuple[tracks.ClipTracks, dict[int, Any]]]
  ) -> None:
    """Takes the last rows of tracks."""
    keys = [(clip, face_id) for clip, found in ended for face_id in found]
    if not keys:
      return
    with self._times.measure(self._stage('temporal', 'finish', len(keys))):
      results = self._predictor.finish_all(
          [track for _, found in ended for track in found.values()]
      )
    for (clip, face_id), rows_ in zip(keys, results, strict=True):
      clip.fill(face_id, rows_)
    self._drop_anchors()

  def _drop_anchors(self) -> None:
    """Forgets the anchors of lost faces."""
    self._anchors = {
        (clip, face_id): anchor
        for (clip, face_id), anchor in self._anchors.items()
        if clip.has_track(face_id)
    }

  def _embed_runs(
      self, runs: list[list[_Face]]
  ) -> list[tuple[Float[np.ndarray, 'n d'], Bool[np.ndarray, 'n']]]:
    """Returns (features, whether the backbone has read the face) of each run."""
    count = sum(map(len, runs))
    self.faces += count
    if not count:
      return []
    if self._options.adaptive is None:
      self.read += count
      features = self._embed([face.crop for run in runs for face in run])
      ends = np.cumsum([len(run) for run in runs])[:-1]
      parts = np.split(features, ends)
      return [(part, np.ones(len(part), bool)) for part in parts]
    readings = [
        adaptive.Reading(
            [face.index for face in run],
            self._options.strides[0],
            self._anchors.get((run[0].clip, run[0].face_id)),
        )
        for run in runs
    ]
    for stride in self._options.strides:
      wanted = [reading.wanted(stride) for reading in readings]
      crops = [
          run[i].crop
          for run, positions in zip(runs, wanted, strict=True)
          for i in positions
      ]
      if not crops:
        continue
      features = self._embed(crops)
      with self._times.measure('embed'):
        prob = self._predictor.frame_scores(features).expression
      self.read += len(crops)
      start = 0
      for reading, positions in zip(readings, wanted, strict=True):
        part = slice(start, start := start + len(positions))
        reading.add(positions, features[part], prob[part])
        reading.decide(self._options.adaptive)
    for run, reading in zip(runs, readings, strict=True):
      self._anchors[run[0].clip, run[0].face_id] = reading.anchor()
    return [(reading.features(), reading.is_read) for reading in readings]

  def _embed(
      self, crops: list[UInt8[np.ndarray, 's s 3']]
  ) -> Float[np.ndarray, 'n d']:
    count, size = len(crops), self._batch_size
    if self._options.adaptive is None and count % size > size // 4:
      # A larger batch costs less than to compile another size.
      crops = [*crops, *[crops[-1]] * (-count % size)]
    with self._times.measure(
        self._stage('embed', 'embed', min(len(crops), size))
    ):
      return self._predictor.embed(np.stack(crops))[:count]
