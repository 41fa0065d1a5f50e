"""Saved states are complete and finite, and damaged ones are never restored."""

import gc
import json
import pathlib
import shutil

import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from abaw_jax.checkpoints import checkpoints as checkpoint
from abaw_jax.checkpoints import parameters
from abaw_jax.core import errors
from abaw_jax.distributed import sharding
from abaw_jax.steps import skipping, steps

# After a failed restore, Orbax has coroutines that nobody awaits.
pytestmark = [
    pytest.mark.filterwarnings('ignore:coroutine .* was never awaited'),
    pytest.mark.filterwarnings(
        'ignore::pytest.PytestUnraisableExceptionWarning'
    ),
]


@pytest.fixture(autouse=True)
def _collected():
  """Collects these coroutines here, not in another test."""
  yield
  gc.collect()


def iterator():
  """Returns an iterator with a position that a checkpoint can store."""
  return iter(grain.MapDataset.range(10).to_iter_dataset())


def state(step: int) -> steps.TrainState:
  """Returns a small state with the value `step`."""
  params = {'encoder': {'kernel': jnp.full((2, 3), float(step))}}
  optimizer = skipping.skip_non_finite(optax.adam(0.1))
  return steps.TrainState(jnp.int32(step), params, optimizer.init(params))


def shapes() -> steps.TrainState:
  """Returns the shapes of that state."""
  place = sharding.replicated(sharding.make_mesh(fsdp=1))
  return jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), state(1)
  )


def opened(workdir: pathlib.Path) -> checkpoint.Checkpoints:
  return checkpoint.Checkpoints(workdir, score='loss', best='min')


def save(workdir: pathlib.Path, **scores: float | None) -> None:
  """Saves steps `s<n>` with their scores."""
  checkpoints = opened(workdir)
  for name, score in scores.items():
    checkpoints.save(
        state(int(name[1:])),
        iterator(),
        {},
        None if score is None else {'loss': score},
    )
  checkpoints.close()


def names(workdir: pathlib.Path) -> set[str]:
  return {path.name for path in (workdir / 'checkpoints').iterdir()}


@pytest.fixture(scope='module')
def two(tmp_path_factory) -> pathlib.Path:
  """Returns a workdir with the complete checkpoints 1 (the best) and 2."""
  workdir = tmp_path_factory.mktemp('two')
  save(workdir, s1=0.5, s2=0.7)
  (workdir / 'config.json').write_text(json.dumps({'model': {'name': 'mae'}}))
  return workdir


def damage(two, workdir, pattern: str, keep: float) -> None:
  """Copies a workdir and truncates files, as a crash of the machine does."""
  shutil.copytree(two, workdir)
  files = list((workdir / 'checkpoints').glob(pattern))
  assert files
  for path in files:
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data))])


@pytest.mark.parametrize('keep', [0.0, 0.5])
@pytest.mark.parametrize(
    'pattern',
    [
        '2/params/d/*',
        '2/optimizer/_METADATA',
        '2/optimizer/manifest.ocdbt',
        '2/data/metadata',
    ],
)
def test_a_damaged_checkpoint_is_renamed(two, tmp_path, capsys, pattern, keep):
  workdir = tmp_path / 'run'
  damage(two, workdir, pattern, keep)
  checkpoints = opened(workdir)
  restored = checkpoints.restore(shapes(), iterator())
  jax.tree.map(np.testing.assert_array_equal, restored, state(1))
  (line,) = capsys.readouterr().out.splitlines()
  aside = workdir.resolve() / 'checkpoints' / '2.unreadable'
  assert line.startswith('WARNING: checkpoint 2 cannot be read (')
  assert line.endswith(f'); renamed to {aside}, continuing from step 1')
  # The run reaches this step again.
  checkpoints.save(state(2), iterator(), {}, {'loss': 0.6})
  checkpoints.close()
  assert names(workdir) == {'1', '2', '2.unreadable'}
  checkpoints = opened(workdir)
  assert int(checkpoints.restore(shapes(), iterator()).step) == 2
  checkpoints.close()


def test_an_empty_file_never_gives_a_mixed_state(two, tmp_path):
  folder = two / 'checkpoints' / '2'
  files = [path for path in folder.rglob('*') if path.is_file()]
  steps_found = set()
  for number, path in enumerate(files):
    workdir = tmp_path / str(number)
    shutil.copytree(two, workdir)
    (workdir / path.relative_to(two)).write_bytes(b'')
    checkpoints = opened(workdir)
    restored = checkpoints.restore(shapes(), iterator())
    checkpoints.close()
    step = int(restored.step)
    steps_found.add(step)
    jax.tree.map(np.testing.assert_array_equal, restored, state(step))
    assert ('2.unreadable' in names(workdir)) is (step == 1), path
  assert steps_found == {1, 2}


@pytest.mark.parametrize('item', ['params', 'optimizer', 'data'])
def test_a_checkpoint_without_a_folder_is_renamed(two, tmp_path, item):
  workdir = tmp_path / 'run'
  shutil.copytree(two, workdir)
  shutil.rmtree(workdir / 'checkpoints' / '2' / item)
  checkpoints = opened(workdir)
  restored = checkpoints.restore(shapes(), iterator())
  checkpoints.close()
  assert int(restored.step) == 1
  assert names(workdir) == {'1', '2.unreadable'}


def test_nothing_is_renamed_if_no_checkpoint_is_readable(two, tmp_path):
  workdir = tmp_path / 'run'
  damage(two, workdir, '*/optimizer/manifest.ocdbt', 0.0)
  checkpoints = opened(workdir)
  with pytest.raises(errors.InputError, match='no checkpoint can be read'):
    checkpoints.restore(shapes(), iterator())
  checkpoints.close()
  assert names(workdir) == {'1', '2'}


def test_an_unreadable_score_is_dropped(two, tmp_path, capsys):
  workdir = tmp_path / 'run'
  damage(two, workdir, '2/metrics/metrics', 0.5)
  with pytest.raises(errors.InputError, match=r'2/metrics/metrics: cannot be'):
    parameters.load(workdir, shapes().params)
  checkpoints = opened(workdir)
  assert 'the checkpoint loses its score' in capsys.readouterr().out
  assert int(checkpoints.restore(shapes(), iterator()).step) == 2
  checkpoints.close()
  _, step = parameters.load(workdir, shapes().params)
  assert step == 1


@pytest.mark.parametrize('all_files', [False, True])
def test_a_damaged_best_checkpoint_is_named(two, tmp_path, all_files):
  workdir = tmp_path / 'run'
  damage(two, workdir, '1/params/d/*', 0.0)
  if all_files:
    shutil.rmtree(workdir / 'checkpoints' / '1' / 'params')
  with pytest.raises(errors.InputError) as error:
    parameters.load(workdir, shapes().params)
  folder = workdir.resolve() / 'checkpoints' / '1'
  assert str(error.value).startswith(f'{folder}: cannot be read (')
  assert str(error.value).endswith(
      'move it away to use the next best checkpoint'
  )
  folder.rename(tmp_path / 'away')
  _, step = parameters.load(workdir, shapes().params)
  assert step == 2


def test_without_scores_the_newest_checkpoint_is_loaded(two, tmp_path):
  save(tmp_path, s1=None, s2=None)
  shutil.copy(two / 'config.json', tmp_path)
  params, step = parameters.load(tmp_path, shapes().params)
  assert step == 2
  jax.tree.map(np.testing.assert_array_equal, params, state(2).params)


@pytest.mark.parametrize('value', [np.nan, np.inf])
@pytest.mark.parametrize('where', ['params', 'moments'])
def test_nan_and_infinity_are_never_saved(tmp_path, where, value):
  save(tmp_path, s1=0.5)
  bad = state(2)
  if where == 'params':
    bad.params['encoder']['kernel'] = (
        bad.params['encoder']['kernel'].at[1, 2].set(value)
    )
    path = 'params/encoder/kernel'
  else:
    adam, *rest = bad.opt_state.inner_state
    nu = jax.tree.map(lambda x: x.at[0, 0].set(value), adam.nu)
    bad.opt_state = bad.opt_state._replace(
        inner_state=(adam._replace(nu=nu), *rest)
    )
    path = 'optimizer/opt_state/inner_state/0/nu/encoder/kernel'
  checkpoints = opened(tmp_path)
  with pytest.raises(errors.InputError) as error:
    checkpoints.save(bad, iterator(), {}, {'loss': 0.1})
  checkpoints.close()
  assert f'step 2: NaN or Inf in {path}; not saved' in str(error.value)
  assert str(tmp_path.resolve() / 'checkpoints' / '1') in str(error.value)
  assert names(tmp_path) == {'1'}


def test_newest_waits_for_the_save(tmp_path):
  checkpoints = opened(tmp_path)
  assert checkpoints.newest() == 'none'
  checkpoints.save(state(3), iterator(), {}, None)
  folder = pathlib.Path(checkpoints.newest())
  assert folder.is_dir()
  assert folder.name == '3'
  checkpoints.close()
