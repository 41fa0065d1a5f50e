r"""Times `abaw-jax predict` on a clip, stage by stage.

  python -m benchmarks.video.predict --model=demo/bundle
  python -m benchmarks.video.predict --model=demo/bundle --clip=demo/clip.webm

Without --clip, the clip has one real face that moves, 640x360, 10 s. Each row predicts the clip with other options, after a short run that compiles the
model. A cell is the time of a stage in ms per frame. Stages run in parallel: the
readers (decode, detect, align), the device (embed, temporal) with the tables (write),
and the overlay, which decodes the clip again. `CPU` is the CPU time of all threads per
frame, in ms.
"""

import pathlib
import tempfile
import time

from absl import flags

from abaw_jax.core import cli
from benchmarks import harness

flags.DEFINE_string('model', None, 'Bundle.', required=True)
flags.DEFINE_string('clip', None, 'Clip; default: one moving face.')
flags.DEFINE_float('duration', None, 'Seconds of the clip; default: all.')

# Name of each row, with its options and whether there is an overlay.
_ROWS = {
    'everything on': ({'interpolate': 0.5}, True),
    'default': ({}, False),
    '--every=1': ({'every': 1}, False),
    '--long_side=320': ({'long_side': 320}, False),
    '--frame_rate=5': ({'frame_rate': 5.0}, False),
}


def write_clip(path: pathlib.Path) -> None:
  """Writes the default clip."""
  from abaw_jax import video
  from benchmarks.video import astronaut

  size = {'width': 640, 'height': 360}
  with video.WebmWriter(path, 30.0) as writer:
    for i, move in enumerate(astronaut.motion(300, **size)):
      writer.add(astronaut.render([move], **size)[0], i / 30)


def predict(model, clip: str, options: dict, *, overlay: bool) -> list[str]:
  """Returns the cells of a row."""
  from abaw_jax import video
  from abaw_jax.clips import options as settings
  from abaw_jax.clips import predicting, stage_times

  with tempfile.TemporaryDirectory() as folder:
    prediction = predicting.Prediction(
        model,
        pathlib.Path(folder),
        settings.Options(**options),
        with_overlay=overlay,
        say=lambda line: None,
    )
    start, cpu = time.perf_counter(), time.process_time()
    prediction.run(video.find_clips([clip]))
    seconds = time.perf_counter() - start
    cpu = time.process_time() - cpu
  spent = prediction.times.seconds
  frames = prediction.frames
  cells = [f'{1000 * spent[x] / frames:.1f}' for x in stage_times.STAGES]
  cells += [f'{1000 * cpu / frames:.1f}', f'{frames:,}']
  return [*cells, f'{frames / seconds:.1f}']


def main() -> None:
  """Prints the table."""
  from abaw_jax.bundles import bundle
  from abaw_jax.clips import predicting, stage_times

  model = bundle.load(
      cli.path('model'), face_batches=predicting.batch_sizes(32)
  )
  with tempfile.TemporaryDirectory() as folder:
    clip = flags.FLAGS.clip
    if clip is None:
      clip = f'{folder}/face.webm'
      write_clip(pathlib.Path(clip))
    duration = {'duration': flags.FLAGS.duration}
    predict(model, clip, {'duration': 3.0}, overlay=False)
    harness.print_table(
        ('options', *stage_times.STAGES, 'CPU', 'frames', 'frames/s'),
        (
            [name, *predict(model, clip, duration | options, overlay=overlay)]
            for name, (options, overlay) in _ROWS.items()
        ),
    )


if __name__ == '__main__':
  cli.run(main, __doc__)
