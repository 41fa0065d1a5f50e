"""Makes procedural datasets: renders faces, builds datasets, extracts features.

Everything lies under one root: `source/` (the corpus in the layout of
s-Aff-Wild2), `s_aff_wild2/` (built from it), `mae/` and `frame/` (runs of the
backbone) and `s_aff_wild2_features/small/`, with `small_scores/` if a config reads
the scores of the backbone's heads too. `procedural/tiny` is the same with few frames
and a backbone that learns for seconds, under `tiny/`; for identity and super-resolution
models `people/` and `identities/`, and few people under `tiny/`; for
`procedural/<dataset>`, faces in the layout of another dataset, `sources/<dataset>/` and
`<dataset>/`.
"""

import pathlib
from typing import Any

from abaw_jax.core import choices, errors, files
from abaw_jax.workflow import stages as stage_lib

DATASET = 's_aff_wild2'
IDENTITIES = 'identities/folders'
# Other datasets: the layout to render, the config of the dataset builder, and the
# seed. Different seeds give different people.
STILLS = {
    'affectnet': ('affectnet_2017', 'manual_2017', 1),
    'fer_plus': ('fer_plus', 'frames', 2),
    'raf_db': ('raf_db', 'frames', 3),
    'emotionet': ('emotionet', 'frames', 4),
    'lsd': ('lsd', 'frames', 6),
}
# Feature sets, and what `extract` writes into them.
FEATURES = 'small'
SCORES = 'small_scores'
OUTPUTS = {FEATURES: 'embedding', SCORES: 'logits'}
TINY = 'tiny'
ROOT = pathlib.Path('data') / 'procedural'
RENDER = 'abaw_jax.data_builders.procedural'
BUILD = 'abaw_jax.data_builders.build'


def train_stage(
    title: str, config: str, workdir: files.Path, *overrides: str
) -> stage_lib.Stage:
  """Returns the stage that trains a shipped config in `workdir`."""
  return stage_lib.Stage(
      title,
      (
          'abaw_jax.train',
          f'--config={config}',
          f'--workdir={workdir}',
          f'--config.data.name={DATASET}',
          *overrides,
      ),
      workdir / 'DONE',
  )


def evaluate_stage(name: str, workdir: files.Path) -> stage_lib.Stage:
  """Returns the stage that scores the run in `workdir` on validation."""
  return stage_lib.Stage(
      f'evaluate the {name}',
      ('abaw_jax.evaluate', f'--workdir={workdir}'),
      workdir / 'predictions' / 'validation.json',
  )


def frame_stages(root: files.Path, *flags: str) -> list[stage_lib.Stage]:
  """Returns the stages up to a built dataset of frames under `root`.

  `flags` are further flags of the renderer.
  """
  info = root / DATASET / 'frames' / '1.0.0' / 'dataset_info.json'
  return [
      stage_lib.Stage(
          'render the procedural corpus',
          (RENDER, f'--out={root / "source"}', *flags),
          root / 'source' / 'corpus.json',
      ),
      stage_lib.Stage(
          'build the dataset',
          (
              BUILD,
              DATASET,
              f'--source_dir={root / "source"}',
              f'--data_dir={root}',
              '--config=sequences,frames',
          ),
          info,
      ),
  ]


def identity_stages(root: files.Path, *flags: str) -> list[stage_lib.Stage]:
  """Returns the stages up to a built dataset of people under `root`.

  `flags` are further flags of the renderer.
  """
  source = root / 'people'
  return [
      stage_lib.Stage(
          'render people',
          (
              RENDER,
              '--layout=identities',
              f'--out={source}',
              '--seed=5',  # other people than in the other datasets
              *flags,
          ),
          source / 'corpus.json',
      ),
      stage_lib.Stage(
          'build the dataset',
          (
              BUILD,
              'identities',
              '--config=folders',
              f'--source_dir={source}',
              f'--data_dir={root}',
              '--validation_share=0.2',
          ),
          root / IDENTITIES / '1.0.0' / 'dataset_info.json',
      ),
  ]


def still_stages(root: files.Path, dataset: str) -> list[stage_lib.Stage]:
  """Returns the stages up to a dataset of STILLS, built under `root`."""
  layout, config, seed = STILLS[dataset]
  source = root / 'sources' / dataset
  return [
      stage_lib.Stage(
          f'render faces in the layout of {dataset}',
          (
              RENDER,
              f'--layout={layout}',
              f'--out={source}',
              f'--seed={seed}',
              '--videos=120',
              '--frames=30',
          ),
          source / 'corpus.json',
      ),
      stage_lib.Stage(
          f'build {dataset}',
          (
              BUILD,
              dataset,
              f'--config={config}',
              f'--source_dir={source}',
              f'--data_dir={root}',
          ),
          root / dataset / config / '1.0.0' / 'dataset_info.json',
      ),
  ]


def feature_stages(root: files.Path, *features: str) -> list[stage_lib.Stage]:
  """Returns the stages up to features that a small backbone extracts.

  `features` may name further sets of OUTPUTS.
  """
  data = f'--config.data.dir={root}'
  return [
      *frame_stages(root),
      train_stage('pretrain a small MAE', 'mae:small', root / 'mae', data),
      train_stage(
          'fine-tune it on frames',
          'frame:small',
          root / 'frame',
          data,
          f'--config.init_from={root / "mae"}',
      ),
      *_extract_stages(root, FEATURES, *features),
  ]


def tiny_stages(root: files.Path, *features: str) -> list[stage_lib.Stage]:
  """Returns the stages up to features of a tiny corpus and backbone."""
  return [
      *frame_stages(root, '--videos=24', '--frames=24'),
      train_stage(
          'train a tiny frame model',
          'frame:smoke',
          root / 'frame',
          f'--config.data.dir={root}',
      ),
      *_extract_stages(root, FEATURES, *features),
  ]


def _extract_stages(root: files.Path, *names: str) -> list[stage_lib.Stage]:
  """Returns the stages that extract the feature sets of OUTPUTS among `names`."""
  return [
      stage_lib.Stage(
          f'extract the {output} of its frames',
          (
              'abaw_jax.extract',
              f'--init_from={root / "frame"}',
              f'--data={root / DATASET}',
              f'--name={name}',
              f'--output={output}',
          ),
          root / f'{DATASET}_features' / name / '1.0.0' / 'card.json',
      )
      for name, output in OUTPUTS.items()
      if name in names
  ]


# Stages that make a dataset, and its name, by `default_data` of a task.
STAGES = {
    'frames': (frame_stages, DATASET),
    'features': (feature_stages, DATASET),
    'people': (identity_stages, IDENTITIES),
}
# The stages of `procedural/tiny` by `default_data`.
TINY_STAGES = {
    'features': tiny_stages,
    'people': lambda root: identity_stages(root, '--videos=24'),
}


def is_requested(name: str) -> bool:
  """Returns whether a config's `data.name` names a procedural dataset."""
  return any(map(_is_procedural, name.split(',')))


def resolve(config: dict[str, Any], default_data: str) -> None:
  """Makes the procedural dataset that a config names, and points to it.

  The name is `procedural`, or `procedural/<dataset>` for faces in the layout of
  another dataset. Several names, separated by commas, make a mixture.

  Args:
    config: plain dict of an experiment; its `data.name` and `data.dir` change.
    default_data: what `procedural` means for this task, a key of STAGES.

  Raises:
    InputError: if a real dataset has no folder or is mixed with a procedural
      one, or if a layout cannot be rendered.
  """
  data = config['data']
  if not is_requested(data['name']):
    if not data['dir']:
      raise errors.InputError(
          f'config.data.dir is empty: give the --data_dir of the build of '
          f'{data["name"]}, --config.data.dir=DATA_DIR'
      )
    return
  names = [name.strip() for name in data['name'].split(',')]
  if not all(map(_is_procedural, names)):
    raise errors.InputError(
        f'config.data.name={data["name"]}: real and procedural datasets cannot '
        'be mixed by these names; render the faces with `abaw-jax render`, build '
        f'them with `abaw-jax build {DATASET}` in the folder of the real '
        f'datasets, and name {DATASET}'
    )
  root = files.local_path(data['dir'] or ROOT, '--config.data.dir')
  if names == [f'procedural/{TINY}'] and default_data in TINY_STAGES:
    root /= TINY
  features = tuple(data.get('features', '').split(','))
  made = [
      _make(root, name, data['name'], default_data, features) for name in names
  ]
  print(
      f'No dataset is configured (config.data.name={data["name"]}): using the '
      f'procedural corpus under {root}',
      flush=True,
  )
  stage_lib.run([step for stages, _ in made for step in stages])
  data['name'], data['dir'] = ','.join(name for _, name in made), str(root)


def _is_procedural(name: str) -> bool:
  return name.strip().split('/')[0] == 'procedural'


def _make(
    root: files.Path,
    name: str,
    field: str,
    default_data: str,
    features: tuple[str, ...] = (),
) -> tuple[list[stage_lib.Stage], str]:
  """Returns the stages that make a procedural dataset, and its real name."""
  _, _, dataset = name.partition('/')
  if dataset in STILLS:
    return still_stages(root, dataset), f'{dataset}/{STILLS[dataset][1]}'
  stages, built = STAGES[default_data]
  if dataset == TINY and default_data in TINY_STAGES:
    stages = TINY_STAGES[default_data]
  elif dataset not in ('', DATASET):
    known = [f'procedural/{known}' for known in (DATASET, *STILLS)]
    raise errors.InputError(
        f'config.data.name={field}: {dataset!r} cannot be rendered; choose from '
        f'{choices.listing(known)}'
    )
  return stages(root, *(features if default_data == 'features' else ())), built
