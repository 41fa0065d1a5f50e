"""What an accelerator can do at best, by the name that JAX gives it."""

# Dense bfloat16 FLOP/s of one JAX device, as `device_kind` names it. Sources:
# cloud.google.com/tpu/docs/system-architecture-tpu-vm, /tpu/docs/tpu7x and
# NVIDIA's data sheets, which print twice this for sparse matrices. On TPU v2,
# v3 and 7x each of a chip's two cores is a device: half the chip's figure.
PEAK_FLOPS = {
    'TPU v2': 22.5e12,
    'TPU v3': 61.5e12,
    'TPU v4': 275e12,
    'TPU v5 lite': 197e12,
    'TPU v5e': 197e12,
    'TPU v5': 459e12,
    'TPU v5p': 459e12,
    'TPU v6 lite': 918e12,
    'TPU v6e': 918e12,
    'TPU7x': 1153.5e12,
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
