r"""Runs every stage on the procedural corpus, from rendering to P_MTL.

  abaw-jax demo --workdir=demo

Renders the corpus, builds the dataset, pretrains a small MAE, fine-tunes it on
frames, extracts features, trains the temporal multi-task model and evaluates
both models on validation videos of people that are not in the training split.
Run the same command again after an interruption: finished stages are not
repeated.
"""

import json
import resource
import sys

from absl import flags

from abaw_jax.core import cli, files

cli.define_workdir('Folder of all datasets and runs.', required=True)
_COLUMNS = ('VA', 'EXPR', 'AU', 'P_MTL')


def main() -> None:
  """Runs the stages and prints the scores."""
  from abaw_jax.scoring import metrics
  from abaw_jax.workflow import procedural, stages

  root = files.local_path(flags.FLAGS.workdir, '--workdir')
  models = {'static frame model': 'frame', 'temporal model': 'mtl'}
  stages.run(
      [
          *procedural.feature_stages(root),
          procedural.train_stage(
              'train the temporal multi-task model',
              'mtl:small',
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
    print(f'\npeak memory of the largest stage: {memory:.1f} GiB')
  print(f'\n{"validation":20}' + ''.join(f'{name:>9}' for name in _COLUMNS))
  for name, run in models.items():
    path = root / run / 'predictions' / 'validation.json'
    scores = json.loads(path.read_text())
    print(f'{name:20}' + ''.join(f'{scores[k]:9.4f}' for k in _COLUMNS))
  print(metrics.summary(scores))


def _peak_memory() -> float:
  """Returns the peak memory of the largest stage in GiB, 0 if no stage ran."""
  peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
  return peak / 2**30 if sys.platform == 'darwin' else peak / 2**20


if __name__ == '__main__':
  cli.run(main, __doc__, fills='workdir')
