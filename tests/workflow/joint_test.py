"""Joint training: its stages, its features, and the configs that it refuses."""

import pathlib

import pytest

from abaw_jax.checkpoints import runs
from abaw_jax.configs import frame, joint, mtl
from abaw_jax.core import errors
from abaw_jax.workflow import joint as joint_lib
from abaw_jax.workflow import studies

WORKDIR = pathlib.Path('/runs/fold1_seed0')


@pytest.fixture(name='config')
def _config():
  config = joint.get_config('smoke').to_dict()
  config['data'] |= {'name': 's_aff_wild2', 'dir': 'DATA_DIR'}
  return config


def test_every_group_is_trained_alone_with_the_config_of_its_run(config):
  # The arguments of a fold reach its groups, so they never see its videos.
  fold = ('--config=joint:smoke', '--config.data.num_folds=2')
  found = joint_lib.stages(config, WORKDIR, fold)
  assert [stage.command[0] for stage in found] == [
      'abaw_jax.train',
      'abaw_jax.extract',
  ] * 3
  train, extract = found[:2]
  run = WORKDIR / 'alone' / 'valence+arousal'
  assert train.command[1:3] == fold
  assert {
      '--config.model.tasks=valence,arousal',
      '--config.eval_epochs=0',
      '--config.joint.alone=',
      f'--workdir={run}',
  } <= set(train.command)
  assert extract.command == ('abaw_jax.extract', f'--init_from={run}')
  assert extract.done.is_relative_to(run)


def test_the_joint_model_reads_hidden_states(config):
  names = [f'{WORKDIR}/alone/{x}' for x in joint_lib.groups(config)]
  found = joint_lib.with_features(config, WORKDIR)
  assert found['data']['features'].split(',') == ['small', *names]
  config['joint']['keep_features'] = False
  found = joint_lib.with_features(config, WORKDIR)
  assert found['data']['features'].split(',') == names
  config['joint']['alone'] = ''
  assert joint_lib.with_features(config, WORKDIR) == config
  plain = mtl.get_config('smoke').to_dict()
  assert joint_lib.with_features(plain, WORKDIR) == plain
  assert joint_lib.stages(plain, WORKDIR, []) == []


def test_an_ended_joint_run_is_known_by_its_own_config(config, tmp_path):
  (planned,) = studies.crossvalidation(tmp_path, [0], 0)
  own = joint_lib.with_features(planned.config(config), planned.workdir)
  runs.claim(planned.workdir, runs.absolute(own))
  (planned.workdir / 'DONE').write_text('{}')
  studies.check_ended([planned], config)
  config['joint']['keep_features'] = False
  with pytest.raises(errors.InputError, match=r'config\.data\.features was'):
    studies.check_ended([planned], config)


def test_a_joint_run_can_be_moved(config, tmp_path):
  old, new = tmp_path / 'old', tmp_path / 'new' / 'name'
  config['data']['features'] = f'small,{tmp_path}/other/run'
  own = runs.absolute(joint_lib.with_features(config, old))
  data = {x: {} for x in ('s_aff_wild2/frames', f'{old}/alone/au/x')}
  runs.claim(old, own, data)
  new.parent.mkdir()
  old.rename(new)
  moved = runs.absolute(joint_lib.with_features(config, new))
  assert f'{new}/alone/au' in moved['data']['features'].split(',')
  assert runs.read_config(new)['data']['features'] == moved['data']['features']
  assert runs.check(new, moved) == []
  assert runs.read_data(new).keys() == {
      's_aff_wild2/frames', f'{new}/alone/au/x'
  }  # fmt: skip


@pytest.mark.parametrize(
    ('alone', 'message'),
    [
        ('au,joy', r"joint\.alone: unknown value 'joy'; choose one of valence"),
        ('au,au', r'joint\.alone=au,au: names au twice'),
        ('au+au', r'names au twice'),
    ],
)
def test_wrong_groups_are_one_line(config, alone, message):
  config['joint']['alone'] = alone
  with pytest.raises(errors.InputError, match=message):
    joint_lib.groups(config)


def test_a_frame_model_has_no_groups(config):
  config['model'] = frame.get_config('smoke').model.to_dict()
  with pytest.raises(errors.InputError, match='always trains all of its tasks'):
    joint_lib.groups(config)
