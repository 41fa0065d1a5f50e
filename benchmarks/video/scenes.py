r"""Detection, tracking and scores on rendered scenes, whose truth is known.

  python -m benchmarks.video.scenes --out=SCENES
  python -m benchmarks.video.scenes --out=SCENES --every=1,4 --model=BUNDLE

The scenes are rendered in --out, and used again by the next call. A row of the first
table has the detector on every k-th frame, with tracking between:

- recall: found faces, of those that are at least half visible;
- false: faces without a person, per 1,000 frames;
- landmark error: mean distance of the five points, in distances of the eyes;
- aligned: the same for the points of the template after alignment, in pixels of 112;
- switches: tracks that change to another person; breaks: people who get a new track
  while they are in view, both per 1,000 frames;
- ms: detection and tracking per frame, and decoding, on the CPU clock.

With --model, the second table has the scores of a bundle for the faces that the video
path finds, and for the same faces cut at their true landmarks.
"""

from collections.abc import Iterator, Sequence
import dataclasses
import pathlib
import time

from absl import flags
import numpy as np

from abaw_jax.core import cli, files
from abaw_jax.data_builders.procedural.scenes import writer
from abaw_jax.faces import alignment, detectors, tracking
from abaw_jax.video import clips
from benchmarks import harness
from benchmarks.video import scene_scores, truth

_OUT = flags.DEFINE_string('out', None, 'Folder of the scenes.', required=True)
_SCENES = flags.DEFINE_integer('scenes', 9, 'Number of clips.', lower_bound=1)
_SECONDS = flags.DEFINE_float('seconds', 9.0, 'Length of a clip.')
_SEED = flags.DEFINE_integer('seed', 0, 'Random seed of the scenes.')
_EVERY = flags.DEFINE_list(
    'every', '1,2,4,8', 'Frames from detection to detection.'
)
_DETECTOR = flags.DEFINE_string(
    'detector', 'centerface', 'See faces.make_detector.'
)
_CONFIDENCE = flags.DEFINE_float(
    'min_confidence', detectors.MIN_CONFIDENCE, 'Weaker faces are dropped.'
)
_MODEL = flags.DEFINE_string('model', None, 'Bundle to score.')

_COLUMNS = (
    'every', 'recall', 'false', 'landmark error', '90 %', 'aligned',
    'switches', 'breaks', 'detect ms', 'decode ms',
)  # fmt: skip


@dataclasses.dataclass
class Counts:
  """Counts of the frames so far."""

  frames: int = 0
  people: int = 0
  found: int = 0
  false: int = 0
  switches: int = 0
  breaks: int = 0
  seconds: float = 0.0
  decoding: float = 0.0
  errors: list[float] = dataclasses.field(default_factory=list)
  aligned: list[float] = dataclasses.field(default_factory=list)

  def row(self, every: int) -> list[str]:
    """Returns the row of the table."""
    part = 1000 / self.frames
    return [
        f'{every}',
        f'{self.found / self.people:.4f}',
        f'{self.false * part:.1f}',
        f'{np.mean(self.errors):.3f}',
        f'{np.quantile(self.errors, 0.9):.3f}',
        f'{np.mean(self.aligned):.2f}',
        f'{self.switches * part:.1f}',
        f'{self.breaks * part:.1f}',
        f'{self.seconds * part:.1f}',
        f'{self.decoding * part:.1f}',
    ]


def _misplaced(true: np.ndarray, found: np.ndarray) -> float:
  """Returns the mean error in pixels of a crop that is cut at found landmarks."""
  template = np.array(alignment.ARCFACE)
  moved, right = (
      true @ matrix[:, :2].T + matrix[:, 2]
      for matrix in (
          alignment.similarity(points, template) for points in (found, true)
      )
  )
  return float(np.hypot(*(moved - right).T).mean())


class _Identities:
  """Counts tracks that change to another person, and people with new tracks."""

  def __init__(self, counts: Counts):
    self._counts = counts
    self._owner: dict[int, int] = {}
    self._track: dict[int, int] = {}
    self._shot = 0

  def see(self, people: Sequence[truth.Person], ids: dict[int, int]) -> None:
    """Adds a frame; `ids` are the tracks of the people, by position."""
    if people and people[0].shot != self._shot:
      self._owner, self._track = {}, {}
      self._shot = people[0].shot
    for i, who in enumerate(people):
      if who.visible < 0.05:  # who comes back may get a new track
        self._track.pop(who.person, None)
      if i not in ids:
        continue
      owner = self._owner.setdefault(ids[i], who.person)
      if owner != who.person:
        self._counts.switches += 1
        self._owner[ids[i]] = who.person
      elif self._track.get(who.person, ids[i]) != ids[i]:
        self._counts.breaks += 1
      self._track[who.person] = ids[i]


def _follow(clip: pathlib.Path, every: int, counts: Counts) -> None:
  """Adds the faces of a clip."""
  detector = detectors.make_detector(
      _DETECTOR.value, min_confidence=_CONFIDENCE.value
  )
  tracker = tracking.FaceTracker(detector, every=every)
  identities = _Identities(counts)
  start = time.process_time()
  with clips.open_clip(clip) as frames:
    for frame, people in zip(frames, truth.read(clip), strict=True):
      decoded = time.process_time()
      faces = tracker.update(frame)
      done = time.process_time()
      counts.decoding += decoded - start
      counts.seconds += done - decoded
      matched = truth.match(people, [f.face.box for f in faces])
      counts.frames += 1
      counts.false += len(faces) - len(matched)
      identities.see(people, {i: faces[j].face_id for i, j in matched.items()})
      for i, who in enumerate(people):
        if who.visible < truth.VISIBLE:
          continue
        counts.people += 1
        if i not in matched:
          continue
        counts.found += 1
        points, true = faces[matched[i]].face.landmarks, who.face.landmarks
        if points is not None:
          apart = np.hypot(*(points - true).T).mean()
          counts.errors.append(apart / np.hypot(*(true[1] - true[0])))
          counts.aligned.append(_misplaced(true, points))
      start = time.process_time()


def _rows(found: Sequence[pathlib.Path]) -> Iterator[list[str]]:
  for every in map(int, _EVERY.value):
    counts = Counts()
    for clip in found:
      _follow(clip, every, counts)
    yield counts.row(every)


def main() -> None:
  """Prints the tables."""
  out = files.local_path(_OUT.value, '--out')
  line = writer.write(
      out,
      scenes=_SCENES.value,
      seconds=_SECONDS.value,
      people=None,
      seed=_SEED.value,
      workers=1,
  )
  print(line)
  found = sorted(out.glob('*.webm'))
  harness.print_table(_COLUMNS, _rows(found))
  if _MODEL.value:
    rows = scene_scores.rows(
        _MODEL.value,
        found,
        map(int, _EVERY.value),
        detector=_DETECTOR.value,
        min_confidence=_CONFIDENCE.value,
    )
    harness.print_table(scene_scores.COLUMNS, rows)


if __name__ == '__main__':
  cli.run(main, __doc__)
