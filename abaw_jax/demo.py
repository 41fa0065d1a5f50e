r"""Shows the whole path on the procedural corpus: frames on disk to P_MTL.

  python -m abaw_jax.demo --workdir=demo

Renders the corpus, builds the dataset, pretrains a small MAE, fine-tunes it on
frames, extracts features, trains the temporal multi-task model and evaluates
both models on validation videos of people that training has not seen. Stages
that have finished are not run again.
"""

import json
import pathlib
import resource
import sys

from absl import flags

from abaw_jax.core import cli

cli.define_workdir('Folder for everything the demo makes.', required=True)
_COLUMNS = ('VA', 'EXPR', 'AU', 'P_MTL')


def main() -> None:
  """Runs the stages and prints the table and the last line."""
  from abaw_jax.inference import evaluation
  from abaw_jax.workflow import procedural
  from abaw_jax.workflow import stages as stage

  root = pathlib.Path(flags.FLAGS.workdir)
  models = {'static frame model': 'frame', 'temporal model': 'mtl'}
  stage.run(
      [
          *procedural.feature_stages(root),
          procedural.train_stage(
              'train the temporal multi-task model',
              'mtl.py:small',
              root / 'mtl',
              f'--config.data.dir={root}',
          ),
          *(
              procedural.evaluate_stage(name, root / run)
              for name, run in models.items()
          ),
      ]
  )
  if memory := _peak_memory():
    print(f'\nmemory of the largest stage: {memory:.1f} GiB')
  print(f'\n{"validation":20}' + ''.join(f'{name:>9}' for name in _COLUMNS))
  for name, run in models.items():
    path = root / run / 'predictions' / 'validation.json'
    scores = json.loads(path.read_text())
    print(f'{name:20}' + ''.join(f'{scores[k]:9.4f}' for k in _COLUMNS))
  print(evaluation.format_scores(scores))


def _peak_memory() -> float:
  """Returns the memory of the largest stage in GiB, 0 if none had to run."""
  peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
  return peak / 2**30 if sys.platform == 'darwin' else peak / 2**20


if __name__ == '__main__':
  cli.run(main, __doc__)
