"""Writes rendered faces in the layouts of datasets of single faces."""

import collections
from collections.abc import Iterator
import pathlib

from abaw_jax.core import progress_bars
from abaw_jax.data_builders.procedural import card as card_lib
from abaw_jax.data_builders.procedural.layouts import registry, sample
from abaw_jax.data_builders.procedural.rendering import film
from abaw_jax.data_builders.procedural.rendering import video_plan as plan_lib

VERSION = 1


def _faces(
    video: plan_lib.Video, person: int, place: int, first: int
) -> Iterator[sample.Face]:
  """Yields the faces of a video, with all their labels."""
  track, quality, pictures = film.shoot(video)
  for i, picture in enumerate(pictures):
    yield sample.Face(
        picture=picture,
        quality=quality,
        number=first + i,
        person=person,
        place=place + i,
        expression=int(track.expression[i]),
        valence=float(track.valence[i]),
        arousal=float(track.arousal[i]),
        au=track.au[i],
    )


def render(
    layout: str,
    video: plan_lib.Video,
    person: int,
    place: int,
    first: int,
    out: pathlib.Path,
) -> list[str]:
  """Writes the images of a video; returns the lines for the lists.

  Args:
    layout: a key of registry.LAYOUTS.
    video: video of the person.
    person: number of the person.
    place: number of the first face among the faces of the person.
    first: number of the first face in the corpus.
    out: folder of the corpus.
  """
  chosen = registry.LAYOUTS[layout]
  faces = _faces(video, person, place, first)
  return chosen.write(out, chosen.splits[video.split], faces)


def write(
    out: pathlib.Path,
    layout: str,
    *,
    videos: int | None,
    frames: int | None,
    seed: int,
    workers: int,
    domain: str | None = None,
) -> str:
  """Renders the faces in `out` unless it is complete; returns a line about it.

  Args:
    out: a new folder, a folder with the same faces, or an interrupted corpus.
    layout: a key of registry.LAYOUTS.
    videos: number of videos, one person each, but four videos for one
      synthetic person; None means the number of the layout.
    frames: mean number of faces per video; None means the number of the layout.
    seed: random seed; the files depend on it, not on `workers`.
    workers: processes that render.
    domain: domain of all splits; None means the domains of the layout.

  Raises:
    InputError: `out` has other content, or a number is out of range.
  """
  chosen = registry.LAYOUTS[layout]
  args = {
      'layout': layout,
      'videos': videos or chosen.videos,
      'frames': frames or chosen.frames,
      'seed': seed,
  }
  domains = plan_lib.in_domain(domain) if domain else chosen.domains
  if domains != chosen.domains:
    args['domain'] = domain
  plan = plan_lib.make(
      args['videos'],
      args['frames'],
      seed,
      domains=domains,
      basic=chosen.basic,
  )
  card = {'version': VERSION, 'args': args}
  if not card_lib.prepare(out, card, chosen.folders):
    return f'{out} already contains these faces; nothing to do'
  jobs, first = [], 0
  people, shown = {}, collections.Counter()
  for video in plan:
    person = people.setdefault(video.person, len(people))
    jobs.append((layout, video, person, shown[person], first, out))
    shown[person] += video.frames
    first += video.frames
  lines = {split: [] for split in chosen.splits.values()}
  with progress_bars.make(total=first, unit='faces', desc='rendering') as bar:
    for video, found in zip(
        plan, film.run_jobs(render, jobs, workers), strict=True
    ):
      lines[chosen.splits[video.split]] += found
      bar.update(video.frames)
  chosen.write_lists(out, lines)
  card['counts'] = {split: len(members) for split, members in lines.items()}
  card_lib.finish(out, card)
  return f'{out}: {len(people)} people, {sum(map(len, lines.values()))} faces'
