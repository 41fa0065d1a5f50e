r"""Renders videos of parametric faces in the on-disk layout of s-Aff-Wild2.

  python -m data_builders.procedural --out=DIR [--videos=N --frames=N --seed=S]
  python -m data_builders.procedural --sheet=docs/contact_sheet.png

The corpus stands in for the real data, which needs a signed agreement: the same
builder reads both. The folder is whole when it holds `corpus.json`.
"""

import os
import pathlib

from absl import flags

from abaw_jax import cli, errors

_OUT = flags.DEFINE_string('out', None, 'Folder to write the corpus to.')
_SHEET = flags.DEFINE_string(
    'sheet', None, 'PNG file for a contact sheet of faces, instead of a corpus.'
)
_VIDEOS = flags.DEFINE_integer('videos', 220, 'Videos over all three splits.')
_FRAMES = flags.DEFINE_integer('frames', 90, 'Mean annotated frames per video.')
_SEED = flags.DEFINE_integer('seed', 0, 'Seed of everything.', lower_bound=0)
_WORKERS = flags.DEFINE_integer(
    'workers', os.cpu_count() or 1, 'Processes that render.', lower_bound=1
)


def main() -> None:
  """Renders what the flags ask for and prints a line about it."""
  from data_builders.procedural import corpus, sheet

  if (_OUT.value is None) == (_SHEET.value is None):
    raise errors.InputError('give either --out=DIR or --sheet=FILE.png')
  if _SHEET.value is not None:
    print(sheet.write(pathlib.Path(_SHEET.value), seed=_SEED.value))
    return
  print(
      corpus.write(
          pathlib.Path(_OUT.value),
          videos=_VIDEOS.value,
          frames=_FRAMES.value,
          seed=_SEED.value,
          workers=_WORKERS.value,
      )
  )


if __name__ == '__main__':
  cli.run(main, __doc__)
