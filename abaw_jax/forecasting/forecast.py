"""What a training step takes of a TPU slice, found out without a TPU."""

from collections.abc import Mapping
import dataclasses
import re
from typing import Any

import jax
from jaxtyping import Array

from abaw_jax.distributed import sharding
from abaw_jax.forecasting import collectives, hlo, roofline, topologies, traffic
from abaw_jax.models import flops
from abaw_jax.steps import compilation, optimization, steps
from abaw_jax.tasks import registry
from abaw_jax.telemetry import hardware

# How the TPU compiler writes bytes.
_SIZE = re.compile(r'\b(\d+(?:\.\d+)?)([KMGT])\b')
_UNITS = {'K': 2**10, 'M': 2**20, 'G': 2**30, 'T': 2**40}


@dataclasses.dataclass(frozen=True)
class Forecast:
  """A step on a topology; bytes are those of one device.

  Attributes:
    parameters: of the model.
    flops: model FLOPs of a step, over all devices.
    limit: bytes of memory that there are.
    total: bytes that the program takes, or would need.
    compiled: the program; None, as all below, if it does not fit.
    memory: what its bytes are for.
    hbm_bytes: what it moves in and out of the memory in a step.
    sent: what it sends in a step.
    estimate: how long a step takes.
  """

  parameters: int
  flops: float
  limit: int
  total: int
  compiled: jax.stages.Compiled | None = None
  memory: compilation.Memory | None = None
  hbm_bytes: int | None = None
  sent: tuple[collectives.Collective, ...] | None = None
  estimate: roofline.Estimate | None = None

  @property
  def fits(self) -> bool:
    return self.compiled is not None and self.total <= self.limit


def make_forecast(
    config: Mapping[str, Any],
    topology: topologies.Topology,
    example: Mapping[str, Array],
) -> Forecast:
  """Returns what the step of a config takes, compiled as the loop compiles it.

  Args:
    config: plain nested dict of `configs/`.
    topology: what to compile for.
    example: a batch of any size.

  Raises:
    InputError: the config does not fit together, or not to this many devices.
  """
  batch_size, section = config['data']['batch_size'], config['optim']
  mesh = sharding.make_mesh(
      fsdp=config['mesh']['fsdp'], devices=topology.devices
  )
  sharding.check_batch(
      batch_size,
      mesh,
      'config.data.batch_size',
      microbatches=section['microbatches'],
  )
  task = registry.make_task(config)
  with jax.set_mesh(mesh):
    step, shapes = _make_step(config, task, mesh, example)
    try:
      compiled, total = compilation.compile_step(
          step, shapes, example, mesh, batch_size=batch_size
      )
    except jax.errors.JaxRuntimeError as error:
      compiled, total = None, needed(error)
  row_flops = flops.train_flops(task.model, example, freeze=section['freeze'])
  forecast = Forecast(
      parameters=sum(x.size for x in jax.tree.leaves(shapes.params)),
      flops=float(row_flops * batch_size),
      limit=topology.chip.hbm_bytes // topology.chip.devices,
      total=total,
  )
  if compiled is None:
    return forecast
  program = hlo.parse(compiled.as_text())
  sent = collectives.find(
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
      sent=tuple(sent),
      estimate=roofline.estimate(
          topology,
          flops=forecast.flops,
          remat=config['model'].get('remat', 'none'),
          hbm_bytes=hbm_bytes,
          ici_bytes=sum(x.sent_bytes for x in sent if x.network == 'ici'),
          dcn_bytes=sum(x.sent_bytes for x in sent if x.network == 'dcn'),
          batch_size=batch_size,
      ),
  )


def suggest(
    config: Mapping[str, Any], topology: topologies.Topology, forecast: Forecast
) -> str:
  """Returns what to change first in a config whose step does not fit."""
  section, fsdp = config['optim'], config['mesh']['fsdp']
  per_slice = len(topology.devices) // topology.num_slices
  rows = config['data']['batch_size'] // len(topology.devices)
  parts = section['microbatches']
  # Parameters and two moments; gradients come on top.
  state = 12 * forecast.parameters / fsdp
  if state > forecast.limit / 3 and 2 * fsdp <= per_slice:
    return (
        f'--config.mesh.fsdp={min(per_slice, 8 * fsdp)}: parameters and '
        f'moments alone take {state / hardware.GIB:.1f} GiB of each device'
    )
  if config['model'].get('remat') == 'none':
    return '--config.model.remat=dots: compute attention, norms and GELU twice'
  if rows % (2 * parts) == 0:
    # Beside the state there are the gradients and their sum over the parts.
    room, parts = forecast.limit - state * 20 / 12, 2 * parts
    needed = forecast.total / 2
    while needed > room and rows % (2 * parts) == 0:
      needed, parts = needed / 2, 2 * parts
    return (
        f'--config.optim.microbatches={parts}: {rows // parts} rows of a '
        f'device at once instead of {rows // section["microbatches"]}'
    )
  if config['model'].get('remat') == 'dots':
    return '--config.model.remat=all: compute every block twice'
  return 'a smaller config.data.batch_size, or more chips'


def _make_step(config, task, mesh, example):
  """Returns (jitted step, state as shapes) as the training loop makes them."""
  # How many steps there are is a number in the program and changes nothing.
  schedule = optimization.make_schedule(
      config, total_steps=100_000, warmup_steps=1_000
  )
  optimizer = steps.skip_non_finite(
      optimization.make_optimizer(config, schedule)
  )
  _, shapes = steps.jit_init(
      task,
      optimizer,
      mesh,
      example,
      ema=config['optim']['ema'],
      carry=optimization.make_carry(config, task),
  )
  step = steps.jit_train_step(
      task,
      optimizer,
      mesh,
      shapes,
      **optimization.step_options(config),
  )
  return step, shapes


def needed(error: jax.errors.JaxRuntimeError) -> int:
  """Returns the bytes that a program would need of a device, at least."""
  message = str(error)
  sizes = _SIZE.findall(message)
  if not message.startswith('RESOURCE_EXHAUSTED') or not sizes:
    raise error
  # It names what is needed, what there is and, at times, what needs it.
  return max(round(float(size) * _UNITS[unit]) for size, unit in sizes)
