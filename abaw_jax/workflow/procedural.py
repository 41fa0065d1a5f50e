"""The embedded default: from nothing to features of the procedural corpus.

Everything lies under one root: `source/` (the corpus in the layout of
s-Aff-Wild2), `s_aff_wild2/` (built from it), `mae/` and `frame/` (runs of the
backbone) and `s_aff_wild2_features/small/`.
"""

import pathlib
from typing import Any

from abaw_jax import errors
from abaw_jax.workflow import stage

DATASET = 's_aff_wild2'
FEATURES = 'small'
ROOT = pathlib.Path('data') / 'procedural'
CONFIGS = pathlib.Path(__file__).parents[2] / 'configs'


def train_stage(
    title: str, config: str, workdir: pathlib.Path, *overrides: str
) -> stage.Stage:
  """Returns the stage that trains `configs/<config>` in `workdir`."""
  return stage.Stage(
      title,
      (
          'abaw_jax.train',
          f'--config={CONFIGS / config}',
          f'--workdir={workdir}',
          f'--config.data.name={DATASET}',
          *overrides,
      ),
      workdir / 'DONE',
  )


def evaluate_stage(name: str, workdir: pathlib.Path) -> stage.Stage:
  """Returns the stage that scores the run in `workdir` on validation."""
  return stage.Stage(
      f'evaluate the {name}',
      ('abaw_jax.evaluate', f'--workdir={workdir}'),
      workdir / 'predictions' / 'validation.json',
  )


def frame_stages(root: pathlib.Path) -> list[stage.Stage]:
  """Returns the stages up to a built dataset of frames under `root`."""
  info = root / DATASET / 'frames' / '1.0.0' / 'dataset_info.json'
  return [
      stage.Stage(
          'render the procedural corpus',
          ('data_builders.procedural', f'--out={root / "source"}'),
          root / 'source' / 'corpus.json',
      ),
      stage.Stage(
          'build the dataset',
          (
              'data_builders.build',
              DATASET,
              f'--source_dir={root / "source"}',
              f'--data_dir={root}',
              '--config=sequences,frames',
          ),
          info,
      ),
  ]


def feature_stages(root: pathlib.Path) -> list[stage.Stage]:
  """Returns the stages up to features: `frame_stages`, then a small backbone."""
  data = f'--config.data.dir={root}'
  card = root / f'{DATASET}_features' / FEATURES / '1.0.0' / 'card.json'
  return [
      *frame_stages(root),
      train_stage('pretrain a small MAE', 'mae.py:small', root / 'mae', data),
      train_stage(
          'fine-tune it on frames',
          'frame.py:small',
          root / 'frame',
          data,
          f'--config.init_from={root / "mae"}',
      ),
      stage.Stage(
          'extract features',
          (
              'abaw_jax.extract',
              f'--init_from={root / "frame"}',
              f'--data={root / DATASET}',
              f'--name={FEATURES}',
          ),
          card,
      ),
  ]


def resolve(config: dict[str, Any]) -> None:
  """Makes the procedural dataset where a config asks for it, and points there.

  Args:
    config: plain dict of an experiment; its `data.name` and `data.dir` change.

  Raises:
    InputError: if a real dataset is named without its folder, or together with
      the procedural one.
  """
  data = config['data']
  if data['name'] != 'procedural':
    if 'procedural' in data['name'].split(','):
      raise errors.InputError(
          f'config.data.name={data["name"]}: procedural stands for itself alone; '
          'to mix its images with others, render and build it into the folder '
          'of the others with `python -m data_builders.procedural` and '
          f'`python -m data_builders.build {DATASET}`, and name {DATASET}'
      )
    if not data['dir']:
      raise errors.InputError(
          f'config.data.dir is empty: give the --data_dir that {data["name"]} '
          'was built in, --config.data.dir=DATA_DIR'
      )
    return
  root = pathlib.Path(data['dir'] or ROOT)
  print(
      'No dataset is configured (config.data.name=procedural): using the '
      f'procedural corpus under {root}',
      flush=True,
  )
  needs_features = 'features' in data
  stage.run(feature_stages(root) if needs_features else frame_stages(root))
  data['name'], data['dir'] = DATASET, str(root)
