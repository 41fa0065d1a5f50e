"""Choice between forms of a function for different platforms."""

from collections.abc import Callable, Iterator
import contextlib
import contextvars
import functools
from typing import Any

import jax

_portable = contextvars.ContextVar('portable', default=None)


@contextlib.contextmanager
def portable(name: str = '') -> Iterator[None]:
  """Traces the forms of one program that runs on several platforms.

  Args:
    name: of forms to prefer to default ones, such as `onnx`.
  """
  token = _portable.set(name)
  try:
    yield
  finally:
    _portable.reset(token)


def platform() -> str:
  """Returns the platform of the program that is being traced, such as 'cpu'.

  It is that of the mesh that is set, or else JAX's default backend. `abaw-jax
  compile` sets a mesh of TPUs on a machine with only CPUs. Inside `portable` it is
  its argument, because the program has no platform yet.
  """
  if (name := _portable.get()) is not None:
    return name
  device = jax.sharding.get_abstract_mesh().abstract_device
  return jax.default_backend() if device is None else device.platform


def by_platform(
    *, default: Callable[..., Any], **forms: Callable[..., Any]
) -> Callable[..., Any]:
  """Returns a function that calls the form for the platform, if there is one.

  The choice is made during tracing. So it covers the forward pass, the residuals
  and the backward pass, and the program has no trace of other forms.
  `jax.lax.platform_dependent` would choose inside a custom VJP, with the same
  residuals for all platforms.

  Args:
    default: form for all other platforms.
    **forms: forms by the name of their platform, such as `cpu`, or of `portable`.
  """

  @functools.wraps(default)
  def chosen(*args: Any, **options: Any) -> Any:
    return forms.get(platform(), default)(*args, **options)

  return chosen
