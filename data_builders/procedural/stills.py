"""Writes rendered faces in the layouts of datasets of single faces."""

from collections.abc import Iterator
import pathlib

from abaw_jax.core import progress_bars
from abaw_jax.data_builders.procedural import card as card_lib
from abaw_jax.data_builders.procedural.layouts import registry, sample
from abaw_jax.data_builders.procedural.rendering import film
from abaw_jax.data_builders.procedural.rendering import video_plan as plan_lib

VERSION = 1


def _faces(
    video: plan_lib.Video, person: int, first: int
) -> Iterator[sample.Face]:
  """Yields the faces of a video, with all their labels."""
  track, quality, pictures = film.shoot(video)
  for i, picture in enumerate(pictures):
    yield sample.Face(
        picture=picture,
        quality=quality,
        number=first + i,
        person=person,
        place=i,
        expression=int(track.expression[i]),
        valence=float(track.valence[i]),
        arousal=float(track.arousal[i]),
        au=track.au[i],
    )


def render(
    layout: str,
    video: plan_lib.Video,
    person: int,
    first: int,
    out: pathlib.Path,
) -> list[str]:
  """Writes the images of a person; returns the lines for the lists.

  Args:
    layout: a key of registry.LAYOUTS.
    video: video of the person.
    person: number of the person.
    first: number of the first face of the person in the corpus.
    out: folder of the corpus.
  """
  chosen = registry.LAYOUTS[layout]
  faces = _faces(video, person, first)
  return chosen.write(out, chosen.splits[video.split], faces)


def write(
    out: pathlib.Path,
    layout: str,
    *,
    videos: int | None,
    frames: int | None,
    seed: int,
    workers: int,
) -> str:
  """Renders the faces in `out` unless it is complete; returns a line about it.

  Args:
    out: a new folder, a folder with the same faces, or an interrupted corpus.
    layout: a key of registry.LAYOUTS.
    videos: number of people; None means the number of the layout.
    frames: mean number of faces per person; None means the number of the layout.
    seed: random seed; the files depend on it, not on `workers`.
    workers: processes that render.

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
  plan = plan_lib.make(args['videos'], args['frames'], seed)
  card = {'version': VERSION, 'args': args}
  if not card_lib.prepare(out, card, chosen.folders):
    return f'{out} already contains these faces; nothing to do'
  jobs, first = [], 0
  for person, video in enumerate(plan):
    jobs.append((layout, video, person, first, out))
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
  return f'{out}: {len(plan)} people, {sum(map(len, lines.values()))} faces'
