r"""Predicts the faces of videos: a table per clip, and an overlay video on request.

  abaw-jax predict clip.mp4 --model=BUNDLE --out=DIR
  abaw-jax predict clip.mp4 more/*.mp4 folder/ --model=BUNDLE --out=DIR --overlay
  abaw-jax predict crops/ --model=BUNDLE --out=DIR --detector=none

Each clip gets DIR/<stem>.csv and .parquet with a row for each frame and face,
<stem>.schema.json, which explains the columns, and <stem>.summary.json. With
--overlay there is also <stem>.overlay.webm. DIR/summary.csv has a row for each clip
and face. A folder of images is one clip; in other folders every video is one.
docs/video.md lists all columns, and the cost of every option.

The same command continues after a kill: it skips clips that are finished with the
same model and options. A clip that cannot be read, is damaged or has no face is
listed at the end, and the exit status is 1; the other clips are predicted.

To predict a split of a built dataset, use abaw-jax predict_split.
"""

import time

from absl import flags

from abaw_jax.core import cli, errors, numbers

flags.DEFINE_string(
    'model',
    None,
    'Bundle, a folder that abaw-jax bundle wrote; abaw-jax demo makes demo/bundle.',
    required=True,
)
flags.DEFINE_string('out', None, 'Folder of the tables.', required=True)
flags.DEFINE_string(
    'detector',
    'centerface',
    'centerface; yunet:FILE or scrfd:FILE with an ONNX file; csv:FILE with boxes '
    'of OpenFace, py-feat or InsightFace, where {clip} is the name of the clip; or '
    'none, for images that are aligned faces.',
)
flags.DEFINE_integer(
    'every',
    3,
    'The detector sees every k-th frame; faces are tracked between.',
    lower_bound=1,
)
flags.DEFINE_integer(
    'long_side',
    640,
    'Larger frames are reduced to this many pixels for the detector.',
    lower_bound=32,
)
flags.DEFINE_float(
    'min_confidence', 0.5, 'Faces below this confidence are ignored.'
)
flags.DEFINE_float(
    'frame_rate',
    None,
    'Largest number of frames per second that are predicted.',
)
flags.DEFINE_float(
    'adaptive',
    None,
    'Read fewer faces where an expression has at least this probability, such as '
    '0.8; the features of the others are interpolated.',
)
flags.DEFINE_list(
    'strides',
    ['8', '4', '2', '1'],
    'Of --adaptive: distances of faces to read.',
)
flags.DEFINE_float(
    'interpolate',
    0.0,
    'Fill gaps of a face of up to this many seconds; 0 fills none.',
)
flags.DEFINE_float('duration', None, 'Seconds of each clip to predict.')
flags.DEFINE_float(
    'image_rate', 30.0, 'Images per second of a folder of images.'
)
flags.DEFINE_bool('overlay', False, 'Write an overlay video of each clip.')
flags.DEFINE_integer(
    'batch_size',
    32,
    'Faces that the network gets at once; larger is faster on a GPU.',
    lower_bound=1,
)
flags.DEFINE_integer(
    'jobs', 1, 'Clips that are decoded at the same time.', lower_bound=1
)
flags.DEFINE_bool(
    'overwrite', False, 'Predict clips again whose tables are there.'
)


def main(*sources: str) -> int:
  """Predicts all clips; returns 1 if there was a problem with one."""
  from abaw_jax import video
  from abaw_jax.bundles import bundle
  from abaw_jax.clips import options as settings
  from abaw_jax.clips import predicting

  args = flags.FLAGS
  _check_effects(args)
  options = settings.Options(
      detector=args.detector,
      every=args.every,
      long_side=args.long_side,
      min_confidence=args.min_confidence,
      frame_rate=args.frame_rate,
      adaptive=args.adaptive,
      strides=_strides(args.strides),
      interpolate=args.interpolate,
      duration=args.duration,
      image_rate=args.image_rate,
  )
  found = video.find_clips(sources)
  model = bundle.load(
      cli.path('model'), face_batches=predicting.batch_sizes(args.batch_size)
  )
  prediction = predicting.Prediction(
      model,
      cli.path('out'),
      options,
      jobs=args.jobs,
      batch_size=args.batch_size,
      with_overlay=args.overlay,
      overwrite=args.overwrite,
  )
  start = time.perf_counter()
  problems = prediction.run(found)
  for line in prediction.report(time.perf_counter() - start):
    print(line)
  for line in problems:
    print(f'problem: {line}')
  return int(bool(problems))


def _check_effects(args) -> None:
  """Raises an InputError if a flag would have no effect."""
  without = {'strides': args.adaptive is None}
  for name in ('every', 'long_side', 'min_confidence'):
    without[name] = args.detector == 'none'
  for name, has_no_effect in without.items():
    if has_no_effect and args[name].present:
      reason = '--adaptive' if name == 'strides' else 'a --detector'
      raise errors.InputError(f'--{name} has an effect with {reason} only')


def _strides(texts: list[str]) -> tuple[int, ...]:
  """Returns the values of --strides."""
  try:
    return tuple(map(numbers.integer, texts))
  except ValueError as e:
    raise errors.InputError(
        f'--strides={",".join(texts)}: give whole numbers, such as 8,4,2,1'
    ) from e


if __name__ == '__main__':
  cli.run(main, __doc__, operands='clips', fills='out')
