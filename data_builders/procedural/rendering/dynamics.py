"""Simulates a video: emotions, then the face, then the annotations.

The simulation has 30 frames per second; only annotated frames are returned. The
face follows the emotion and the annotators follow the face, both with a lag.
"""

import dataclasses

import numpy as np

from abaw_jax.core import labels
from abaw_jax.data_builders.procedural.rendering import emotion
from abaw_jax.data_builders.procedural.rendering import identity as identity_lib
from abaw_jax.data_builders.procedural.rendering import video_plan as plan_lib

FPS = 30.0

_PRESENT = 0.33  # an annotator marks a unit above this intensity
_LAG = int(0.3 * FPS)  # delay of the expression annotators in frames
_MOUTH = [emotion.AUS.index(25), emotion.AUS.index(26)]


@dataclasses.dataclass(frozen=True)
class Track:
  """n annotated frames of a video."""

  frame_id: np.ndarray  # int [n], increasing
  units: np.ndarray  # [n, len(emotion.AUS)] visible intensities
  gaze: np.ndarray  # [n, 2], -1 to 1
  blink: np.ndarray  # [n], 0 open to 1 closed
  pose: np.ndarray  # [n, 3] yaw, pitch, roll in degrees
  valence: np.ndarray  # [n] as annotated, -1 to 1
  arousal: np.ndarray
  expression: np.ndarray  # int [n]
  au: np.ndarray  # int [n, 12], 0 or 1
  labelled: np.ndarray  # bool [n, 3]: VA, expression, AU


def follow(target: np.ndarray, seconds: float) -> np.ndarray:
  """Returns `target` [t, ...] after a first-order lag."""
  step = 1 - np.exp(-1 / (FPS * seconds))
  out, state = np.empty_like(target), target[0].copy()
  for t in range(len(target)):
    state += step * (target[t] - state)
    out[t] = state
  return out


def wander(
    rng: np.random.Generator, shape: tuple[int, ...], seconds: float
) -> np.ndarray:
  """Returns Ornstein-Uhlenbeck paths [t, ...] of mean 0 and deviation 1."""
  keep = np.exp(-1 / (FPS * seconds))
  noise = rng.normal(0, np.sqrt(1 - keep**2), shape)
  noise[0] = rng.normal(0, 1, shape[1:])
  for t in range(1, len(noise)):
    noise[t] += keep * noise[t - 1]
  return noise


def _spells(
    rng: np.random.Generator, length: int, share: float, seconds: float
) -> np.ndarray:
  """Returns a signal [length] that is above 0 for the fraction `share` of time."""
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


@dataclasses.dataclass(frozen=True)
class _Script:
  """Emotion and speech of a person at each of the t frames of a video."""

  expression: np.ndarray  # int [t]
  labelled: np.ndarray  # bool [t, 3]
  apex: np.ndarray  # [t, len(emotion.AUS)] target of the face
  affect: np.ndarray  # [t, 2] target of valence and arousal
  speech: np.ndarray  # [t] 0 silent to 1


def _write_script(
    segments: tuple[plan_lib.Segment, ...],
    length: int,
    rng: np.random.Generator,
) -> _Script:
  shares = rng.dirichlet(np.full(len(segments), 6.0))
  ends = np.ceil(np.cumsum(shares) * length).astype(int)
  at = np.searchsorted(ends[:-1], np.arange(length), side='right')
  apex, affect, talk = [], [], []
  for part in segments:
    name = labels.EXPRESSIONS[part.expression]
    target = emotion.vector(emotion.VARIANTS[name][part.variant][1])
    target *= rng.uniform(0.75, 1.1, len(emotion.AUS))
    force = rng.uniform(0.7, 1.1)
    mood = force * np.array(emotion.CIRCUMPLEX[name])
    if name == 'Other':
      # Compound or unclear faces: a part of another emotion.
      trace = labels.EXPRESSIONS[rng.integers(1, 7)]
      target = np.maximum(target, 0.45 * emotion.apex(trace, rng))
      mood += 0.35 * np.array(emotion.CIRCUMPLEX[trace])
    apex.append(force * target)
    affect.append(mood)
    talk.append(emotion.TALK[name])
  # The intensity varies within a segment; the expression stays the same.
  swell = np.clip(0.85 + 0.25 * wander(rng, (length, 1), 0.8), 0.2, 1.15)
  urge = 2 * follow(rng.uniform(0, 1, length), 1.5) - 0.5
  return _Script(
      expression=np.array([s.expression for s in segments])[at],
      labelled=np.array([s.labelled for s in segments])[at],
      apex=np.array(apex)[at] * swell,
      affect=np.array(affect)[at] * swell,
      speech=follow((np.array(talk)[at] > urge).astype(float), 0.3),
  )


def _act(
    script: _Script, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
  """Returns (visible units, perceived units), both [t, k].

  A speaking mouth opens and shuts; an observer perceives it as open.
  """
  length = len(script.apex)
  units = script.apex.copy()
  for unit, share in emotion.HABITS.items():
    column = emotion.AUS.index(unit)
    spell = _spells(rng, length, share, 2.0)
    units[:, column] = np.maximum(units[:, column], spell)
  units = follow(units, 0.25)
  syllables = np.clip(np.abs(wander(rng, (length, 2), 0.08)), 0, 1.6)
  syllables *= script.speech[:, None]
  perceived = units.copy()
  perceived[:, _MOUTH] = np.maximum(
      units[:, _MOUTH], follow(syllables, 0.6) * (0.75, 0.18)
  )
  units[:, _MOUTH] = np.maximum(units[:, _MOUTH], syllables * (0.65, 0.22))
  return units, perceived


def _mark(perceived: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """Returns the annotated units, int [t, 12], with a few random errors."""
  score = follow(perceived[:, : labels.NUM_AUS], 0.2)
  marked = score > _PRESENT + rng.normal(0, 0.03, labels.NUM_AUS)
  missed = rng.random(marked.shape) < 0.02
  invented = rng.random(marked.shape) < 0.002
  return ((marked & ~missed) | invented).astype(int)


def _rate(
    script: _Script, perceived: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
  """Returns annotated valence and arousal [t, 2] in [-1, 1]."""
  felt = follow(script.affect, 0.5)
  felt += 0.8 * (perceived - perceived.mean(0)) @ emotion.unit_affect().T
  felt[:, 1] += 0.1 * follow(script.speech, 0.6)
  rated = follow(felt + rng.normal(0, 0.05, 2), 0.3)
  return np.clip(rated + 0.04 * wander(rng, rated.shape, 0.5), -1, 1)


def simulate(
    video: plan_lib.Video,
    who: identity_lib.Identity,
    frame_id: np.ndarray | None = None,
) -> Track:
  """Returns the face, the pose and the annotations of a video.

  Args:
    video: plan of the video.
    who: its person.
    frame_id: annotated frames, counted from 1; None draws random ones.
  """
  rng = np.random.default_rng([*video.key, 1])
  if frame_id is None:
    frame_id = _frame_ids(rng, video.frames)
  length, at = int(frame_id[-1]), frame_id - 1
  script = _write_script(video.segments, length, rng)
  units, perceived = _act(script, rng)
  au = _mark(perceived, rng)
  rated = _rate(script, perceived, rng)
  named = np.concatenate(
      [np.full(_LAG, script.expression[0]), script.expression]
  )
  labelled = script.labelled[at]
  labelled[: video.unlabelled] = False

  shown = who.rest + units * who.gain * (1 - 0.4 * who.rest)
  shown += 0.12 * wander(rng, units.shape, 0.15)
  pose = wander(rng, (length, 3), 1.5) * (5, 3, 2)
  pose += rng.normal(0, 1, 3) * (4, 2, 1)
  # Low arousal lowers the head.
  pose[:, 1] += 4 * np.maximum(0.1 - rated[:, 1], 0)
  gaze = 0.4 * wander(rng, (length, 2), 0.6)
  return Track(
      frame_id=frame_id,
      units=np.clip(shown[at], 0, 1.25),
      gaze=np.clip(gaze[at], -1, 1),
      blink=_blinks(rng, length)[at],
      pose=pose[at],
      valence=rated[at, 0],
      arousal=rated[at, 1],
      expression=named[at],
      au=au[at],
      labelled=labelled,
  )
