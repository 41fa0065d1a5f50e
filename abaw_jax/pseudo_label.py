r"""Turns confident predictions of several models into labels for training.

  abaw-jax predict_split --workdir=runs/mtl0 --split=train
  abaw-jax predict_split --workdir=runs/mtl1 --split=train
  abaw-jax pseudo_label --predictions=runs/mtl0/predictions/train.npz \
      --predictions=runs/mtl1/predictions/train.npz --out=pseudo.npz
  abaw-jax train --config=mtl --config.data.pseudo_labels=pseudo.npz

The models are temporal models or frame models, and so is the model that is trained. A
frame gets a label only where its true label is missing, all models agree, and their
blend is confident. Training accepts labels of training frames only: it refuses a file
with frames of the validation split, of a held-out fold, or of the test split.
"""

from absl import flags

from abaw_jax.core import cli, errors

cli.define_paths('predictions', 'File of a model, .npz.', required=True)
flags.DEFINE_string('out', None, 'File to write, .npz.', required=True)
flags.DEFINE_float(
    'min_expression',
    0.9,
    'Least probability of an expression.',
    lower_bound=0,
    upper_bound=1,
)
flags.DEFINE_float(
    'min_au',
    0.95,
    'Least probability of an action unit, or of its absence.',
    lower_bound=0.5,
    upper_bound=1,
)
flags.DEFINE_float(
    'max_va_std',
    0.05,
    'Largest standard deviation of valence, and of arousal, over the models.',
    lower_bound=0,
)


def main() -> None:
  """Writes the pseudo-labels and prints their numbers."""
  from abaw_jax.postprocessing import pseudo_labels
  from abaw_jax.scoring import prediction_files

  args, paths, out = flags.FLAGS, cli.paths('predictions'), cli.path('out')
  if out.suffix != '.npz':
    raise errors.InputError(
        f'--out={out}: training reads .npz; name such a file'
    )
  rows = pseudo_labels.select(
      [prediction_files.read(path) for path in paths],
      [str(path) for path in paths],
      pseudo_labels.Limits(args.min_expression, args.min_au, args.max_va_std),
  )
  prediction_files.write(out, rows)
  print('\n'.join([*pseudo_labels.summary(rows), f'pseudo-labels: {out}']))


if __name__ == '__main__':
  cli.run(main, __doc__)
