r"""Renders videos of parametric faces in the on-disk layout of s-Aff-Wild2.

  abaw-jax render --out=DIR [--videos=N --frames=N --seed=S]
  abaw-jax render --layout=fer_plus --out=DIR
  abaw-jax render --sheet=docs/contact_sheet.png

The corpus stands in for the real data, which needs a signed agreement: the same
builder reads both. --layout writes faces as another dataset has them, with the
labels that it has. The folder is whole when it holds `corpus.json`.
"""

import os
import pathlib

from absl import flags

from abaw_jax.core import cli, errors

VIDEOS = 's_aff_wild2'
# Beside videos: the keys of layouts.LAYOUTS.
_STILLS = (
    'affectnet_2017',
    'affectnet_2021',
    'fer_plus',
    'raf_db',
    'emotionet',
    'identities',
)

_OUT = flags.DEFINE_string('out', None, 'Folder to write the corpus to.')
_SHEET = flags.DEFINE_string(
    'sheet', None, 'PNG file for a contact sheet of faces, instead of a corpus.'
)
_LAYOUT = flags.DEFINE_enum(
    'layout', VIDEOS, (VIDEOS, *_STILLS), 'The dataset whose layout to write.'
)
_VIDEOS = flags.DEFINE_integer(
    'videos', None, 'Videos over all splits; one person each (220; less for'
    ' single faces).', lower_bound=1,
)  # fmt: skip
_FRAMES = flags.DEFINE_integer(
    'frames', None, 'Mean annotated frames per video (90; less for single'
    ' faces).', lower_bound=1,
)  # fmt: skip
_SEED = flags.DEFINE_integer('seed', 0, 'Seed of everything.', lower_bound=0)
_WORKERS = flags.DEFINE_integer(
    'workers', os.cpu_count() or 1, 'Processes that render.', lower_bound=1
)


def main() -> None:
  """Renders what the flags ask for and prints a line about it."""
  from abaw_jax.data_builders.procedural import corpus, sheet, stills

  if (_OUT.value is None) == (_SHEET.value is None):
    raise errors.InputError('give either --out=DIR or --sheet=FILE.png')
  if _SHEET.value is not None:
    print(sheet.write(pathlib.Path(_SHEET.value), seed=_SEED.value))
    return
  out = pathlib.Path(_OUT.value)
  given = {'seed': _SEED.value, 'workers': _WORKERS.value}
  if _LAYOUT.value != VIDEOS:
    print(
        stills.write(
            out,
            _LAYOUT.value,
            videos=_VIDEOS.value,
            frames=_FRAMES.value,
            **given,
        )
    )
    return
  print(
      corpus.write(
          out, videos=_VIDEOS.value or 220, frames=_FRAMES.value or 90, **given
      )
  )


if __name__ == '__main__':
  cli.run(main, __doc__)
