"""Lowering of functions for platforms that this machine does not have."""

import jax

from abaw_jax.models.layers import batch_sharding

# Kind of device by JAX's name of the platform.
DEVICES = {'cpu': 'cpu', 'tpu': 'TPU v5e', 'cuda': 'NVIDIA H100'}


def lowered(function, platform: str, *args) -> str:
  """Returns the StableHLO text of a function, for a device of a platform."""
  mesh = jax.sharding.AbstractMesh(
      (1,) * len(batch_sharding.BATCH_AXES),
      batch_sharding.BATCH_AXES,
      abstract_device=jax.sharding.AbstractDevice(
          DEVICES[platform], num_cores=None, platform=platform
      ),
  )
  with jax.sharding.use_abstract_mesh(mesh):
    traced = jax.jit(lambda *args: function(*args)).trace(*args)
    return traced.lower(lowering_platforms=(platform,)).as_text()
