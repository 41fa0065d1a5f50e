"""Forecasts of steps that fit a slice, and of steps that do not."""

import json

import jax
import pytest

from abaw_jax.forecasting import forecast, topologies
from abaw_jax.models import flops
from abaw_jax.tasks import inputs, registry
from abaw_jax.telemetry import hardware
from tests.training import runs

COMMAND = (
    'abaw_jax.compile',
    f'--config={runs.ROOT / "configs" / "mae.py"}:smoke',
    '--config.model.scan=True',
)


@pytest.fixture(scope='module')
def results(tmp_path_factory) -> dict[str, tuple[int, str, str]]:
  """Returns (status, stdout, stderr) for a step that fits, and for one that does not."""
  folder = tmp_path_factory.mktemp('compile')
  commands = {
      'slices': (
          '--topology=v5e:2x2',
          '--num_slices=2',
          '--config.mesh.fsdp=2',
      ),
      'too large': ('--topology=v5e:1x1', '--config.data.batch_size=4000000'),
  }
  results = {
      name: runs.finish(runs.start(*COMMAND, *more, cwd=folder))
      for name, more in commands.items()
  }
  assert list(folder.iterdir()) == []
  return results


def test_a_step_that_fits_gives_a_table_and_a_line_of_json(results):
  status, out, error = results['slices']
  assert status == 0, error
  *table, line = out.splitlines()
  line = json.loads(line)
  assert line['fits']
  assert (line['chips'], line['slices'], line['fsdp']) == (8, 2, 2)
  config = runs.smoke('mae', '')
  task, batch = registry.make_task(config), inputs.example_without_data(
      registry.make_task(config)
  )
  row = flops.train_flops(task.model, batch)
  assert line['flops'] == row * config['data']['batch_size']
  params = jax.eval_shape(task.init, jax.random.key(0), batch)
  count = sum(x.size for x in jax.tree.leaves(params))
  assert line['parameters'] == count
  assert line['total_bytes'] == sum(line['memory'].values())
  # Parameters and two moments, most of them sharded over 2, and 3 kB of images.
  assert 6 * count < line['memory']['arguments'] < 12 * count
  assert line['limit_bytes'] == 16 * hardware.GIB
  assert line['hbm_traffic'] > 12 * count
  assert line['estimate']['step'] > 0
  rows = [row for row in table if row.startswith('total per chip')]
  assert rows[0].endswith('fits')
  assert 'never measured on a TPU' in '\n'.join(table)


def test_slices_exchange_only_gradients(results):
  line = json.loads(results['slices'][1].splitlines()[-1])
  networks = {network: {} for network in ('ici', 'dcn')}
  for item in line['collectives']:
    networks[item['network']][item['kind']] = item['num_bytes']
  # Within a slice, all-gather collects parameters and reduce-scatter sums
  # gradients. Between slices, each chip sends only its shard of the gradients.
  within = networks['ici'].keys()
  assert {'all-gather', 'all-reduce', 'reduce-scatter'} <= within
  assert networks['dcn'].keys() == {'all-reduce'}
  gradients = 4 * line['parameters'] / 4
  assert gradients < networks['dcn']['all-reduce'] < 2 * gradients


def test_a_step_that_does_not_fit_gives_a_suggestion(results):
  status, out, error = results['too large']
  assert status == 1, error
  *table, line = out.splitlines()
  line = json.loads(line)
  assert not line['fits']
  assert line['total_bytes'] > line['limit_bytes'] == 16 * hardware.GIB
  assert 'estimate' not in line
  text = '\n'.join(table)
  assert 'does not fit' in text
  assert '--config.model.remat=dots' in text


@pytest.mark.parametrize(
    ('message', 'gib'),
    [
        (
            'RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory '
            'required for HLO temporaries (1.50T) exceeds available HBM '
            '(15.75G).',
            1536,
        ),
        (
            'RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of '
            'memory in memory space hbm. Used 17.25G of 15.75G hbm. Exceeded '
            'hbm capacity by 1.50G.',
            17.25,
        ),
    ],
)
def test_required_bytes_come_from_the_message_of_the_compiler(message, gib):
  error = jax.errors.JaxRuntimeError(message)
  assert forecast.required_bytes(error) == gib * hardware.GIB


def test_other_errors_of_the_compiler_are_raised_again():
  error = jax.errors.JaxRuntimeError('INTERNAL: 3.5G of bugs')
  with pytest.raises(jax.errors.JaxRuntimeError, match='bugs'):
    forecast.required_bytes(error)


@pytest.mark.parametrize(
    ('overrides', 'parameters', 'gib', 'suggestion'),
    [
        ({}, 10**9, 20, '--config.mesh.fsdp=8: parameters and moments alone'),
        ({}, 10**6, 20, '--config.model.remat=dots'),
        ({'remat': 'dots'}, 10**6, 20, '.microbatches=2: 8 rows of a device'),
        ({'remat': 'dots'}, 10**6, 60, '.microbatches=4: 4 rows of a device'),
        ({'remat': 'dots'}, 10**6, 2000, '.microbatches=16: 1 rows'),
        (
            {'remat': 'dots', 'microbatches': 16},
            10**6,
            20,
            '--config.model.remat=all',
        ),
        (
            {'remat': 'all', 'microbatches': 16, 'fsdp': 8},
            10**9,
            20,
            'a smaller --config.data.batch_size, or more chips',
        ),
    ],
)
def test_the_suggestion_fits_the_cause(overrides, parameters, gib, suggestion):
  sections = {'remat': 'model', 'microbatches': 'optim', 'fsdp': 'mesh'}
  config = runs.smoke('mae', '', data__batch_size=128)
  for key, value in overrides.items():
    config[sections[key]][key] = value
  result = forecast.Forecast(
      parameters=parameters,
      flops=1.0,
      limit_bytes=16 * hardware.GIB,
      total_bytes=gib * hardware.GIB,
  )
  topology = topologies.make_topology('v5e:2x4')
  assert suggestion in forecast.suggest(config, topology, result)
