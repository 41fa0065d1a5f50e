"""The machine, its software, and numbers of the device during a run."""

import importlib.metadata
import platform
import shutil
import subprocess

import jax

from abaw_jax.telemetry import hardware
from benchmarks.accelerator import section as section_lib
from benchmarks.accelerator import sizes

_PACKAGES = (
    'jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'torch',
    'transformers', 'grain', 'tensorflow-datasets', 'array_record',
    'ml_collections',
)  # fmt: skip


def describe(section: section_lib.Section, config: sizes.Sizes) -> None:
  """Writes the device, the driver and the versions of packages."""
  del config
  device = jax.devices()[0]
  limit = memory('bytes_limit')
  peak = peak_flops()
  lines = {
      'devices': f'{jax.device_count()} x {device.device_kind}',
      'platform': ' '.join(device.client.platform_version.split()),
      'driver': _driver(),
      'memory for JAX': size(limit) if limit else 'unknown',
      'peak': f'{peak / 1e12:,.0f} TFLOP/s in bf16' if peak else 'unknown',
      'Python': platform.python_version(),
  }
  lines |= {name: _version(name) for name in _PACKAGES}
  section.table(
      ('what', 'value'), [(k, lambda v=v: [v]) for k, v in lines.items()]
  )


def peak_flops() -> float | None:
  """Returns the peak bf16 FLOP/s of all devices, None if it is unknown."""
  peak = hardware.peak_flops(jax.devices()[0].device_kind)
  return peak * jax.device_count() if peak else None


def memory(name: str) -> int:
  """Returns a number of `Device.memory_stats`, 0 if it is unknown."""
  return (jax.devices()[0].memory_stats() or {}).get(name, 0)


def size(count: float) -> str:
  """Returns a number of bytes as text."""
  if count < hardware.GIB:
    return f'{count / 2**20:.1f} MiB'
  return f'{count / hardware.GIB:.1f} GiB'


def _driver() -> str:
  """Returns the version of NVIDIA's driver."""
  if not shutil.which('nvidia-smi'):
    return 'unknown'
  done = subprocess.run(
      ['nvidia-smi', '--query-gpu=driver_version', '--format=csv,noheader'],
      capture_output=True,
      text=True,
      timeout=10,
      check=False,
  )
  return (done.stdout.splitlines() or ['unknown'])[0]


def _version(package: str) -> str:
  try:
    return importlib.metadata.version(package)
  except importlib.metadata.PackageNotFoundError:
    return 'not installed'
