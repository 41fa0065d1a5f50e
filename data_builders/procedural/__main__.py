r"""Renders videos of parametric faces in the on-disk layout of s-Aff-Wild2.

  abaw-jax render --out=DIR --videos=12 --frames=24 --seed=1
  abaw-jax render --layout=fer_plus --out=DIR
  abaw-jax render --domain=synthetic --out=DIR
  abaw-jax render --scenes=3 --out=DIR
  abaw-jax render --sheet=docs/contact_sheet.png

The corpus replaces the real data, which need a signed agreement: the same
builder reads both. --layout writes faces in the layout of another dataset, with
the labels of that dataset. --domain=synthetic writes faces that look generated:
smooth, evenly lit, of few people, with the class balance of the LSD challenge.
People of the two domains are different. --scenes writes video clips of one to
three people in a room, with the truth of every frame. The folder is complete if it
contains `corpus.json`.
"""

from collections.abc import Sequence
import os
import pathlib

from absl import flags

from abaw_jax.core import cli, errors, files
from abaw_jax.data_builders import datasets

_OUT = flags.DEFINE_string('out', None, 'Folder of the new corpus.')
_SHEET = flags.DEFINE_string(
    'sheet', None, 'Write a contact sheet of faces to this PNG file instead.'
)
_LAYOUT = flags.DEFINE_enum(
    'layout',
    datasets.VIDEO_LAYOUT,
    datasets.RENDERED_LAYOUTS,
    'Layout of the corpus.',
)
_DOMAIN = flags.DEFINE_enum(
    'domain', None, ('photo', 'synthetic'), 'Domain of all splits (default: the'
    ' domains of the layout, mostly photo). With --sheet: show faces as the'
    ' pictures of this domain.',
)  # fmt: skip
_VIDEOS = flags.DEFINE_integer(
    'videos', None, 'Videos in all splits, one person each, or four videos for one'
    ' synthetic person (default 220; fewer for single faces).', lower_bound=1,
)  # fmt: skip
_FRAMES = flags.DEFINE_integer(
    'frames', None, 'Mean number of annotated frames per video (default 90;'
    ' fewer for single faces).', lower_bound=1,
)  # fmt: skip
_SCENES = flags.DEFINE_integer(
    'scenes', None, 'Write this number of video clips of people in a room instead,'
    ' with positions and labels of every frame.', lower_bound=1,
)  # fmt: skip
_SECONDS = flags.DEFINE_float(
    'seconds', None, 'Length of a clip in seconds, with --scenes (default 10).',
    lower_bound=1, upper_bound=3600,
)  # fmt: skip
_PEOPLE = flags.DEFINE_integer(
    'people', None, 'People in a clip, with --scenes (default: 1, 2 and 3 in turn).',
    lower_bound=1, upper_bound=3,
)  # fmt: skip
_SEED = flags.DEFINE_integer('seed', 0, 'Random seed.', lower_bound=0)
_WORKERS = flags.DEFINE_integer(
    'workers', os.cpu_count() or 1, 'Processes that render.', lower_bound=1
)


def main() -> None:
  """Renders the corpus or the contact sheet, and prints a line about it."""
  from abaw_jax.data_builders.procedural import corpus, sheet, stills

  if (_OUT.value is None) == (_SHEET.value is None):
    raise errors.InputError('give either --out=DIR or --sheet=FILE.png')
  if _SHEET.value is not None:
    path = pathlib.Path(_SHEET.value)
    print(sheet.write(path, seed=_SEED.value, domain=_DOMAIN.value))
    return
  out = files.local_path(_OUT.value, '--out')
  if _SCENES.value is not None:
    _render_scenes(out)
    return
  _refuse((_SECONDS, _PEOPLE), 'works with --scenes only')
  videos, frames = _VIDEOS.value, _FRAMES.value
  common = {'seed': _SEED.value, 'workers': _WORKERS.value}
  if _LAYOUT.value == datasets.VIDEO_LAYOUT:
    common['domain'] = _DOMAIN.value or 'photo'
    print(
        corpus.write(out, videos=videos or 220, frames=frames or 90, **common)
    )
  else:
    common['domain'] = _DOMAIN.value
    print(
        stills.write(out, _LAYOUT.value, videos=videos, frames=frames, **common)
    )


def _render_scenes(out: pathlib.Path) -> None:
  from abaw_jax.data_builders.procedural.scenes import writer

  _refuse((_VIDEOS, _FRAMES, _DOMAIN), 'does not work with --scenes')
  if _LAYOUT.present:
    raise errors.InputError('--layout does not work with --scenes; remove it')
  line = writer.write(
      out,
      scenes=_SCENES.value,
      seconds=_SECONDS.value or 10.0,
      people=_PEOPLE.value,
      seed=_SEED.value,
      workers=_WORKERS.value,
  )
  print(line)


def _refuse(unused: Sequence[flags.FlagHolder], reason: str) -> None:
  """Raises an InputError if one of the flags is set."""
  for flag in unused:
    if flag.value is not None:
      raise errors.InputError(f'--{flag.name} {reason}; remove it')


if __name__ == '__main__':
  cli.run(main, __doc__, fills='out')
