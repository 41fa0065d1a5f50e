"""Costs of a train step on a TPU slice, without a TPU."""

from collections.abc import Callable, Mapping
import dataclasses
import re
from typing import Any

import jax
from jaxtyping import Array

from abaw_jax.distributed import sharding
from abaw_jax.forecasting import collectives as collectives_lib
from abaw_jax.forecasting import hlo, roofline, topologies, traffic
from abaw_jax.steps import compilation, optimization, skipping, steps
from abaw_jax.tasks import registry
from abaw_jax.telemetry import hardware

# Format of bytes in messages of the TPU compiler.
_SIZE = re.compile(r'\b(\d+(?:\.\d+)?)([KMGT])\b')
_UNITS = {'K': 2**10, 'M': 2**20, 'G': 2**30, 'T': 2**40}


@dataclasses.dataclass(frozen=True)
class Forecast:
  """Costs of a step on a topology; bytes are per device.

  If the step does not fit, `compiled` and all later attributes are None.

  Attributes:
    parameters: number of parameters of the model.
    flops: model FLOPs of a step, over all devices.
    limit_bytes: memory of the device.
    total_bytes: memory that the program needs.
    compiled: the program.
    memory: its memory by use.
    hbm_bytes: HBM traffic of a step, reads and writes.
    collectives: communication of a step.
    estimate: time of a step.
  """

  parameters: int
  flops: float
  limit_bytes: int
  total_bytes: int
  compiled: jax.stages.Compiled | None = None
  memory: compilation.Memory | None = None
  hbm_bytes: int | None = None
  collectives: tuple[collectives_lib.Collective, ...] | None = None
  estimate: roofline.Estimate | None = None

  @property
  def fits(self) -> bool:
    return self.compiled is not None and self.total_bytes <= self.limit_bytes


def make_forecast(
    config: Mapping[str, Any],
    topology: topologies.Topology,
    example: Mapping[str, Array],
    make_step: Callable[..., tuple[Any, Any]] | None = None,
) -> Forecast:
  """Compiles the train step of a config and returns its costs.

  Args:
    config: plain nested dict of `configs/`.
    topology: devices to compile for.
    example: a batch of any size.
    make_step: maps (task, mesh, example) to another jitted step and the shapes of
      its state; None means the step of the training loop.

  Raises:
    InputError: a value of the config is wrong, or does not fit the number of
      devices.
  """
  batch_size, section = config['data']['batch_size'], config['optim']
  mesh = sharding.make_mesh(**config['mesh'], devices=topology.devices)
  sharding.check_batch(
      batch_size,
      mesh,
      'config.data.batch_size',
      microbatches=section['microbatches'],
  )
  task = registry.make_task(config)
  with jax.set_mesh(mesh):
    step, shapes = (make_step or _make_step)(task, mesh, example)
    try:
      compiled, total_bytes = compilation.compile_step(
          step, shapes, example, mesh, batch_size=batch_size
      )
    except jax.errors.JaxRuntimeError as error:
      compiled, total_bytes = None, required_bytes(error)
  forecast = Forecast(
      parameters=sum(x.size for x in jax.tree.leaves(shapes.params)),
      flops=float(task.flops(example) * batch_size),
      limit_bytes=topology.chip.hbm_bytes // topology.chip.devices,
      total_bytes=total_bytes,
  )
  if compiled is None:
    return forecast
  program = hlo.parse(compiled.as_text())
  collectives = collectives_lib.find(
      program,
      num_devices=mesh.size // topology.num_slices,
      num_slices=topology.num_slices,
  )
  hbm_bytes = traffic.hbm_bytes(program)
  return dataclasses.replace(
      forecast,
      compiled=compiled,
      memory=compilation.memory(compiled),
      hbm_bytes=hbm_bytes,
      collectives=tuple(collectives),
      estimate=roofline.estimate(
          topology,
          flops=forecast.flops,
          remat=config['model'].get('remat', 'none'),
          hbm_bytes=hbm_bytes,
          collectives=collectives,
          batch_size=batch_size,
      ),
  )


def suggest(
    config: Mapping[str, Any], topology: topologies.Topology, forecast: Forecast
) -> str:
  """Returns the first change to try in a config whose step does not fit."""
  section, fsdp = config['optim'], config['mesh']['fsdp']
  per_slice = len(topology.devices) // topology.num_slices
  rows = config['data']['batch_size'] // len(topology.devices)
  parts = section['microbatches']
  # Parameters and two moments, without gradients.
  state = 12 * forecast.parameters / fsdp
  if state > forecast.limit_bytes / 3 and 2 * fsdp <= per_slice:
    return (
        f'--config.mesh.fsdp={min(per_slice, 8 * fsdp)}: parameters and '
        f'moments alone take {state / hardware.GIB:.1f} GiB of each device'
    )
  if config['model'].get('remat') == 'none':
    return '--config.model.remat=dots: recompute attention, norms and GELU'
  if rows % (2 * parts) == 0:
    # Gradients and their sum over microbatches also take memory.
    available, parts = forecast.limit_bytes - state * 20 / 12, 2 * parts
    needed = forecast.total_bytes / 2
    while needed > available and rows % (2 * parts) == 0:
      needed, parts = needed / 2, 2 * parts
    return (
        f'--config.optim.microbatches={parts}: {rows // parts} rows of a '
        f'device at once instead of {rows // section["microbatches"]}'
    )
  if config['model'].get('remat') == 'dots':
    return '--config.model.remat=all: recompute every block'
  return 'a smaller --config.data.batch_size, or more chips'


def _make_step(task, mesh, example):
  """Returns (jitted step, shapes of the state) as in the training loop."""
  config = task.config
  # The numbers of steps are constants; they do not change the costs.
  schedule = optimization.make_schedule(
      config, total_steps=100_000, warmup_steps=1_000
  )
  optimizer = skipping.skip_non_finite(
      optimization.make_optimizer(task, schedule)
  )
  _, shapes = steps.jit_init(
      task,
      optimizer,
      mesh,
      example,
      ema=config['optim']['ema'],
  )
  step = steps.jit_train_step(
      task,
      optimizer,
      mesh,
      shapes,
      **optimization.step_options(config),
  )
  return step, shapes


def required_bytes(error: jax.errors.JaxRuntimeError) -> int:
  """Returns a lower bound of the bytes per device from a compiler message.

  Raises:
    JaxRuntimeError: the same error, if it is not about memory.
  """
  message = str(error)
  sizes = _SIZE.findall(message)
  if not message.startswith('RESOURCE_EXHAUSTED') or not sizes:
    raise error
  # The message has the needed bytes and smaller numbers, such as the limit.
  return max(round(float(size) * _UNITS[unit]) for size, unit in sizes)
