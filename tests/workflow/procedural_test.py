"""The stages of the procedural corpus that a config of a temporal model needs."""

import pathlib

import pytest

from abaw_jax.configs import heads, mtl, sr
from abaw_jax.workflow import procedural


@pytest.mark.parametrize(
    ('config', 'folder', 'names', 'count'),
    [
        (mtl.get_config(), '', ['small'], 5),
        (heads.get_config(), '', ['small', 'small_scores'], 6),
        (heads.get_config('features'), '', ['small'], 5),
        (heads.get_config('smoke'), 'tiny', ['small', 'small_scores'], 5),
    ],
)
def test_a_config_gets_the_feature_sets_that_it_names(
    config, folder, names, count, tmp_path, monkeypatch
):
  ran = []
  monkeypatch.setattr(procedural.stage_lib, 'run', ran.extend)
  config = config.to_dict()
  config['data']['dir'] = str(tmp_path)
  procedural.resolve(config, 'features')
  root = tmp_path / folder
  assert pathlib.Path(config['data']['dir']) == root
  assert config['data']['name'] == 's_aff_wild2'
  assert len(ran) == count
  assert all(stage.done.is_relative_to(root) for stage in ran)
  extracted = [s.command for s in ran if s.command[0] == 'abaw_jax.extract']
  assert [c[3] for c in extracted] == [f'--name={name}' for name in names]
  outputs = [f'--output={procedural.OUTPUTS[name]}' for name in names]
  assert [c[4] for c in extracted] == outputs


def test_the_smoke_config_of_super_resolution_renders_few_people(
    tmp_path, monkeypatch
):
  ran = []
  monkeypatch.setattr(procedural.stage_lib, 'run', ran.extend)
  config = sr.get_config('smoke').to_dict()
  config['data']['dir'] = str(tmp_path)
  procedural.resolve(config, 'people')
  assert config['data']['name'] == 'identities/folders'
  assert '--videos=24' in ran[0].command
  assert all(s.done.is_relative_to(tmp_path / 'tiny') for s in ran)
