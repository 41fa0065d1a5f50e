"""Formats a forecast as a table and as a line of JSON."""

from collections.abc import Mapping
import dataclasses
from typing import Any

from abaw_jax.core import text_table
from abaw_jax.forecasting import forecast as forecast_lib
from abaw_jax.forecasting import roofline, topologies
from abaw_jax.tasks import registry

_UNITS = ('B', 'KiB', 'MiB', 'GiB', 'TiB')


def to_json(
    config: Mapping[str, Any],
    topology: topologies.Topology,
    forecast: forecast_lib.Forecast,
) -> dict[str, Any]:
  """Returns a forecast for JSON; bytes are per chip.

  `memory`, `hbm_traffic`, `collectives` and `estimate` are missing if the step
  does not fit.
  """
  chip = topology.chip
  line = {
      'topology': topology.name,
      'chips': topology.num_chips,
      'slices': topology.num_slices,
      'model': config['model'].get('backbone')
      or registry.task_class(config).name,
      'batch_size': config['data']['batch_size'],
      'microbatches': config['optim']['microbatches'],
      'zero': config['mesh']['zero'],
      'fsdp': config['mesh']['fsdp'],
      'remat': config['model'].get('remat', 'none'),
      'scan': config['model'].get('scan', False),
      'parameters': forecast.parameters,
      'flops': forecast.flops,
      'fits': forecast.fits,
      'total_bytes': forecast.total_bytes * chip.devices,
      'limit_bytes': forecast.limit_bytes * chip.devices,
  }
  if forecast.compiled is None:
    return line
  return line | {
      'memory': {
          name: value * chip.devices
          for name, value in dataclasses.asdict(forecast.memory).items()
      },
      'hbm_traffic': forecast.hbm_bytes * chip.devices,
      'collectives': [
          dataclasses.asdict(x)
          | {
              'num_bytes': x.num_bytes * chip.devices,
              'sent_bytes': x.sent_bytes * chip.devices,
          }
          for x in forecast.collectives
      ],
      'estimate': dataclasses.asdict(forecast.estimate),
  }


def to_table(
    config: Mapping[str, Any],
    topology: topologies.Topology,
    forecast: forecast_lib.Forecast,
) -> list[str]:
  """Returns a forecast as lines of a name and a value."""
  line = to_json(config, topology, forecast)
  chip = topology.chip
  microbatch = line['batch_size'] / line['microbatches'] / topology.num_chips
  rows = [
      (
          'topology',
          f'{topology.name}, {topology.num_chips} chips, '
          f'{len(topology.devices)} devices',
      ),
      (
          'batch',
          f'{line["batch_size"]:,} rows, {microbatch:g} per chip and microbatch',
      ),
      ('parameters', f'{forecast.parameters:,}'),
      ('model FLOPs per step', f'{forecast.flops:.4g}'),
  ]
  if forecast.compiled is not None:
    rows += [
        (f'{name} per chip', _size(size))
        for name, size in line['memory'].items()
    ]
  rows.append(
      (
          'total per chip',
          f'{_size(line["total_bytes"])} of {_size(line["limit_bytes"])}, '
          f'{line["total_bytes"] / line["limit_bytes"]:.0%}: '
          f'{"fits" if forecast.fits else "does not fit"}',
      )
  )
  if not forecast.fits:
    rows.append(('try', forecast_lib.suggest(config, topology, forecast)))
  if forecast.compiled is None:
    return text_table.aligned(rows, '<')
  rows += [
      (
          f'{x["kind"]} over {x["network"].upper()}',
          f'{x["count"]} per step{" while computing" * x["overlapped"]}, '
          f'{_size(x["num_bytes"])}; each chip sends {_size(x["sent_bytes"])}',
      )
      for x in line['collectives']
  ]
  rows.append(('HBM traffic per chip', _size(line['hbm_traffic'])))
  estimate = forecast.estimate
  rows += [
      ('time of matmuls', _ms(estimate.compute)),
      ('time of HBM traffic', _ms(estimate.memory)),
      (
          'time of collectives',
          f'ICI {_ms(estimate.ici)}, DCN {_ms(estimate.dcn)}, '
          f'while computing {_ms(estimate.overlapped)}',
      ),
      (
          'estimate',
          f'{_ms(estimate.step)} per step, {estimate.rows_per_s:,.0f} rows/s, '
          f'MFU {estimate.mfu:.0%}',
      ),
      (
          'data sheet of a chip',
          f'{chip.flops / 1e12:g} TFLOP/s, '
          f'HBM {chip.hbm_bandwidth / 1e9:g} GB/s, '
          f'ICI {topology.ici_bandwidth() * chip.devices / 1e9:g} GB/s, '
          f'DCN {chip.dcn_bandwidth / 1e9:g} GB/s',
      ),
      *(('assumed', text) for text in roofline.ASSUMPTIONS),
  ]
  return text_table.aligned(rows, '<')


def _size(num_bytes: float) -> str:
  unit = sum(
      num_bytes >= 1000 * 1024**power for power in range(len(_UNITS) - 1)
  )
  return f'{num_bytes / 1024**unit:.3g} {_UNITS[unit]}'


def _ms(seconds: float) -> str:
  return f'{1000 * seconds:.1f} ms'
