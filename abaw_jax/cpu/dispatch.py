"""Choice between a form for CPUs and the form for all other platforms."""

from collections.abc import Callable
import functools
from typing import Any

import jax


def is_target() -> bool:
  """Returns whether the program that is being traced is for CPUs.

  It is for the devices of the mesh that is set, or else for JAX's default
  backend. `abaw-jax compile` sets a mesh of TPUs on a machine with only CPUs.
  """
  device = jax.sharding.get_abstract_mesh().abstract_device
  if device is not None:
    return device.device_kind == 'cpu'
  return jax.default_backend() == 'cpu'


def by_platform(
    *, cpu: Callable[..., Any], default: Callable[..., Any]
) -> Callable[..., Any]:
  """Returns a function that calls `cpu` in programs for CPUs, else `default`.

  The choice is made during tracing. So it covers the forward pass, the residuals
  and the backward pass, and no trace of the other form is in the program.
  `jax.lax.platform_dependent` would choose inside a custom VJP, with the same
  residuals for all platforms.
  """

  @functools.wraps(default)
  def chosen(*args: Any, **options: Any) -> Any:
    return (cpu if is_target() else default)(*args, **options)

  return chosen
