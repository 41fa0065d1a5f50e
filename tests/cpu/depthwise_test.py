"""Convolutions of small groups, and their gradients, equal those of XLA."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from abaw_jax.cpu import depthwise
from tests.cpu import platforms

GROUPS = {
    'depthwise': (1, 1), 'two to two': (2, 2), 'one to two': (1, 2),
    'two to one': (2, 1),
}  # fmt: skip


@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize(
    ('size', 'stride', 'pads', 'groups'),
    [
        (3, 1, ((1, 1), (1, 1)), 'depthwise'),
        (3, 2, ((0, 1), (1, 1)), 'depthwise'),
        (5, 2, ((1, 2), (2, 2)), 'depthwise'),
        (3, 3, ((0, 0), (2, 0)), 'depthwise'),
        (1, 2, ((0, 0), (0, 0)), 'depthwise'),
        (3, 2, ((1, 1), (1, 1)), 'two to two'),
        (3, 1, ((1, 1), (0, 1)), 'one to two'),
        (3, 1, ((1, 1), (1, 1)), 'two to one'),
    ],
)
def test_output_and_gradients(size, stride, pads, groups, dtype):
  rng = np.random.default_rng(0)
  # Channels of a group, and of its output; there are three groups.
  inner, outer = GROUPS[groups]
  x = jnp.asarray(rng.standard_normal((2, 12, 9, 3 * inner)), dtype)
  kernel = rng.standard_normal((size, size, inner, 3 * outer))
  kernel = jnp.asarray(kernel, dtype)

  def expected(x, kernel):
    return jax.lax.conv_general_dilated(
        x.astype(jnp.float32),
        kernel.astype(jnp.float32),
        (stride, stride),
        pads,
        dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
        feature_group_count=3,
    )

  def ours(x, kernel):
    return depthwise.convolve(x, kernel, stride, pads)

  want, back = jax.vjp(expected, x, kernel)
  found, our_back = jax.vjp(jax.jit(ours), x, kernel)
  assert found.dtype == dtype
  g = jnp.asarray(rng.standard_normal(want.shape), dtype)
  # Sums of up to 100 terms of order 1.
  tolerance = {jnp.float32: 1e-5, jnp.bfloat16: 0.1}[dtype]
  np.testing.assert_allclose(
      found.astype(jnp.float32), want, atol=tolerance, rtol=tolerance
  )
  for a, b in zip(our_back(g), back(g.astype(jnp.float32)), strict=True):
    assert a.dtype == dtype
    np.testing.assert_allclose(
        a.astype(jnp.float32),
        b.astype(jnp.float32),
        atol=tolerance,
        rtol=tolerance,
    )


@pytest.mark.parametrize(('platform', 'count'), [('cpu', 0), ('tpu', 3)])
def test_only_cpus_use_shifted_products(platform, count):
  def loss(x, kernel):
    out = depthwise.convolve(x, kernel, 2, ((0, 1), (0, 1)))
    return jnp.sum(jnp.square(out))

  step = jax.value_and_grad(loss, (0, 1))
  text = platforms.lowered(
      step, platform, jnp.ones((2, 8, 8, 4)), jnp.ones((3, 3, 1, 4))
  )
  # The forward pass, and the gradients of input and kernel.
  assert text.count('stablehlo.convolution') == count
