"""Layers against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np

from abaw_jax.models import layers


def test_drop_path_drops_samples_whole_and_keeps_the_mean():
  x = jnp.ones((4000, 3, 2))
  out = np.asarray(
      layers.DropPath().apply(
          {}, x, 0.25, train=True, rngs={'dropout': jax.random.key(0)}
      )
  )
  per_sample = out.reshape(4000, -1)
  assert np.all((per_sample == per_sample[:, :1]).all(axis=1))
  np.testing.assert_allclose(np.unique(out), [0.0, 4 / 3], rtol=1e-6)
  # The standard error of the mean is 0.009.
  np.testing.assert_allclose(out.mean(), 1.0, atol=0.04)


def test_drop_path_is_the_identity_outside_training():
  x = jnp.arange(6.0).reshape(3, 2)
  out = layers.DropPath().apply({}, x, 0.9, train=False)
  np.testing.assert_array_equal(out, x)


def test_attention_is_softmax_of_scaled_products():
  rng = np.random.default_rng(0)
  x = jnp.asarray(rng.normal(size=(2, 5, 6)), jnp.float32)
  mask = jnp.array([[True] * 5, [True, True, False, True, False]])
  model = layers.Attention(num_heads=2)
  params = model.init(jax.random.key(0), x, mask, train=False)['params']
  out = model.apply({'params': params}, x, mask, train=False)

  p = jax.tree.map(lambda a: np.asarray(a, np.float64), params)
  qkv = (np.asarray(x) @ p['qkv']['kernel'] + p['qkv']['bias']).reshape(
      2, 5, 3, 2, 3
  )
  expected = np.zeros((2, 5, 2, 3))
  for b in range(2):
    for h in range(2):
      q, k, v = (qkv[b, :, i, h] for i in range(3))
      weights = np.exp(q @ k.T / np.sqrt(3)) * np.asarray(mask[b])
      expected[b, :, h] = weights @ v / weights.sum(axis=1, keepdims=True)
  expected = expected.reshape(2, 5, 6) @ p['proj']['kernel'] + p['proj']['bias']
  np.testing.assert_allclose(out, expected, atol=1e-5)


def test_attention_dropout_keeps_the_expectation():
  x = jax.random.normal(jax.random.key(0), (1, 6, 8))
  model = layers.Attention(num_heads=2, dropout=0.3)
  params = model.init(jax.random.key(1), x, train=False)
  keys = jax.random.split(jax.random.key(2), 4000)
  drawn = jax.vmap(
      lambda key: model.apply(params, x, train=True, rngs={'dropout': key})
  )(keys)
  exact = model.apply(params, x, train=False)
  assert float(jnp.std(drawn, axis=0).min()) > 0
  np.testing.assert_allclose(drawn.mean(axis=0), exact, atol=0.03)
