"""Prints ms per stage from a clip to aligned faces, and the errors of settings.

The clip has one real face, which moves and tilts as the command says, at 640x360. An
error is the mean distance of the ArcFace template from its true place, in distances of
the eyes. Times are CPU time.
"""

from collections.abc import Callable, Sequence
import itertools
import pathlib
import tempfile
import time
from typing import Any, TypeVar

from absl import app, flags
import numpy as np

from abaw_jax import faces, video
from abaw_jax.faces import alignment, centerface
from benchmarks.video import astronaut

T = TypeVar('T')

_FRAMES = flags.DEFINE_integer('frames', 80, 'Length of the clip.', 2)
_SIZE = {'width': 640, 'height': 360}
_SIDES = (640, 320)
_EVERY = (1, 2, 3, 5, 10)
_NEVER = 180.0  # no face is tilted so much


def timed(
    function: Callable[..., T], inputs: Sequence[Any]
) -> tuple[float, list[T]]:
  """Returns the CPU time of one call in ms, and the results of all calls."""
  start = time.process_time()
  results = [function(x) for x in inputs]
  return (time.process_time() - start) * 1000 / len(inputs), results


def make_clip(path: pathlib.Path, moves: Sequence[np.ndarray]) -> None:
  """Writes a clip at 25 frames per second."""
  with video.WebmWriter(path, 25.0) as writer:
    for i, image in enumerate(astronaut.render(moves, **_SIZE)):
      writer.add(image, i / 25)


def read(path: pathlib.Path) -> list[video.Frame]:
  """Returns all frames of a clip."""
  with video.open_clip(path) as clip:
    return list(clip)


def stages(path: pathlib.Path, frames: Sequence[video.Frame]) -> None:
  """Prints the time of each stage, per frame with one face."""
  count = len(frames)
  rows = [('decode', timed(read, [path])[0] / count)]
  for side in _SIDES:
    detector = centerface.CenterFace(side, 0.5, min_roll=_NEVER)
    detector(frames[0])
    spent, found = timed(detector, frames)
    rows.append((f'detect, long_side {side}', spent))
  detector = centerface.CenterFace(320, 0.5)
  detector(frames[0])
  spent, _ = timed(lambda x: detector.refine(x.image, found[x.index]), frames)
  rows.append(('second pass', spent))
  for name, every in (('track', 1), ('track without detection', count + 1)):
    tracker = faces.FaceTracker(lambda x: found[x.index], every=every)
    rows.append((name, timed(tracker.update, frames)[0]))
  crop = faces.Alignment().crop
  spent, _ = timed(lambda x: crop(x.image, found[x.index][0]), frames)
  rows.append(('align', spent))
  print(f'{"stage":<26}ms')
  for name, spent in rows:
    print(f'{name:<26}{spent:.2f}')


def errors(
    found: Sequence[Sequence[faces.TrackedFace]],
    moves: Sequence[np.ndarray],
    truth: np.ndarray,
) -> list[float]:
  """Returns the error of each frame in which the face is found."""
  template = faces.Alignment().points
  return [
      astronaut.alignment_error(
          tracked[0].face.landmarks,
          astronaut.apply(move, truth),
          alignment.similarity,
          template,
      )
      for tracked, move in zip(found, moves, strict=True)
      if tracked
  ]


def settings(
    frames: Sequence[video.Frame], moves: Sequence[np.ndarray]
) -> None:
  """Prints error and time for sizes, second pass and intervals of detection."""
  untouched = video.Frame(0, 0.0, astronaut.picture(), False)
  (face,) = centerface.CenterFace(512, 0.5)(untouched)
  print('\nlong_side  second pass  every  found  error  largest     ms')
  for side, min_roll in itertools.product(_SIDES, (_NEVER, 0.0)):
    detector = centerface.CenterFace(side, 0.5, min_roll=min_roll)
    for every in _EVERY if min_roll == 0 else (1,):
      tracker = faces.FaceTracker(detector, every=every)
      spent, tracked = timed(tracker.update, frames)
      found = errors(tracked, moves, face.landmarks)
      print(
          f'{side:9}  {"no" if min_roll else "yes":>11}  {every:5}  '
          f'{len(found) / len(frames):5.0%}  {np.mean(found):.3f}  '
          f'{np.max(found):7.3f}  {spent:5.1f}'
      )


def main(_: list[str]) -> None:
  """Makes the clip and prints both tables."""
  moves = astronaut.motion(_FRAMES.value, **_SIZE, scale=1.0, roll=35.0)
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / 'clip.webm'
    make_clip(path, moves)
    frames = read(path)
    stages(path, frames)
  settings(frames, moves)


if __name__ == '__main__':
  app.run(main)
