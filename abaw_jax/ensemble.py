r"""Blends, smooths and calibrates predictions, and scores them on held-out videos.

  abaw-jax ensemble --out=val.npz \
      --predictions=runs/a/predictions/validation.npz \
      --predictions=runs/b/predictions/validation.npz
  abaw-jax ensemble --out=test.npz \
      --predictions=runs/a/predictions/test.npz \
      --predictions=runs/b/predictions/test.npz \
      --tune_on=runs/a/predictions/validation.npz \
      --tune_on=runs/b/predictions/validation.npz
  abaw-jax ensemble --join --out=member.npz \
      --predictions=fold0.npz --predictions=fold1.npz

Each file is a member. With --join the files have different rows, such as the folds of
a cross-validation, and together they are one member; blend several such members in a
second command. Without --tune_on the blend has equal weights. With --tune_on, weights,
smoothing, AU thresholds and the bias of expressions are fitted to those rows, and
scored on held-out videos (cross-fitting). Rows that are both in --tune_on and in
--predictions are written cross-fitted, too.
--postprocessing=FILE applies a file that an earlier command wrote.

Writes --out (.npz, .parquet or .csv) and <out>.postprocessing.json. Prints the scores
of each member and of the blend, with 95% intervals over recordings.
"""

from absl import flags

from abaw_jax.core import cli, errors

STEPS = ('weights', 'smoothing', 'thresholds', 'bias')

cli.define_paths('predictions', 'File of a member.', required=True)
flags.DEFINE_string('out', None, 'File to write.', required=True)
cli.define_paths(
    'tune_on', 'File with labels of the same member, in the same order.'
)
flags.DEFINE_bool('join', False, 'All files are parts of one member.')
flags.DEFINE_string(
    'postprocessing', None, 'Apply this file instead of tuning.'
)
flags.DEFINE_list('steps', list(STEPS), 'Steps that are tuned.')
kinds = ('logits', 'probabilities', 'votes')
flags.DEFINE_enum('expr', 'logits', kinds, 'Method to blend expressions.')
flags.DEFINE_enum('au', 'logits', kinds, 'Method to blend action units.')
cli.define_tuning()


def main() -> None:
  """Writes the blend and prints its report."""
  from abaw_jax.postprocessing import tuning
  from abaw_jax.reports import ensembles

  args = flags.FLAGS
  unknown = sorted(set(args.steps) - set(STEPS))
  if unknown:
    raise errors.InputError(
        f'--steps: unknown value {unknown[0]!r}; choose from {", ".join(STEPS)}'
    )
  if args.tune_on and args.postprocessing:
    raise errors.InputError(
        '--tune_on fits a postprocessing and --postprocessing applies another; '
        'give only one of them'
    )
  lines = ensembles.make_ensemble(
      cli.paths('predictions'),
      cli.path('out'),
      tune_on=cli.paths('tune_on'),
      join=args.join,
      stored=cli.path('postprocessing'),
      settings=tuning.Settings(
          steps=tuple(args.steps), bias=args.bias, expr=args.expr, au=args.au
      ),
      groups=args.groups,
      resamples=args.resamples,
  )
  print('\n'.join(lines))


if __name__ == '__main__':
  cli.run(main, __doc__)
