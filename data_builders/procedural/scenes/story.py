"""Moves people through a scene: shots, walks, and who is in the picture."""

import dataclasses

import numpy as np

from abaw_jax.data_builders.procedural.rendering import dynamics

WIDTH, HEIGHT = 640, 360
_SHOT = 4.5  # mean length of a shot in seconds
_HORIZON = 142.0  # y of a face; the camera is at the height of the eyes
_REACH = 112.0  # half the width of a body in crop pixels, with a border
_STRIDE = 1.9  # steps per second
# What happens in a shot, in turn.
_ALONE = ('leave', 'approach')
_TOGETHER = ('cross', 'leave', 'approach', 'close')


@dataclasses.dataclass(frozen=True)
class Walk:
  """A person in the t frames of a scene."""

  place: np.ndarray  # [t, 2] centre of the head in pixels of the picture
  zoom: np.ndarray  # [t] pixels of the picture per crop pixel
  turn: np.ndarray  # [t] degrees of yaw towards the goal of a walk
  present: np.ndarray  # bool [t]: not present in a shot of other people


def _glide(
    times: tuple[float, ...], values: list[tuple[float, float]], length: int
) -> np.ndarray:
  """Returns a path [length, 2] that rests at each of `values`; times are 0 to 1."""
  now = np.linspace(0, 1, length)
  stop = np.clip(np.searchsorted(times, now, side='right'), 1, len(times) - 1)
  times, values = np.array(times), np.array(values)
  part = (now - times[stop - 1]) / (times[stop] - times[stop - 1])
  part = (part * part * (3 - 2 * part))[:, None]
  return values[stop - 1] * (1 - part) + values[stop] * part


def _play(
    kind: str, people: int, length: int, rng: np.random.Generator
) -> np.ndarray:
  """Returns x, zoom and presence of each person in a shot [people, length, 3]."""
  wide = 1.0 if people < 3 else 0.82
  slots = WIDTH * (rng.permutation(people) + 0.5) / people
  slots += rng.normal(0, 12, people)
  zooms = wide * rng.uniform(0.85, 1.12, people)
  shot = np.ones((people, length, 3))
  for k, (x, zoom) in enumerate(zip(slots, zooms, strict=True)):
    shot[k, :, :2] = x, zoom
  who = int(rng.integers(people))
  x, zoom = slots[who], zooms[who]
  if kind == 'cross':
    other = (who + 1) % people
    for a, b, middle in ((who, other, 1.2), (other, who, 0.78)):
      goal, between = slots[b], (slots[a] + slots[b]) / 2
      near = wide * middle
      path = [(slots[a], zooms[a])] * 2 + [(between, near)]
      path += [(goal, zooms[a])] * 2
      shot[a, :, :2] = _glide((0, 0.2, 0.5, 0.8, 1), path, length)
  elif kind == 'leave':
    gone = -_REACH * zoom if x < WIDTH / 2 else WIDTH + _REACH * zoom
    path = [(x, zoom)] * 2 + [(gone, zoom)] * 2 + [(x, zoom)] * 2
    shot[who, :, :2] = _glide((0, 0.2, 0.42, 0.6, 0.85, 1), path, length)
  elif kind == 'approach':
    far, near = (x, 0.72 * wide), (x + 0.3 * (WIDTH / 2 - x), 1.5)
    path = [far, far, near, near, far]
    shot[who, :, :2] = _glide((0, 0.12, 0.48, 0.66, 1), path, length)
  else:
    shot[:, :, 2] = 0
    shot[who] = WIDTH / 2 + rng.normal(0, 40), 1.55, 1
  return shot


def _shots(frames: int, rng: np.random.Generator) -> np.ndarray:
  """Returns the number of the shot of each frame, int [frames]."""
  count = max(1, round(frames / dynamics.FPS / _SHOT))
  edges = (np.arange(1, count) + rng.uniform(-0.15, 0.15, count - 1)) / count
  return np.searchsorted(edges, np.arange(frames) / frames, side='right')


def direct(
    people: int, frames: int, first: int, rng: np.random.Generator
) -> tuple[np.ndarray, list[Walk]]:
  """Returns the shot of each frame, int [frames], and the walk of each person.

  Args:
    people: number of people, 1 or more.
    frames: length of the scene at dynamics.FPS.
    first: position of the first shot in the list of stories.
    rng: source of randomness.
  """
  shot = _shots(frames, rng)
  kinds = _ALONE if people == 1 else _TOGETHER
  parts = [
      _play(kinds[(first + n) % len(kinds)], people, length, rng)
      for n, length in enumerate(np.bincount(shot).tolist())
  ]
  paths = np.concatenate(parts, 1)
  walks = []
  for x, zoom, present in paths.transpose(0, 2, 1):
    speed = np.gradient(x) * dynamics.FPS / zoom
    speed[np.abs(speed) > 2000] = 0  # the frames at a cut
    speed = dynamics.follow(speed, 0.2)
    pace = np.minimum(np.abs(speed) / 150, 1)
    stance = rng.normal(0, 9)
    step = np.abs(np.sin(np.pi * _STRIDE * np.arange(frames) / dynamics.FPS))
    sway = dynamics.wander(rng, (frames, 3), 1.2) * (3.0, 1.0, 0.008)
    zoom = zoom * (1 + sway[:, 2])
    place = np.stack([
        x + zoom * sway[:, 0],
        _HORIZON + zoom * (stance + sway[:, 1] - 3.0 * pace * step),
    ], 1)  # fmt: skip
    turn = np.clip(0.035 * speed, -12, 12)
    walks.append(Walk(place, zoom, turn, present.astype(bool)))
  return shot, walks
