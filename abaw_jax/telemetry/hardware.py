"""Peak FLOP/s, memory and bandwidths of accelerators, by their name in JAX."""

import dataclasses

GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Tpu:
  """One TPU chip.

  Attributes:
    flops: dense bfloat16 FLOP/s.
    hbm_bytes: size of the memory.
    hbm_bandwidth: bytes/s of reads and writes in the memory.
    link_bandwidth: bytes/s in one direction of one link to another chip.
    dcn_bandwidth: bytes/s that the chip sends to other slices.
    wrap: smallest number of chips along an axis of a slice whose two ends are
      linked, too.
    devices: number of JAX devices of the chip; they share its resources.
  """

  flops: float
  hbm_bytes: int
  hbm_bandwidth: float
  link_bandwidth: float
  dcn_bandwidth: float
  wrap: int
  devices: int = 1


# Sources: cloud.google.com/tpu/docs/v4, /v5e, /v5p, /v6e and /tpu7x. The
# bandwidth of a link is half of "bidirectional ICI bandwidth per chip", divided
# by the links of a chip (4 or 6). For v4 it is "all-reduce bandwidth per Pod"
# divided by all links. The DCN bandwidth is given per chip or per pod; v4
# assumes 100 Gbit/s per host of 4 chips.
TPUS = {
    'TPU v4': Tpu(275e12, 32 * GIB, 1200e9, 45e9, 25e9 / 8, wrap=4),
    'TPU v5 lite': Tpu(197e12, 16 * GIB, 819e9, 50e9, 25e9 / 8, wrap=16),
    'TPU v5': Tpu(459e12, 95 * GIB, 2765e9, 100e9, 50e9 / 8, wrap=4),
    'TPU v6 lite': Tpu(918e12, 32 * GIB, 1638e9, 100e9, 100e9 / 8, wrap=16),
    # Each of the two cores is a device.
    'TPU7x': Tpu(
        2307e12, 192 * GIB, 7380e9, 100e9, 100e9 / 8, wrap=4, devices=2
    ),
}

# Dense bfloat16 FLOP/s of one JAX device, by its `device_kind`. NVIDIA's data
# sheets give twice this value, for sparse matrices. On TPU v2 and v3, each of
# the two cores of a chip is a device, with half the FLOP/s of the chip.
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
  """Returns the peak FLOP/s of a device, None if it is not known.

  The peak is that of bfloat16 for every model, so the MFU of a float32 run
  shows the unused part of the device.
  """
  return PEAK_FLOPS.get(device_kind)
