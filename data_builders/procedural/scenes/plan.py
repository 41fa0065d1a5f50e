"""Plans scenes: their length, their people and the emotions of the people."""

import dataclasses

import numpy as np

from abaw_jax.core import errors
from abaw_jax.data_builders.procedural.rendering import dynamics, scene
from abaw_jax.data_builders.procedural.rendering import video_plan as plan_lib

MAX_PEOPLE = 3
# People of scenes are in no split and in no domain of a corpus.
_GROUP = len(plan_lib.VIDEOS) * len(scene.DOMAINS)


@dataclasses.dataclass(frozen=True)
class Scene:
  """The plan of one clip."""

  name: str
  key: tuple[int, ...]  # seeds the room and the walks
  number: int  # position among the scenes
  frames: int
  cast: tuple[plan_lib.Video, ...]


def make(
    scenes: int, seconds: float, people: int | None, seed: int
) -> list[Scene]:
  """Returns the plan of each scene.

  Args:
    scenes: number of clips.
    seconds: length of a clip.
    people: people per clip; None means 1, 2 and 3 in turn.
    seed: random seed.

  Raises:
    InputError: a clip is shorter than a second.
  """
  if seconds < 1:
    raise errors.InputError(
        f'--seconds={seconds} is too short; give at least 1'
    )
  frames = round(seconds * dynamics.FPS)
  casts = [people or 1 + i % MAX_PEOPLE for i in range(scenes)]
  each = max(1, round(frames / plan_lib.SEGMENT))
  rng = np.random.default_rng([seed, _GROUP])
  cards = plan_lib.deck('test', plan_lib.PRIORS['test'], each * sum(casts), rng)
  plan = []
  for i, size in enumerate(casts):
    key = (seed, _GROUP, i)
    cast = []
    for k in range(size):
      member = (seed, _GROUP, MAX_PEOPLE * i + k)
      segments, cards = tuple(cards[:each]), cards[each:]
      cast.append(
          plan_lib.Video(
              name=f'scene{i:03d}_{k}',
              split='test',
              domain='photo',
              person=member,
              key=member,
              place=key,
              frames=frames,
              repeated=0,
              unlabelled=0,
              segments=segments,
          )
      )
    plan.append(Scene(f'scene{i:03d}', key, i, frames, tuple(cast)))
  return plan
