"""Our attention, compared with fused attention of JAX."""

from collections.abc import Callable, Iterator
import functools
import statistics
from typing import Any

import jax
import jax.numpy as jnp

from abaw_jax.models.layers import attention
from benchmarks import harness
from benchmarks.accelerator import device, sizes
from benchmarks.accelerator import section as section_lib

# Largest relative error of the output and of the gradients in bfloat16.
TOLERANCE = 2e-2


def compare(section: section_lib.Section, config: sizes.Sizes) -> None:
  """Writes errors, times and memory of every implementation."""
  section.text(
      f'bfloat16, arrays [images, tokens, heads, width]. Times are for one of '
      f'{config.layers} chained layers, without projections. Errors are relative to '
      'float32 with the highest precision of products, for the output and the '
      f'gradients; the limit is {TOLERANCE:g}. `temporaries` is memory of the '
      'compiled forward and backward pass of all layers.'
  )
  columns = (
      'shape', 'form', 'forward', 'forward and backward', 'temporaries',
      'errors', 'result',
  )  # fmt: skip

  def rows() -> Iterator[section_lib.Case]:
    for name, *shape in config.attention:
      text = f'{name}, {" x ".join(map(str, shape))}'
      for form in FORMS:
        yield (
            text,
            lambda f=form, s=tuple(shape): [
                f,
                *_row(section, f, s, config),
            ],
        )

  section.table(columns, rows())


def _reference(query, key, value):
  """Returns attention by its definition."""
  logits = jnp.einsum('bqhd,bkhd->bhqk', query, key) / query.shape[-1] ** 0.5
  return jnp.einsum('bhqk,bkhd->bqhd', jax.nn.softmax(logits), value)


FORMS: dict[str, Callable[..., Any]] = {
    'ours': functools.partial(attention.attend, mask=None),
    'jax.nn, XLA': functools.partial(
        jax.nn.dot_product_attention, implementation='xla'
    ),
    'jax.nn, cuDNN': functools.partial(
        jax.nn.dot_product_attention, implementation='cudnn'
    ),
}


def _row(section, form: str, shape, config: sizes.Sizes) -> list[str]:
  """Returns the cells of a form; only an error of ours is a failure."""
  cells = section.attempt(
      lambda: _cells(section, form, shape, config), optional=form != 'ours'
  )
  return [cells] if isinstance(cells, str) else cells


def _cells(section, form: str, shape, config: sizes.Sizes) -> list[str]:
  """Returns times, memory, errors and the result of a form."""
  attend = FORMS[form]
  keys = jax.random.split(jax.random.key(0), 4)
  inputs = [jax.random.normal(key, shape, jnp.float32) for key in keys]
  small = [x.astype(jnp.bfloat16) for x in inputs]
  with jax.default_matmul_precision('highest'):
    exact = _jit(_with_gradients, _reference)(
        *(x.astype(jnp.float32) for x in small)
    )
  found = _jit(_with_gradients, attend)(*small)
  output, grads = _error(found[:1], exact[:1]), _error(found[1:], exact[1:])

  def chain(query, key, value):
    for _ in range(config.layers):
      query = attend(query, key, value)
    return query

  forward = jax.jit(chain)
  both = _jit(_with_gradients, chain).lower(*small).compile()
  seconds = harness.measure(
      [lambda: forward(*small[:3]), lambda: both(*small)],
      rounds=config.rounds,
      repeats=config.repeats,
  )
  times = [1e3 * statistics.median(x) / config.layers for x in seconds]
  return [
      *(f'{x:.3f} ms' for x in times),
      device.size(both.memory_analysis().temp_size_in_bytes),
      f'{output:.1e}, {grads:.1e}',
      section.verdict(passed=max(output, grads) <= TOLERANCE),
  ]


def _jit(function, *args):
  return jax.jit(functools.partial(function, *args))


def _with_gradients(attend, query, key, value, g):
  """Returns the output and the gradients of all inputs."""
  output, pull = jax.vjp(attend, query, key, value)
  return output, *pull(g)


def _error(found, exact) -> float:
  """Returns the relative error over several arrays."""
  pairs = [
      (a.astype(jnp.float32), b) for a, b in zip(found, exact, strict=True)
  ]
  difference = sum(jnp.sum((a - b) ** 2) for a, b in pairs)
  return float(jnp.sqrt(difference / sum(jnp.sum(b**2) for _, b in pairs)))
