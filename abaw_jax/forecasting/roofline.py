"""Roofline estimate of the time of a step, from data sheets of the hardware."""

from collections.abc import Sequence
import dataclasses

from abaw_jax.forecasting import collectives as collectives_lib
from abaw_jax.forecasting import topologies

# Assumed share of the peak FLOP/s in matrix multiplications (matmuls): sequences
# of 50 and 197 tokens and heads of width 32 do not fill the matrix units.
# Published, for the entire step: MAE with ViT-L 0.29 of a TPU v3, language models
# 0.5 to 0.65.
MATMUL_EFFICIENCY = 0.5
# Recomputed matmuls of the backward pass, relative to the model's. `dots`
# recomputes only those of attention, which this ignores.
RECOMPUTED = {'none': 0.0, 'dots': 0.0, 'all': 1 / 3}

# Smallest, largest and median measured / estimated time of 20 steps on 2 cores of
# a shared CPU (`python -m benchmarks.estimate`): 16 steps limited by matmuls 0.38
# to 0.91, two of one row 1.7 and 2.1, AdamW with one row 2.4, softmax and GELU 8.
MEASURED = (0.38, 8.1, 0.69)

ASSUMPTIONS = (
    f'matmuls reach {MATMUL_EFFICIENCY} of the peak; each fusion reads its '
    'inputs from HBM and writes its outputs; both at the same time',
    'collectives use the full bandwidth of all links along their axes of the '
    'slice; only those that the compiler made asynchronous overlap with '
    'computation',
    'input is never slow; an estimate, never measured on a TPU',
    f'on a CPU, 20 steps took {MEASURED[0]} to {MEASURED[1]} times the time '
    f'estimated this way, median {MEASURED[2]}',
)


@dataclasses.dataclass(frozen=True)
class Estimate:
  """Seconds of a step by cause, and throughput.

  Attributes:
    compute: matmuls at their assumed share of the peak.
    memory: HBM traffic at its bandwidth.
    overlapped: collectives within a slice, during computation.
    ici: other collectives within a slice.
    dcn: collectives between slices.
    step: max(compute, memory, overlapped) + ici + dcn.
    rows_per_s: rows per second, over all chips.
    mfu: model FLOP/s relative to the peak of all chips.
  """

  compute: float
  memory: float
  overlapped: float
  ici: float
  dcn: float
  step: float
  rows_per_s: float
  mfu: float


def estimate(
    topology: topologies.Topology,
    *,
    flops: float,
    remat: str,
    hbm_bytes: float,
    collectives: Sequence[collectives_lib.Collective],
    batch_size: int,
) -> Estimate:
  """Returns the estimate of a step.

  Args:
    topology: devices of the step.
    flops: model FLOPs of a step, over all devices.
    remat: rematerialisation, a key of RECOMPUTED.
    hbm_bytes: HBM traffic of a device, reads and writes.
    collectives: communication of a step.
    batch_size: rows of a step, over all devices.
  """
  chip, num_devices = topology.chip, len(topology.devices)
  peak = chip.flops / chip.devices * num_devices
  compute = flops * (1 + RECOMPUTED[remat]) / (MATMUL_EFFICIENCY * peak)
  memory = hbm_bytes / (chip.hbm_bandwidth / chip.devices)
  seconds = {'overlapped': 0.0, 'ici': 0.0, 'dcn': 0.0}
  for x in collectives:
    if x.network == 'dcn':
      bandwidth = chip.dcn_bandwidth / chip.devices
    else:
      bandwidth = topology.ici_bandwidth(x.group)
    name = 'overlapped' if x.overlapped else x.network
    seconds[name] += x.sent_bytes / bandwidth if x.sent_bytes else 0.0
  step = (
      max(compute, memory, seconds['overlapped'])
      + seconds['ici']
      + seconds['dcn']
  )
  return Estimate(
      compute=compute,
      memory=memory,
      **seconds,
      step=step,
      rows_per_s=batch_size / step,
      mfu=flops / (step * peak),
  )
