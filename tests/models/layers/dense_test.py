"""GELU equals its formula; gradients of dense layers have the chosen dtype."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from abaw_jax.models import zoo
from abaw_jax.models.layers import dense, variables


def test_gelu_and_its_gradient_are_exact():
  x = jnp.linspace(-6.0, 6.0, 101)
  cdf = np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in x.tolist()])
  density = np.exp(-(np.asarray(x, np.float64) ** 2) / 2) / math.sqrt(
      2 * math.pi
  )
  np.testing.assert_allclose(dense.gelu(x), x * cdf, atol=1e-6)
  slopes = jax.vmap(jax.grad(dense.gelu))(x)
  np.testing.assert_allclose(slopes, cdf + x * density, atol=1e-6)


@pytest.mark.parametrize('enabled', [False, True])
def test_kernel_gradients_are_float32_on_request(enabled):
  # 1 + 2 + ... + 99 = 4950 needs more than the 8 bits of bfloat16.
  x = jnp.arange(1.0, 100.0)[:, None]
  layer = dense.dense(1, None, jnp.bfloat16)
  params = layer.init(jax.random.key(0), x)

  def total(params):
    with dense.float32_gradients(enabled):
      return jnp.sum(layer.apply(params, x), dtype=jnp.float32)

  kernel = jax.grad(total)(params)['params']['kernel']
  assert kernel.dtype == jnp.float32
  assert (float(kernel[0, 0]) == 4950.0) is enabled
  assert float(kernel[0, 0]) == pytest.approx(4950.0, rel=2**-8)


@pytest.mark.parametrize('scan', [False, True])
def test_float32_gradients_of_a_vit_equal_those_of_the_float32_network(scan):
  """In float32 both choices give the same numbers, in bfloat16 they are close."""
  images = jax.random.normal(jax.random.key(0), (4, 16, 16, 3))
  grads = {}
  for dtype in ('float32', 'bfloat16'):
    model = zoo.make_vit(
        backbone='vit_nano',
        image_size=16,
        patch_size=8,
        positions='sincos',
        drop_path=0.0,
        remat='none',
        scan=scan,
        dtype=dtype,
    )
    params = jax.jit(variables.init, static_argnums=0)(
        model, jax.random.key(1), images
    )

    def loss(params, enabled, model=model):
      with dense.float32_gradients(enabled):
        out, _ = variables.apply(model, params, images, train=True)
      return jnp.sum(jnp.square(out.astype(jnp.float32)))

    for enabled in (False, True):
      grads[dtype, enabled] = jax.jit(jax.grad(loss), static_argnums=1)(
          params, enabled
      )
  exact = grads['float32', False]
  for dtype, limit in (('float32', 1e-6), ('bfloat16', 0.05)):
    error, size = 0.0, 0.0
    for a, b in zip(
        jax.tree.leaves(grads[dtype, True]),
        jax.tree.leaves(exact),
        strict=True,
    ):
      error += float(jnp.sum(jnp.square(a - b)))
      size += float(jnp.sum(jnp.square(b)))
    assert math.sqrt(error / size) < limit, dtype
