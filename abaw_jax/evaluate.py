r"""Scores a trained run and writes its predictions.

  python -m abaw_jax.evaluate --workdir=runs/mtl-1 --split=validation

Takes the run's best checkpoint. Prints every score with the number of rows
behind it and, last, `P_MTL <x> (VA <x> EXPR <x> AU <x>)`. Writes
<workdir>/predictions/<split>.npz and .json.
"""

import pathlib

from absl import flags

from abaw_jax import cli, labels

cli.define_workdir('Folder of the run.', required=True)
flags.DEFINE_enum(
    'split', 'validation', labels.SPLITS, 'Split to score and predict.'
)


def main() -> None:
  """Evaluates the run."""
  from abaw_jax.training import evaluation

  workdir = pathlib.Path(flags.FLAGS.workdir)
  scores = evaluation.evaluate(workdir, flags.FLAGS.split)
  print('\n'.join(evaluation.score_table(scores)))
  print(evaluation.format_scores(scores))


if __name__ == '__main__':
  cli.run(main, __doc__)
