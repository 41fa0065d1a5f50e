"""The embedded default: from nothing to features of the procedural corpus.

Everything lies under one root: `source/` (the corpus in the layout of
s-Aff-Wild2), `s_aff_wild2/` (built from it), `mae/` and `frame/` (runs of the
backbone) and `s_aff_wild2_features/small/`; for identity models `people/` and
`identities/`; for `procedural/<dataset>`, faces in the layout of another dataset,
`sources/<dataset>/` and `<dataset>/`.
"""

import pathlib
from typing import Any

from abaw_jax.core import errors
from abaw_jax.workflow import stages as stage

DATASET = 's_aff_wild2'
IDENTITIES = 'identities/folders'
# Other datasets whose layout faces are rendered in: that layout, the config that
# its builder reads it with, and a seed of its own, or all had the same people.
STILLS = {
    'affectnet': ('affectnet_2017', 'manual_2017', 1),
    'fer_plus': ('fer_plus', 'frames', 2),
    'raf_db': ('raf_db', 'frames', 3),
    'emotionet': ('emotionet', 'frames', 4),
}
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


def identity_stages(root: pathlib.Path) -> list[stage.Stage]:
  """Returns the stages up to a built dataset of people under `root`."""
  source = root / 'people'
  return [
      stage.Stage(
          'render people',
          (
              'data_builders.procedural',
              '--layout=identities',
              f'--out={source}',
              '--seed=5',  # not the people of the other datasets
          ),
          source / 'corpus.json',
      ),
      stage.Stage(
          'build the dataset',
          (
              'data_builders.build',
              'identities',
              '--config=folders',
              f'--source_dir={source}',
              f'--data_dir={root}',
              '--validation_share=0.2',
          ),
          root / IDENTITIES / '1.0.0' / 'dataset_info.json',
      ),
  ]


def still_stages(root: pathlib.Path, dataset: str) -> list[stage.Stage]:
  """Returns the stages up to a dataset of STILLS, built under `root`."""
  layout, config, seed = STILLS[dataset]
  source = root / 'sources' / dataset
  return [
      stage.Stage(
          f'render faces in the layout of {dataset}',
          (
              'data_builders.procedural',
              f'--layout={layout}',
              f'--out={source}',
              f'--seed={seed}',
              '--videos=120',
              '--frames=30',
          ),
          source / 'corpus.json',
      ),
      stage.Stage(
          f'build {dataset}',
          (
              'data_builders.build',
              dataset,
              f'--config={config}',
              f'--source_dir={source}',
              f'--data_dir={root}',
          ),
          root / dataset / config / '1.0.0' / 'dataset_info.json',
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


def is_asked_for(name: str) -> bool:
  """Returns whether a config's `data.name` asks for the procedural corpus."""
  return any(map(_is_procedural, name.split(',')))


def resolve(config: dict[str, Any]) -> None:
  """Makes the procedural dataset where a config asks for it, and points there.

  That is `procedural`, or `procedural/<dataset>` for faces in the layout of
  another one; several of these, separated by commas, are mixed.

  Args:
    config: plain dict of an experiment; its `data.name` and `data.dir` change.

  Raises:
    InputError: if a real dataset is named without its folder, or together with
      a procedural one, or no such faces can be rendered.
  """
  data = config['data']
  names = [name.strip() for name in data['name'].split(',')]
  if not is_asked_for(data['name']):
    if not data['dir']:
      raise errors.InputError(
          f'config.data.dir is empty: give the --data_dir that {data["name"]} '
          'was built in, --config.data.dir=DATA_DIR'
      )
    return
  if not all(map(_is_procedural, names)):
    raise errors.InputError(
        f'config.data.name={data["name"]}: procedural stands for itself alone; '
        'to mix its images with others, render and build it into the folder '
        'of the others with `python -m data_builders.procedural` and '
        f'`python -m data_builders.build {DATASET}`, and name {DATASET}'
    )
  root = pathlib.Path(data['dir'] or ROOT)
  made = [_make(root, name, config) for name in names]
  print(
      f'No dataset is configured (config.data.name={data["name"]}): using the '
      f'procedural corpus under {root}',
      flush=True,
  )
  stage.run([step for stages, _ in made for step in stages])
  data['name'], data['dir'] = ','.join(name for _, name in made), str(root)


def _is_procedural(name: str) -> bool:
  return name.strip().split('/')[0] == 'procedural'


def _make(
    root: pathlib.Path, name: str, config: dict[str, Any]
) -> tuple[list[stage.Stage], str]:
  """Returns the stages that make what a name stands for, and its real name."""
  _, _, dataset = name.partition('/')
  if dataset in STILLS:
    return still_stages(root, dataset), f'{dataset}/{STILLS[dataset][1]}'
  if dataset not in ('', DATASET):
    raise errors.InputError(
        f'config.data.name={config["data"]["name"]}: {dataset!r} cannot be '
        f'rendered; choose from procedural/{DATASET}, '
        f'{", ".join(f"procedural/{still}" for still in STILLS)}'
    )
  if config['model']['name'] == 'identity':
    return identity_stages(root), IDENTITIES
  if 'features' in config['data']:
    return feature_stages(root), DATASET
  return frame_stages(root), DATASET
