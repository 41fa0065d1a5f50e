"""Every command prints --help fast, and wrong input as one line."""

import functools
import subprocess
import sys

import pytest

from abaw_jax import __main__ as command_line
from abaw_jax.checkpoints import runs as stored
from tests.training import runs

# Flags that the --help of each command must show.
COMMANDS = {
    'abaw_jax.train': ('config', 'workdir'),
    'abaw_jax.extract': ('init_from', 'data', 'name', 'batch_size'),
    'abaw_jax.sweep': ('config', 'workdir', 'sweep', 'seeds', 'num_folds'),
    'abaw_jax.pseudo_label': ('predictions', 'out', 'min_au', 'max_va_std'),
    'abaw_jax.evaluate': (
        'workdir',
        'split',
        'postprocessing',
        '[no]intervals',
        '[no]tune',
    ),
    'abaw_jax.predict': (
        'model',
        'out',
        'detector',
        'every',
        'long_side',
        'min_confidence',
        'frame_rate',
        'adaptive',
        'strides',
        'interpolate',
        'duration',
        'image_rate',
        '[no]overlay',
        'batch_size',
        'jobs',
        '[no]overwrite',
    ),
    'abaw_jax.predict_split': (
        'workdir',
        'split',
        'table',
        'submission',
        'list',
        'missing',
        'postprocessing',
        'strides',
        'second',
        'fit_on',
    ),
    'abaw_jax.live': ('model', 'port', 'detector', 'min_confidence'),
    'abaw_jax.report': ('out', 'title'),
    'abaw_jax.bundle': (
        'frame',
        'temporal',
        'postprocessing',
        'alignment',
        'out',
    ),
    'abaw_jax.export': ('format', 'out', 'faces'),
    'abaw_jax.crossvalidate': ('config', 'workdir', 'num_folds', 'seeds'),
    'abaw_jax.import_features': ('features', 'targets', 'partition', 'name'),
    'abaw_jax.reconstruct': (
        'init_from',
        'data',
        'split',
        'images',
        'num_images',
        'seed',
        'out',
        '[no]prediction',
    ),
    'abaw_jax.upscale': (
        'model',
        'out',
        'scale',
        'format',
        'quality',
        'name',
        'splits',
        '[no]overwrite',
        'batch_size',
        'tile',
        'overlap',
        'dtype',
    ),
    'abaw_jax.convert': (
        'checkpoint',
        'init_from',
        'out',
        'image_size',
        '[no]norm_pix',
    ),
    'abaw_jax.demo': ('workdir',),
    'abaw_jax.dependency': ('config', 'workdir', 'seeds'),
    'abaw_jax.ensemble': (
        'predictions',
        'tune_on',
        'postprocessing',
        'steps',
        'out',
    ),
    'abaw_jax.submission': ('predictions', 'list', 'labels', 'task'),
    'abaw_jax.compile': ('config', 'topology', 'num_slices', 'feature_dim'),
    'abaw_jax.data_builders.build': (
        'source_dir',
        'data_dir',
        'config',
        'on_error',
    ),
    'abaw_jax.data_builders.check': ('source_dir', '[no]subset', '[no]decode'),
    'abaw_jax.data_builders.procedural.__main__': (
        'out',
        'sheet',
        'videos',
        'frames',
        'seed',
    ),
}
# Packages that are slow to import; --help must not import them.
HEAVY = {
    'cv2',
    'flax',
    'grain',
    'jax',
    'optax',
    'orbax',
    'tensorboardX',
    'tensorflow',
    'tensorflow_datasets',
    'torch',
}

TRAIN = ('abaw_jax.train', '--workdir=workdir')
MTL = (*TRAIN, '--config=mtl:smoke')
FRAME = (*TRAIN, '--config=frame:smoke')
CROSSVALIDATE = ('abaw_jax.crossvalidate', '--workdir=cv', '--config=mtl:smoke')
DEPENDENCY = ('abaw_jax.dependency', '--workdir=pairs', '--config=mtl:smoke')
COMPILE = ('abaw_jax.compile', '--config=mae:smoke')
# If a check is missing, the command must not render the default corpus.
REAL = '--config.data.name=s_aff_wild2'
EMPTY = (REAL, '--config.data.dir={empty}')
BUILT = (REAL, '--config.data.dir={built}')
# The validation split of the tiny corpus is one recording.
ONE_RECORDING = 'all labels to tune on are from this one recording'

# By mistake: the command, and texts that its error line must contain.
WRONG = {
    'a typo in a key': (
        (*MTL, *EMPTY, '--config.optim.lrr=1'),
        ('--config.optim.lrr', 'did you mean lr'),
    ),
    'an unknown key': (
        (*MTL, *EMPTY, '--config.mesh.shape=1'),
        ('config.mesh has no key shape', 'choose one of fsdp'),
    ),
    'an unknown section': (
        (*MTL, *EMPTY, '--config.optimizer.lr=1'),
        ('config has no key optimizer', 'did you mean optim'),
    ),
    'a value for a section': (
        (*MTL, *EMPTY, '--config.mesh=1'),
        ('--config.mesh is a section', 'fsdp'),
    ),
    'text for an integer': (
        (*MTL, *EMPTY, '--config.data.batch_size=abc'),
        ('--config.data.batch_size=abc', 'give int, such as 8'),
    ),
    'a fraction for an integer': (
        (*MTL, *EMPTY, '--config.data.batch_size=7.5'),
        ('--config.data.batch_size=7.5', 'give int, such as 8'),
    ),
    'text in a tuple of numbers': (
        (*MTL, *EMPTY, '--config.model.hidden_dims=wide'),
        ('--config.model.hidden_dims=wide', 'give tuple, such as (64,)'),
    ),
    'text for a boolean': (
        (*MTL, *EMPTY, '--config.optim.scale_lr=maybe'),
        ('--config.optim.scale_lr=maybe', 'give bool, such as False'),
    ),
    'a key without a value': (
        (*MTL, *EMPTY, '--config.optim.lr'),
        ('--config.optim.lr', '--help'),
    ),
    'an unknown variant': (
        (*TRAIN, '--config=mtl:huge'),
        ("unknown variant 'huge'", 'full, faithful, small, smoke'),
    ),
    'a missing config file': (
        (*TRAIN, '--config=configs/mtll.py'),
        ('--config=configs/mtll.py: there is no', 'did you mean mtl?'),
    ),
    'an unknown command': (
        ('abaw_jax', 'trian', '--config=mtl'),
        ("unknown command 'trian'", 'did you mean train?'),
    ),
    'a config file with a mistake': (
        (*TRAIN, '--config=broken.py'),
        ('broken.py: line 2: NameError', 'correct the file'),
    ),
    'no config': (TRAIN, ('--config is missing', '--help')),
    'a typo in a flag': (
        (*MTL, *EMPTY, '--workdri=w'),
        ("'workdri'", 'Did you mean: workdir'),
    ),
    'a stray argument': (
        (*MTL, *EMPTY, 'workdir=w'),
        ("'workdir=w'", 'flags start with --'),
    ),
    'an unknown model': (
        (*MTL, *EMPTY, '--config.model.name=foo'),
        (
            "config.model.name: unknown value 'foo'",
            'mae, frame, identity, temporal',
        ),
    ),
    'a model of another config': (
        (*MTL, *EMPTY, '--config.model.name=frame'),
        ('the keys belong to another model', 'choose another --config'),
    ),
    'a number out of its range': (
        (*MTL, *EMPTY, '--config.log_steps=0'),
        ('config.log_steps=0: give an integer in [1, 2e9]',),
    ),
    'a number out of its range for compile': (
        (*COMPILE, '--topology=v5e:2x2', '--config.data.batch_size=0'),
        ('config.data.batch_size=0: give an integer in [1, 2e9]',),
    ),
    'a number out of its range for crossvalidate': (
        (*CROSSVALIDATE, *EMPTY, '--config.optim.lr=-1e-3'),
        ('config.optim.lr=-0.001: give a number in [0, inf)',),
    ),
    'a seed out of its range': (
        (*CROSSVALIDATE, *EMPTY, '--seeds=0,99999999999', '--workdir=seeds'),
        ('config.seed=99999999999: give an integer in [0, 4294967295]',),
    ),
    'a number out of its range for dependency': (
        (*DEPENDENCY, *EMPTY, '--config.optim.lr=1e999'),
        ('config.optim.lr=inf: give a number in [0, inf)',),
    ),
    'an unknown backbone': (
        (*FRAME, *EMPTY, '--config.model.backbone=foo'),
        ("config.model.backbone: unknown value 'foo'", 'vit_b'),
    ),
    'an unknown model, before a corpus is rendered': (
        (*MTL, '--config.model.encoder=foo'),
        ("config.model.encoder: unknown value 'foo'", 'transformer'),
    ),
    'a dataset that is not built': (
        (*FRAME, *EMPTY),
        (
            'no dataset s_aff_wild2/frames',
            'abaw-jax build s_aff_wild2 --config=frames',
        ),
    ),
    'a dataset without its folder': (
        (*FRAME, REAL),
        ('config.data.dir is empty', '--config.data.dir=DATA_DIR'),
    ),
    'features that are not extracted': (
        (*MTL, *BUILT),
        (
            'no dataset s_aff_wild2_features/small',
            'abaw-jax extract --init_from=... --data={built}/s_aff_wild2',
        ),
    ),
    'a workdir that is a file': (
        (*FRAME, *BUILT, '--workdir=broken.py'),
        ('broken.py is a file', 'name a folder'),
    ),
    'a mesh for another number of devices': (
        (*FRAME, *BUILT, '--config.mesh.fsdp=3'),
        ('config.mesh.fsdp=3', 'choose a divisor'),
    ),
    'a warmup beyond the end': (
        (*FRAME, *BUILT, '--config.epochs=0.1'),
        ('config.optim.warmup_epochs', 'lower it or raise config.epochs'),
    ),
    'evaluation of a folder that is no run': (
        ('abaw_jax.evaluate', '--workdir={empty}'),
        ('config.json: no such file', 'abaw-jax train'),
    ),
    'evaluation of a run without a checkpoint': (
        ('abaw_jax.evaluate', '--workdir={started}'),
        ('holds no finished checkpoint', 'abaw-jax train'),
    ),
    'a study of tasks with a model that always trains all': (
        (
            'abaw_jax.dependency',
            '--workdir=workdir',
            '--config=frame:smoke',
        ),
        ('config.model.name=frame: always trains all of its', 'mtl:small'),
    ),
    'evaluation of an unknown split': (
        ('abaw_jax.evaluate', '--workdir={empty}', '--split=val'),
        ('--split=val', 'train|validation|test'),
    ),
    'extraction from a folder that is no run': (
        (
            'abaw_jax.extract',
            '--init_from={empty}',
            '--data={built}/s_aff_wild2',
            '--name=x',
        ),
        ('config.json: no such file', 'abaw-jax train'),
    ),
    'a prediction of no clip': (
        ('abaw_jax.predict', '--model={empty}', '--out=tables'),
        ('clips are missing; name one or more',),
    ),
    'a prediction of a clip that is not there': (
        ('abaw_jax.predict', 'a.mp4', '--model={empty}', '--out=tables'),
        ('a.mp4: no such file',),
    ),
    'strides of a clip that are not nested': (
        (
            *('abaw_jax.predict', '{empty}', '--model={empty}'),
            *('--out=tables', '--adaptive=0.8', '--strides=8,3,1'),
        ),
        ('strides=8,3,1: each is a multiple of the next one',),
    ),
    'strides that have no effect': (
        (
            *('abaw_jax.predict', '{empty}', '--model={empty}'),
            *('--out=tables', '--strides=8,4,1'),
        ),
        ('--strides has an effect with --adaptive only',),
    ),
    'predictions that are not there': (
        ('abaw_jax.ensemble', '--predictions=a.npz', '--out=b.npz'),
        ('a.npz: there is no such file', 'abaw-jax evaluate writes'),
    ),
    'members that are separated by commas': (
        ('abaw_jax.ensemble', '--predictions=a.npz,b.npz', '--out=b.npz'),
        (
            '--predictions=a.npz,b.npz: there is no such path',
            'give --predictions=PATH once for each path',
        ),
    ),
    'runs that are separated by commas': (
        ('abaw_jax.predict_split', '--workdir={empty},{empty}'),
        ('give --workdir=PATH once for each path',),
    ),
    'a table of an unknown format': (
        ('abaw_jax.predict_split', '--workdir={empty}', '--table=a.txt'),
        ("a.txt: unknown file format '.txt'",),
    ),
    'two files of predictions for a submission': (
        (
            *('abaw_jax.submission', 'write', 'mtl.txt', '--list=l'),
            *('--predictions=a.npz', '--predictions=b.npz'),
        ),
        ('--predictions=b.npz: already defined as a.npz',),
    ),
    'an unknown step of tuning': (
        (
            'abaw_jax.ensemble',
            '--predictions=a.npz',
            '--out=b.npz',
            '--steps=sharpening',
        ),
        ("--steps: unknown value 'sharpening'", 'weights, smoothing'),
    ),
    'a prediction with a folder that is no run': (
        ('abaw_jax.predict_split', '--workdir={empty}'),
        ('config.json: no such file', 'abaw-jax train'),
    ),
    'a bundle of a folder that is no run': (
        ('abaw_jax.bundle', '--frame={empty}', '--out={empty}/bundle'),
        ('config.json: no such file', 'abaw-jax train'),
    ),
    'a bundle of runs that are separated by commas': (
        (
            'abaw_jax.bundle',
            '--frame={empty}',
            '--temporal={empty},{empty}',
            '--out={empty}/bundle',
        ),
        ('give --temporal=PATH once for each path',),
    ),
    'a submission of predictions without its list': (
        ('abaw_jax.predict_split', '--workdir={empty}', '--submission=mtl.txt'),
        ('give both --submission=FILE and --list=LIST',),
    ),
    'strides that do not decrease': (
        (
            'abaw_jax.predict_split',
            '--workdir={empty}',
            '--strides=1,10',
            '--fit_on=a.npz',
        ),
        ('--strides=1,10: give decreasing whole numbers that end',),
    ),
    'folds of a model that has none': (
        (
            'abaw_jax.crossvalidate',
            '--config=frame:smoke',
            '--workdir=workdir',
            '--num_folds=2',
        ),
        ('--num_folds=2: a frame model has no folds', '--num_folds=0'),
    ),
    'a cross-validation that scores one recording': (
        (
            'abaw_jax.crossvalidate',
            '--config=frame:smoke',
            *BUILT,
            '--workdir=scored',
        ),
        (ONE_RECORDING, 'cross-fitting needs at least 2'),
    ),
    'tuning on one recording': (
        ('abaw_jax.evaluate', '--workdir={started}', '--tune'),
        (ONE_RECORDING, 'cross-fitting needs at least 2'),
    ),
    'a seed for all seeds': (
        (
            'abaw_jax.crossvalidate',
            '--config=mtl:smoke',
            '--workdir=workdir',
            '--config.seed=1',
        ),
        ('--config.seed: this command sets it for each run',),
    ),
    'tuning together with a stored postprocessing': (
        (
            'abaw_jax.evaluate',
            '--workdir={started}',
            '--tune',
            '--postprocessing=a.json',
        ),
        ('--tune fits a postprocessing and --postprocessing applies',),
    ),
    'a submission without its list': (
        ('abaw_jax.submission', 'check', 'mtl.txt'),
        ('check needs --list=FILE',),
    ),
    'imported features for an unknown split': (
        (
            'abaw_jax.import_features',
            '--features={empty}',
            '--targets=trn=a.h5',
            '--data_dir={empty}',
            '--name=densenet',
        ),
        ('--targets=trn=a.h5', 'give --targets=train=FILE and --targets='),
    ),
    'extraction without a name': (
        ('abaw_jax.extract', '--init_from={started}', '--data={built}'),
        ('--name is missing', '--help'),
    ),
    'a sweep of an unknown key': (
        (
            'abaw_jax.sweep',
            '--config=mtl:smoke',
            '--sweep=optim.rate=1,2',
            '--workdir=workdir',
        ),
        ('config.optim has no key rate',),
    ),
    'a sweep with a value out of its range': (
        (
            'abaw_jax.sweep',
            '--config=mtl:smoke',
            '--sweep=optim.lr=1,-2',
            '--workdir=workdir',
        ),
        ('config.optim.lr=-2.0: give a number in [0, inf)',),
    ),
    'an unknown task that is trained alone': (
        (*TRAIN, '--config=joint:smoke', REAL, '--config.joint.alone=au,joy'),
        ("config.joint.alone: unknown value 'joy'", 'valence'),
    ),
    'pseudo-labels that training cannot read': (
        ('abaw_jax.pseudo_label', '--predictions=a.npz', '--out=p.csv'),
        ('--out=p.csv: training reads .npz',),
    ),
    'a workdir in a variable that is not set': (
        ('abaw_jax.evaluate', '--workdir='),
        ('--workdir= is empty', 'give a value or leave it out'),
    ),
    'an empty path of several': (
        ('abaw_jax.predict_split', '--workdir={started}', '--fit_on='),
        ('--fit_on= is empty', 'give a value or leave it out'),
    ),
    'a conversion of nothing': (
        ('abaw_jax.convert', '--out=w'),
        ('give --checkpoint=FILE to read or --init_from=FOLDER to write',),
    ),
    'a conversion in both directions': (
        (
            'abaw_jax.convert',
            '--out=w',
            '--checkpoint=a.pth',
            '--init_from={started}',
        ),
        ('give --checkpoint=FILE to read or --init_from=FOLDER to write',),
    ),
    'an image size for weights that have one': (
        (
            'abaw_jax.convert',
            '--out=w.pth',
            '--init_from={started}',
            '--image_size=64',
        ),
        ('image_size=64', '--init_from needs no sizes'),
    ),
    'a conversion of a file that is not there': (
        ('abaw_jax.convert', '--checkpoint=none.pth', '--out=w'),
        ('none.pth: no such file',),
    ),
    'a conversion of a file that is no checkpoint': (
        ('abaw_jax.convert', '--checkpoint=broken.py', '--out=w'),
        ('broken.py: unknown type of file', '.pth or .pt or'),
    ),
    'a conversion of a run without a checkpoint': (
        ('abaw_jax.convert', '--init_from={started}', '--out=w.pth'),
        ('holds no finished checkpoint', 'abaw-jax train'),
    ),
    'reconstruction from a folder that is no run': (
        ('abaw_jax.reconstruct', '--init_from={empty}'),
        ('config.json: no such file', 'abaw-jax train'),
    ),
    'reconstruction by a model without a decoder': (
        ('abaw_jax.reconstruct', '--init_from={started}'),
        ('a frame model has no decoder', 'name a run of configs/mae.py'),
    ),
    'reconstruction of two kinds of images': (
        (
            'abaw_jax.reconstruct',
            '--init_from={started}',
            '--data=a',
            '--images=b.png',
        ),
        ('give --data or --images, not both', '--help'),
    ),
    'enlarging nothing': (
        ('abaw_jax.upscale', '--model=lanczos', '--scale=2', '--out=a'),
        ('the input is missing', 'IMAGE, FOLDER'),
    ),
    'enlarging by a model of faces': (
        ('abaw_jax.upscale', '{empty}', '--model={started}', '--out=a'),
        ('is a frame model', 'give a run of configs/sr.py'),
    ),
    'enlarging a dataset into its own place': (
        (
            'abaw_jax.upscale',
            '{built}/s_aff_wild2',
            '--model=lanczos',
            '--scale=2',
            '--out={built}',
        ),
        ('has the original s_aff_wild2', '--name for the new dataset'),
    ),
    'several missing flags': (
        ('abaw_jax.predict', 'a.mp4'),
        ('--model is missing (Bundle', '--out is missing', '--help'),
    ),
    'a report about a file of an unknown format': (
        ('abaw_jax.report', 'broken.py', '--out=page.html'),
        ("broken.py: unknown file format '.py'", '.npz, .parquet, .csv'),
    ),
    'a report that is no page': (
        ('abaw_jax.report', '{empty}', '--out=page.pdf'),
        ('--out=page.pdf: name a .html file',),
    ),
    'blended predictions of an unknown format': (
        ('abaw_jax.ensemble', '--predictions=a.npz', '--out=a.xlsx'),
        ("a.xlsx: unknown file format '.xlsx'", '.npz, .parquet, .csv'),
    ),
    'labels in a table of an unknown format': (
        ('abaw_jax', 'check', 'labelled_folder', '--source_dir=broken.py'),
        ('broken.py: is no .csv or .parquet file', 'a table or a folder'),
    ),
    'an export to an unknown format': (
        ('abaw_jax.export', '{empty}', '--format=coreml', '--out=a'),
        ('--format=coreml: value should be one of <stablehlo',),
    ),
    'enlarged images of an unknown format': (
        (
            *('abaw_jax.upscale', 'broken.py', '--model=lanczos', '--scale=2'),
            *('--out=a', '--format=heic'),
        ),
        ('--format=heic: value should be one of <same|png|jpeg>',),
    ),
    'an enlarged image with an unknown suffix': (
        (
            *('abaw_jax.upscale', 'broken.py', '--model=lanczos', '--scale=2'),
            '--out=a.heic',
        ),
        ("--out=a.heic: unknown format '.heic'", '.png or .jpg file'),
    ),
    'a TPU slice that does not exist': (
        (*COMPILE, '--topology=v5e-16'),
        ('--topology=v5e-16: no such TPU', 'such as v4:4x4x4'),
    ),
    'a batch that the chips of a slice cannot share': (
        (*COMPILE, '--topology=v5e:4x4'),
        ('config.data.batch_size=8 is not a multiple of the 16 devices',),
    ),
    'features of unknown width': (
        (
            'abaw_jax.compile',
            '--config=mtl:smoke',
            '--topology=v5e:2x4',
        ),
        ('the width of the features is not known', '--feature_dim=D'),
    ),
    'a build of nothing': (
        ('abaw_jax', 'build', '--source_dir={empty}'),
        ('the dataset is missing', 'choose one of s_aff_wild2'),
    ),
    'a corpus without frames': (
        ('abaw_jax', 'render', '--out=corpus', '--frames=many'),
        ('--frames=many', '--help'),
    ),
}


@pytest.fixture(scope='module')
def answers(data_dir, tmp_path_factory) -> dict:
  """Returns the result of every wrong command, and its expected texts."""
  folder = tmp_path_factory.mktemp('wrong')
  for name in ('empty', 'started'):
    (folder / name).mkdir()
  config = runs.smoke('frame', data_dir)
  stored.claim(folder / 'started', config)
  (folder / 'broken.py').write_text('def get_config():\n  return confg\n')
  places = {
      'built': data_dir,
      'empty': folder / 'empty',
      'started': folder / 'started',
  }
  commands = {
      name: [word.format(**places) for word in command]
      for name, (command, _) in WRONG.items()
  }
  results = {
      name: runs.finish(runs.start(*command, cwd=folder))
      for name, command in commands.items()
  }
  # Python keeps the bytecode of the config.
  left = {path.name for path in folder.iterdir()} - {'__pycache__'}
  assert left == {'empty', 'started', 'broken.py'}, 'a wrong command wrote'
  return {
      name: (results[name], [text.format(**places) for text in texts])
      for name, (_, texts) in WRONG.items()
  }


@pytest.mark.parametrize('name', WRONG)
def test_a_mistake_gives_one_line_with_the_fix(answers, name):
  (status, out, error), texts = answers[name]
  assert (status, out) == (2, ''), error
  assert error.startswith('error: ')
  assert error.count('\n') == 1
  assert error.endswith('\n')
  assert [text for text in texts if text not in error] == [], error


def test_every_command_has_a_name():
  files = {path.stem for path in (runs.ROOT / 'abaw_jax').glob('[!_]*.py')}
  named = command_line.COMMANDS
  assert {f'abaw_jax.{name}' for name in files} <= set(named.values())
  assert set(named.values()) == set(COMMANDS)


@pytest.fixture(scope='module')
def overview(tmp_path_factory) -> tuple[int, str, str]:
  folder = tmp_path_factory.mktemp('overview')
  return runs.finish(runs.start_interpreter('abaw_jax', '--help', cwd=folder))


@pytest.fixture(scope='module')
def helps(tmp_path_factory) -> dict[str, tuple[int, str, str]]:
  folder = tmp_path_factory.mktemp('help')
  return runs.finish_all(
      {
          name: functools.partial(
              runs.start_interpreter,
              'abaw_jax',
              name,
              '--help',
              cwd=folder,
              PYTHONPROFILEIMPORTTIME='1',
          )
          for name in command_line.COMMANDS
      }
  )


@pytest.mark.parametrize('name', command_line.COMMANDS)
def test_help_explains_the_command(helps, overview, name):
  status, out, _ = helps[name]
  assert status == 0
  summary = out.splitlines()[0]
  assert f'  {name:16} {summary}' in overview[1]
  assert f'abaw-jax {name} ' in out
  for flag in COMMANDS[command_line.COMMANDS[name]]:
    assert f'  --{flag}:' in out


@pytest.mark.parametrize('name', command_line.COMMANDS)
def test_help_imports_nothing_heavy(helps, name):
  # A line reads `import time: <us> | <us> | <module>`.
  imports = {
      line.split('|')[-1].strip().split('.')[0]
      for line in helps[name][2].splitlines()
  }
  assert 'absl' in imports
  assert imports & HEAVY == set()


def test_training_and_conversion_import_neither_tensorflow_nor_torch(
    data_dir, tmp_path
):
  script = f"""
import pathlib, sys
from abaw_jax.conversion import convert
from abaw_jax.inference import evaluation, extraction
from abaw_jax.training import loop
from abaw_jax.workflow import procedural
from abaw_jax.data_builders import build, check, datasets
from abaw_jax.data_builders.procedural import corpus, sheet
from tests.training import runs

datasets.DATASETS['s_aff_wild2'].load()
folder = pathlib.Path({str(tmp_path)!r})
data_dir = pathlib.Path({str(data_dir)!r})
config = runs.smoke(
    'frame', data_dir, epochs=0.1, eval_epochs=0.0, optim__warmup_epochs=0.0
)
loop.train(config, folder / 'frame')
evaluation.evaluate(folder / 'frame', 'validation')
convert.export_weights(folder / 'frame', folder / 'frame.pth')
convert.import_weights(folder / 'frame.pth', folder / 'weights')
print(sorted(set(sys.modules) & {{'tensorflow', 'torch', 'clu'}}))
"""
  done = subprocess.run(
      [sys.executable, '-c', script],
      cwd=runs.ROOT,
      capture_output=True,
      text=True,
      check=False,
  )
  assert done.returncode == 0, done.stderr
  assert done.stdout.splitlines()[-1] == '[]'
