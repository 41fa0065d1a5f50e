"""The latent process of a video: from emotions to faces and to annotations.

Simulated at 30 frames per second and read off at the annotated frames. The
face follows the emotion, the annotators follow the face, each with inertia.
"""

import dataclasses

import numpy as np

from abaw_jax import labels
from data_builders.procedural import emotion
from data_builders.procedural import identity as identity_lib
from data_builders.procedural import plan as plan_lib

FPS = 30.0

# Units that come and go whatever the emotion: share of time they are active.
_HABITS = {
    1: 0.02,
    2: 0.01,
    4: 0.02,
    6: 0.05,
    7: 0.1,
    10: 0.1,
    12: 0.04,
    25: 0.2,
    26: 0.02,
}
# How much of the time people with an emotion speak.
_TALK = {
    'Neutral': 0.45,
    'Anger': 0.3,
    'Disgust': 0.3,
    'Fear': 0.3,
    'Happiness': 0.4,
    'Sadness': 0.3,
    'Surprise': 0.3,
    'Other': 0.65,
}
_PRESENT = 0.33  # intensity from which an annotator marks a unit


@dataclasses.dataclass(frozen=True)
class Track:
  """n annotated frames of a video; t counts time in seconds from frame 1."""

  frame_id: np.ndarray  # int [n], increasing
  units: np.ndarray  # [n, len(emotion.AUS)] as they show in the face
  gaze: np.ndarray  # [n, 2], -1 to 1
  blink: np.ndarray  # [n], 0 open to 1 closed
  pose: np.ndarray  # [n, 3] yaw, pitch, roll in degrees
  valence: np.ndarray  # [n] as annotated, -1 to 1
  arousal: np.ndarray
  expression: np.ndarray  # int [n]
  au: np.ndarray  # int [n, 12], 0 or 1
  labelled: np.ndarray  # bool [n, 3]: VA, expression, AU


def follow(target: np.ndarray, seconds: float) -> np.ndarray:
  """Returns `target` [t, ...] seen through a first-order lag."""
  step = 1 - np.exp(-1 / (FPS * seconds))
  out, state = np.empty_like(target), target[0].copy()
  for t in range(len(target)):
    state += step * (target[t] - state)
    out[t] = state
  return out


def wander(
    rng: np.random.Generator, shape: tuple[int, ...], seconds: float
) -> np.ndarray:
  """Returns Ornstein-Uhlenbeck paths [t, ...] with mean 0 and deviation 1."""
  keep = np.exp(-1 / (FPS * seconds))
  noise = rng.normal(0, np.sqrt(1 - keep**2), shape)
  noise[0] = rng.normal(0, 1, shape[1:])
  for t in range(1, len(noise)):
    noise[t] += keep * noise[t - 1]
  return noise


def _spells(
    rng: np.random.Generator, length: int, share: float, seconds: float
) -> np.ndarray:
  """Returns an on-off signal [length] that is on for `share` of the time."""
  on = rng.random() < share
  out, t = np.zeros(length), 0
  while t < length:
    mean = seconds if on else seconds * (1 - share) / share
    span = 1 + int(rng.exponential(mean * FPS))
    out[t : t + span] = on * rng.uniform(0.45, 1.0)
    t, on = t + span, not on
  return out


def _frame_ids(rng: np.random.Generator, count: int) -> np.ndarray:
  short = rng.geometric(0.35, count)
  gaps = np.where(rng.random(count) < 0.7, short, rng.integers(6, 22, count))
  gaps[0] = 1
  return np.cumsum(gaps)


def _blinks(rng: np.random.Generator, length: int) -> np.ndarray:
  shut = np.zeros(length + 8)
  shape = np.array([0.4, 0.9, 1.0, 0.8, 0.5, 0.2])
  for start in np.flatnonzero(rng.random(length) < 0.28 / FPS):
    shut[start : start + 6] = np.maximum(shut[start : start + 6], shape)
  return shut[:length]


def simulate(video: plan_lib.Video, who: identity_lib.Identity) -> Track:
  """Returns what happens in a video and what its annotators wrote."""
  rng = np.random.default_rng([*video.key, 1])
  frame_id = _frame_ids(rng, video.frames)
  length = int(frame_id[-1])
  shares = rng.dirichlet(np.full(len(video.segments), 6.0))
  ends = np.ceil(np.cumsum(shares) * length).astype(int)
  segment = np.searchsorted(ends[:-1], np.arange(length), side='right')

  apex, affect, talk, classes = [], [], [], []
  for part in video.segments:
    name = labels.EXPRESSIONS[part.expression]
    force = rng.uniform(0.6, 1.05)
    mixed = emotion.VARIANTS[name][part.variant][1]
    target = emotion.vector(mixed) * rng.uniform(0.75, 1.1, len(emotion.AUS))
    if name == 'Other':
      # Compound and undecided faces: a trace of another emotion.
      trace = labels.EXPRESSIONS[rng.integers(1, 7)]
      target = np.maximum(target, 0.45 * emotion.apex(trace, rng))
      mood = 0.35 * np.array(emotion.CIRCUMPLEX[trace])
    else:
      mood = np.zeros(2)
    apex.append(force * target)
    affect.append(force * np.array(emotion.CIRCUMPLEX[name]) + mood)
    talk.append(_TALK[name])
    classes.append(part.expression)

  # Expressions swell and fade within a segment while its name stays.
  swell = np.clip(0.85 + 0.25 * wander(rng, (length, 1), 0.8), 0.2, 1.15)
  units = np.array(apex)[segment] * swell
  for unit, share in _HABITS.items():
    column = emotion.AUS.index(unit)
    spell = _spells(rng, length, share, 2.0)
    units[:, column] = np.maximum(units[:, column], spell)
  units = follow(units, 0.25)

  speaks = (
      np.array(talk)[segment] > follow(rng.uniform(0, 1, length), 1.5) * 2 - 0.5
  )
  speech = (
      np.clip(np.abs(wander(rng, (length, 2), 0.08)), 0, 1.6)
      * follow(speaks.astype(float), 0.3)[:, None]
  )
  mouth = [emotion.AUS.index(25), emotion.AUS.index(26)]
  heard = units.copy()
  heard[:, mouth] = np.maximum(
      heard[:, mouth], follow(speech, 0.6) * (0.75, 0.18)
  )
  units[:, mouth] = np.maximum(units[:, mouth], speech * (0.65, 0.22))

  score = follow(heard[:, : labels.NUM_AUS], 0.2)
  marked = score > _PRESENT + rng.normal(0, 0.03, labels.NUM_AUS)
  missed = rng.random(marked.shape) < 0.02
  invented = rng.random(marked.shape) < 0.002
  au = (marked & ~missed) | invented

  felt = follow(np.array(affect)[segment] * swell, 0.7)
  felt += 0.8 * (heard - heard.mean(0)) @ emotion.unit_affect().T
  felt += np.array([0.0, 0.1]) * follow(speaks.astype(float), 0.8)[:, None]
  rated = follow(felt + rng.normal(0, 0.06, 2), 0.4)
  rated += 0.04 * wander(rng, (length, 2), 0.5)

  lag = int(0.3 * FPS)
  late = np.concatenate([np.full(lag, segment[0]), segment])[:length]
  shown = who.rest + units * who.gain * (1 - 0.4 * who.rest)
  shown += 0.12 * wander(rng, units.shape, 0.15)
  pose = wander(rng, (length, 3), 1.5) * (5, 3, 2)
  pose += rng.normal(0, 1, 3) * (4, 2, 1)
  pose[:, 1] += 4 * np.maximum(-follow(felt[:, 1], 1.0) + 0.1, 0)
  gaze = 0.4 * wander(rng, (length, 2), 0.6)
  blink = _blinks(rng, length)

  at = frame_id - 1
  labelled = np.array([s.labelled for s in video.segments])[segment[at]]
  if video.unlabelled:
    labelled[2 : 2 + video.unlabelled] = False
  return Track(
      frame_id=frame_id,
      units=np.clip(shown[at], 0, 1.25),
      gaze=np.clip(gaze[at], -1, 1),
      blink=blink[at],
      pose=pose[at],
      valence=np.clip(rated[at, 0], -1, 1),
      arousal=np.clip(rated[at, 1], -1, 1),
      expression=np.array(classes)[late[at]],
      au=au[at].astype(int),
      labelled=labelled,
  )
