r"""Blends predictions, and smooths and calibrates them, honestly scored.

  abaw-jax ensemble --out=val.npz \
      --predictions=runs/a/predictions/validation.npz,runs/b/predictions/validation.npz
  abaw-jax ensemble --out=test.npz \
      --predictions=runs/a/predictions/test.npz,runs/b/predictions/test.npz \
      --tune_on=runs/a/predictions/validation.npz,runs/b/predictions/validation.npz

Members are separated by commas; `+` joins files of other rows into one member, such
as those of the folds of a cross-validation. Without --tune_on the blend has equal
weights. With it, weights, smoothing, AU thresholds and the expressions' bias are
chosen there, and said to be worth what they reach on videos they were not fitted to
(cross-fitting). Rows that are both tuned on and predicted are written cross-fitted,
too. --postprocessing=FILE applies what an earlier call has written.

Writes --out (.npz, .parquet or .csv) and <out>.postprocessing.json. Prints the
scores of each member and of the blend, with 95% intervals over videos.
"""

import pathlib

from absl import flags

from abaw_jax.core import cli, errors

STEPS = ('weights', 'smoothing', 'thresholds', 'bias')


def _define_flags() -> None:
  """Defines the flags; not at import, where other commands have theirs."""
  flags.DEFINE_list('predictions', None, 'Files of the members.', required=True)
  flags.DEFINE_string('out', None, 'File to write.', required=True)
  flags.DEFINE_list(
      'tune_on', [], 'Files with labels of the same members, in their order.'
  )
  flags.DEFINE_string(
      'postprocessing', None, 'Apply this file instead of tuning.'
  )
  flags.DEFINE_list('steps', list(STEPS), 'What is tuned.')
  flags.DEFINE_enum(
      'bias', 'f1', ('f1', 'prior'), 'How the bias of expressions is fitted.'
  )
  kinds = ('logits', 'probabilities', 'votes')
  flags.DEFINE_enum('expr', 'logits', kinds, 'How expressions are blended.')
  flags.DEFINE_enum('au', 'logits', kinds, 'How action units are blended.')
  flags.DEFINE_integer(
      'groups', 5, 'Groups of videos for cross-fitting.', lower_bound=2
  )
  flags.DEFINE_integer(
      'resamples', 1000, 'Resamples of videos for intervals.', lower_bound=100
  )


def main() -> None:
  """Blends the members."""
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
        '--tune_on chooses what --postprocessing would apply; give one of them'
    )
  lines = ensembles.run(
      args.predictions,
      pathlib.Path(args.out),
      tune_on=args.tune_on,
      stored=args.postprocessing and pathlib.Path(args.postprocessing),
      settings=tuning.Settings(
          steps=tuple(args.steps), bias=args.bias, expr=args.expr, au=args.au
      ),
      groups=args.groups,
      resamples=args.resamples,
  )
  print('\n'.join(lines))


if __name__ == '__main__':
  _define_flags()
  cli.run(main, __doc__)
