"""What an accelerator can do at best, by the name that JAX gives it."""

import dataclasses

GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Tpu:
  """One TPU chip.

  Attributes:
    flops: dense bfloat16 FLOP/s.
    hbm_bytes: memory.
    hbm_bandwidth: bytes/s to and from it.
    link_bandwidth: bytes/s that one of its links to another chip sends.
    dcn_bandwidth: bytes/s that it sends to other slices.
    wrap: chips along an axis of a slice from which on its ends are linked too.
    devices: JAX devices, which share all of this.
  """

  flops: float
  hbm_bytes: int
  hbm_bandwidth: float
  link_bandwidth: float
  dcn_bandwidth: float
  wrap: int
  devices: int = 1


# Sources: cloud.google.com/tpu/docs/v4, /v5e, /v5p, /v6e and /tpu7x. A link
# sends half of "bidirectional ICI bandwidth per chip" over the chip's links (4
# or 6), or, for v4, "all-reduce bandwidth per Pod" over all links. DCN is given
# per chip or per pod; for v4 100 Gbit/s per host of 4 chips are assumed.
TPUS = {
    'TPU v4': Tpu(275e12, 32 * GIB, 1200e9, 45e9, 25e9 / 8, wrap=4),
    'TPU v5 lite': Tpu(197e12, 16 * GIB, 819e9, 50e9, 25e9 / 8, wrap=16),
    'TPU v5': Tpu(459e12, 95 * GIB, 2765e9, 100e9, 50e9 / 8, wrap=4),
    'TPU v6 lite': Tpu(918e12, 32 * GIB, 1638e9, 100e9, 100e9 / 8, wrap=16),
    # Each of its two cores is a device.
    'TPU7x': Tpu(
        2307e12, 192 * GIB, 7380e9, 100e9, 100e9 / 8, wrap=4, devices=2
    ),
}

# Dense bfloat16 FLOP/s of one JAX device, as `device_kind` names it. NVIDIA's
# data sheets print twice this, for sparse matrices. On TPU v2 and v3 each of a
# chip's two cores is a device: half the chip's figure.
PEAK_FLOPS = {
    'TPU v2': 22.5e12,
    'TPU v3': 61.5e12,
    **{kind: tpu.flops / tpu.devices for kind, tpu in TPUS.items()},
    'TPU v5e': TPUS['TPU v5 lite'].flops,
    'TPU v5p': TPUS['TPU v5'].flops,
    'TPU v6e': TPUS['TPU v6 lite'].flops,
    'NVIDIA A100-PCIE-40GB': 312e12,
    'NVIDIA A100-SXM4-40GB': 312e12,
    'NVIDIA A100 80GB PCIe': 312e12,
    'NVIDIA A100-SXM4-80GB': 312e12,
    'NVIDIA L4': 121e12,
    'NVIDIA L40S': 362e12,
    'NVIDIA H100 PCIe': 756e12,
    'NVIDIA H100 NVL': 835e12,
    'NVIDIA H100 80GB HBM3': 989e12,
    'NVIDIA H200': 989e12,
    'NVIDIA GH200 480GB': 989e12,
    'NVIDIA B200': 2250e12,
}


def peak_flops(device_kind: str) -> float | None:
  """Returns the peak FLOP/s of a device, None where it is not known.

  It is that of bfloat16 whatever a model computes in: a float32 run shows how
  much of the device it leaves unused.
  """
  return PEAK_FLOPS.get(device_kind)
