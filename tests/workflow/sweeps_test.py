"""Sweeps: their settings, their runs, and the texts that they refuse."""

import pathlib

import pytest

from abaw_jax.configs import mtl
from abaw_jax.core import errors
from abaw_jax.workflow import studies, sweeps

ROOT = pathlib.Path('runs/sweep')
GRID = (
    'optim.lr=1e-3,3e-3',
    'model.causal=true,false',
    'model.hidden_dims=(64,);(8,4)',
    'data.features=a,b;runs/x',
)


def settings(*texts, count=0):
  return sweeps.settings(mtl.get_config('smoke'), texts, count)


def test_a_grid_has_typed_values_of_every_combination():
  found = settings(*GRID)
  assert len(found) == 16
  assert next(iter(found.values())) == {
      'optim.lr': 1e-3,
      'model.causal': True,
      'model.hidden_dims': (64,),
      'data.features': 'a,b',
  }
  name = list(found)[-1]
  assert name == (
      'optim.lr=0.003,model.causal=False,model.hidden_dims=(8,4),'
      'data.features=runs_x'
  )
  one = settings('epochs=3')
  assert sweeps.flags(one['epochs=3.0']) == ['--config.epochs=3.0']


def test_more_random_settings_keep_the_earlier_ones():
  few, many = (list(settings(*GRID, count=n)) for n in (3, 7))
  assert many[:3] == few
  assert len(set(many)) == 7
  assert set(many) < set(settings(*GRID))


def test_each_setting_has_the_runs_of_a_crossvalidation():
  planned = studies.sweep(ROOT, settings('optim.lr=1,2'), [0, 3], 2)
  assert [str(r.workdir) for r in planned['optim.lr=2.0']] == [
      f'runs/sweep/optim.lr=2.0/fold{fold}_seed{seed}'
      for seed in (0, 3)
      for fold in (0, 1)
  ]
  own = planned['optim.lr=2.0'][1].config(mtl.get_config('smoke').to_dict())
  assert own['optim']['lr'] == 2.0
  assert own['data']['fold'] == 1
  assert own['eval_epochs'] == 0


@pytest.mark.parametrize(
    ('texts', 'message'),
    [
        (['optim.lr'], 'give a key of the config and its different values'),
        (['optim.lr=1,1'], 'its different values'),
        (['optim.lr=1,'], 'its different values'),
        (['optim.lr=1', 'optim.lr=2'], 'optim.lr is swept twice'),
        (['optim.rate=1'], 'config.optim has no key rate'),
        (['optim.lr=fast'], 'wrong type; give float'),
    ],
)
def test_wrong_texts_are_one_line(texts, message):
  with pytest.raises(errors.InputError, match=message):
    settings(*texts)


def test_seeds_have_a_flag_of_their_own():
  with pytest.raises(
      errors.InputError, match='--sweep=seed: this command sets'
  ):
    studies.sweep(ROOT, settings('seed=1,2'), [0], 0)
