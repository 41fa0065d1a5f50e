r"""Shows predictions for a webcam or a video on a page of this machine.

  abaw-jax live --model=BUNDLE
  abaw-jax live --model=BUNDLE --port=8765 --detector=yunet:FILE

Prints the address of the page, with a token that is new at each start. Only
programs on this machine can open it. Nothing is stored, and no other computer is
contacted; the page can save the table of a session. Ctrl-C ends the command.
docs/live.md describes the page.
"""

import functools
from typing import Any

from absl import flags

import abaw_jax
from abaw_jax.core import cli, errors

flags.DEFINE_string(
    'model',
    None,
    'Bundle, a folder that abaw-jax bundle wrote; abaw-jax demo makes demo/bundle.',
    required=True,
)
flags.DEFINE_integer(
    'port',
    8765,
    'Port of 127.0.0.1; 0 = any free one.',
    lower_bound=0,
    upper_bound=65535,
)
flags.DEFINE_string(
    'detector', 'centerface', 'centerface, yunet:FILE or scrfd:FILE.'
)
flags.DEFINE_integer(
    'every',
    1,
    'The detector sees every k-th picture; faces are tracked between.',
    lower_bound=1,
)
flags.DEFINE_integer(
    'long_side',
    640,
    'Larger pictures are reduced to this many pixels for the detector.',
    lower_bound=32,
)
flags.DEFINE_float(
    'min_confidence', 0.5, 'Faces below this confidence are ignored.'
)


@flags.validator('detector', message='a table has no faces of live pictures')
def _finds_faces(detector: str) -> bool:
  return not detector.startswith('csv:')


def main() -> None:
  """Serves the page until Ctrl-C."""
  try:
    from abaw_jax.live_page import access, application, messages, serving
  except ImportError as e:
    raise errors.InputError(
        f"live needs {e.name}; pip install 'abaw_jax[live]'"
    ) from e

  names = ('detector', 'every', 'long_side', 'min_confidence')
  options = {name: flags.FLAGS[name].value for name in names}
  with serving.listen(flags.FLAGS.port) as listener:
    model = abaw_jax.load(cli.path('model'))
    _warm_up(model, options)
    entrance = access.Access(listener.getsockname()[1])
    app = application.Application(
        functools.partial(model.stream, **options),
        messages.Description.from_model(model),
        entrance,
    )
    print(
        f'{entrance.address}\nOpen this address in a browser. Ctrl-C ends it.',
        flush=True,
    )
    serving.make_server(app).run(sockets=[listener])


def _warm_up(model: Any, options: dict[str, Any]) -> None:
  """Checks the options, and compiles the programs for one face.

  Args:
    model: a `clips.model.Model`.
    options: of its streams.
  """
  import numpy as np

  size = model.predictor.image_size
  black = np.zeros([size, size, 3], np.uint8)
  model.stream(**options).push(black, 0.0)
  model.stream(aligned=True).push(black, 0.0)


if __name__ == '__main__':
  cli.run(main, __doc__)
