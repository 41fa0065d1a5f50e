r"""Runs every stage on the procedural corpus, from rendering to a predicted video.

  abaw-jax demo
  abaw-jax demo --workdir=FOLDER

Renders the corpus, builds the dataset, pretrains a small MAE, fine-tunes it on
frames, extracts features, trains the temporal multi-task model and evaluates
both models on validation videos of people that are not in the training split.
Then it puts both models into demo/bundle, renders a video of other people,
demo/clip.webm, and predicts it: demo/predicted/clip.csv and clip.overlay.webm.
It takes five to ten minutes on two CPU cores. Run the same command again after an
interruption: finished stages are not repeated.
"""

import json
import resource
import shutil
import sys

from absl import flags

from abaw_jax.core import cli, files
from abaw_jax.workflow import procedural, stages

cli.define_workdir('Folder of all datasets and runs; default: demo.')
flags.FLAGS.set_default('workdir', 'demo')
_COLUMNS = ('VA', 'EXPR', 'AU', 'P_MTL')


def main() -> None:
  """Runs the stages and prints the scores."""
  from abaw_jax.faces import centerface
  from abaw_jax.scoring import metrics
  from abaw_jax.video import pyav

  # The last stages need both; say it now, not after minutes of training.
  pyav.load('demo')
  centerface.weights()
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
          *_bundle_stages(root),
      ]
  )
  clip = root / 'clip.webm'
  if not clip.exists():
    (rendered,) = (root / 'scene').glob('*.webm')
    with files.replacing(clip) as temporary:
      shutil.copyfile(rendered, temporary)
  stages.run([_predict_stage(root, clip)])
  if memory := _peak_memory():
    print(f'\npeak memory of the largest stage: {memory:.1f} GiB')
  print(f'\n{"validation":20}' + ''.join(f'{name:>9}' for name in _COLUMNS))
  for name, run in models.items():
    path = root / run / 'predictions' / 'validation.json'
    scores = json.loads(path.read_text())
    print(f'{name:20}' + ''.join(f'{scores[k]:9.4f}' for k in _COLUMNS))
  print(metrics.summary(scores))
  print(
      f'\na video of other people: {root / "clip.webm"}\n'
      f'its table: {root / "predicted" / "clip.csv"}\n'
      f'the same video with predictions: {root / "predicted" / "clip.overlay.webm"}'
  )
  print(
      '\nnext:\n'
      f'  abaw-jax predict VIDEO --model={root / "bundle"} --out=tables --overlay\n'
      f'  abaw-jax report {root / "predicted"} {root / "mtl"} --out=report.html\n'
      f'  abaw-jax live --model={root / "bundle"}\n'
      'abaw-jax --help lists all commands.'
  )


def _bundle_stages(root: files.Path) -> list[stages.Stage]:
  """Returns the stages that make a bundle and render a clip of other people."""
  return [
      stages.Stage(
          'put both models into a bundle',
          (
              'abaw_jax.bundle',
              f'--frame={root / "frame"}',
              f'--temporal={root / "mtl"}',
              f'--alignment={root / "source" / "alignment.json"}',
              f'--out={root / "bundle"}',
          ),
          root / 'bundle' / 'checksums.json',
      ),
      stages.Stage(
          'render a video of other people',
          (
              procedural.RENDER,
              '--scenes=1',
              '--seed=7',
              f'--out={root / "scene"}',
          ),
          root / 'scene' / 'corpus.json',
      ),
  ]


def _predict_stage(root: files.Path, clip: files.Path) -> stages.Stage:
  """Returns the stage that predicts the clip."""
  out = root / 'predicted'
  return stages.Stage(
      'predict every frame of the video',
      (
          'abaw_jax.predict',
          str(clip),
          f'--model={root / "bundle"}',
          f'--out={out}',
          '--overlay',
      ),
      out / f'{clip.stem}.schema.json',
  )


def _peak_memory() -> float:
  """Returns the peak memory of the largest stage in GiB, 0 if no stage ran."""
  peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
  return peak / 2**30 if sys.platform == 'darwin' else peak / 2**20


if __name__ == '__main__':
  cli.run(main, __doc__, fills='workdir')
