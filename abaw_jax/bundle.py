r"""Makes a bundle: one folder that predicts videos.

  abaw-jax bundle --frame=runs/frame --temporal=runs/mtl \
      --postprocessing=blend.json --out=bundle
  abaw-jax bundle --frame=weights/emotieffnet --out=emotieffnet

--frame is a run of a frame model, or a folder of an expression classifier that
abaw-jax convert wrote. --temporal is a run on features that abaw-jax extract made with
exactly these weights; several runs are blended, with the weights of
--postprocessing. abaw-jax ensemble and abaw-jax evaluate --tune write such files. A run
of the config joint brings the runs whose hidden states it reads.

The folder has config.json (models, preprocessing, alignment, labels, post-processing,
origin), model.safetensors, README.md (a model card) and checksums.json. A folder of
the Hugging Face hub can hold it as it is. Faces are cropped by five points and
ArcFace's template, or --alignment=box crops the box of the face and squashes it to a
square; a JSON file has `method`, `size`, and `template` or `margin`.

A temporal model that reads windows gets windows of its training length. By default
they overlap by half, and every frame takes its outputs from the window whose middle is
nearest. --stride=N starts a window every N frames; the length of a window gives the
numbers of abaw-jax evaluate.
"""

from absl import flags

from abaw_jax.core import cli

cli.define_paths('temporal', 'Folder of a run of a temporal model.')
flags.DEFINE_string(
    'frame',
    None,
    'Folder of a run of a frame model, or of converted weights.',
    required=True,
)
flags.DEFINE_string('out', None, 'Folder to write.', required=True)
flags.DEFINE_string(
    'postprocessing', None, 'File with weights, smoothing and calibration.'
)
flags.DEFINE_string(
    'alignment',
    None,
    'arcface, box or a JSON file; default: box for weights that expect squashed '
    'boxes, such as those of HSE-NN, otherwise arcface.',
)
flags.DEFINE_string(
    'data_dir',
    None,
    'Folder of the datasets with the features, if it was moved.',
)
flags.DEFINE_integer(
    'stride',
    None,
    'Frames between two windows of a temporal model; default: half a window.',
    lower_bound=1,
)
flags.DEFINE_enum(
    'contempt',
    None,
    ('kept', 'left_out', 'other'),
    'Whether the Contempt of converted weights is an expression (the default), is '
    'left out, or counts as Other.',
)
flags.DEFINE_string(
    'licence',
    None,
    'Licence of the weights, for the card; default: that of converted weights.',
)


def main() -> None:
  """Writes the bundle."""
  from abaw_jax.bundles import writing

  args = flags.FLAGS
  report = writing.write_bundle(
      cli.path('out'),
      frame=cli.path('frame'),
      temporal=cli.paths('temporal'),
      postprocessing=cli.path('postprocessing'),
      alignment=args.alignment,
      data_dir=cli.path('data_dir'),
      stride=args.stride,
      contempt=args.contempt,
      licence=args.licence,
  )
  print('\n'.join(report))


if __name__ == '__main__':
  cli.run(main, __doc__)
