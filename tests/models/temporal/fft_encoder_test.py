"""The FFT encoder equals its formula, element by element."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from abaw_jax.models.temporal import fft_encoder, window_context

DIM, HEADS, DEPTH, LENGTH = 8, 2, 2, 12
WIDTH = DIM // HEADS
MASK = np.arange(LENGTH)[None] < np.array([12, 7])[:, None]
CONTEXT = window_context.WindowContext(jnp.asarray(MASK))


def features() -> np.ndarray:
  return np.random.default_rng(0).normal(size=(2, LENGTH, 5))


@pytest.fixture(name='model', scope='module')
def _model():
  """Returns (encoder, random weights)."""
  model = fft_encoder.FFTEncoder(DIM, DEPTH, HEADS)
  x = jnp.asarray(features(), jnp.float32)
  weights = model.init(jax.random.key(0), x, CONTEXT, {}, train=False)
  leaves, tree = jax.tree.flatten(weights)
  rng = np.random.default_rng(1)
  leaves = [rng.normal(size=x.shape).astype(np.float32) * 0.5 for x in leaves]
  return model, jax.tree.unflatten(tree, leaves)


def layer_norm(x, p):
  x = x - x.mean(-1, keepdims=True)
  x = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-4)
  return x * p['scale'] + p['bias']


def dense(x, p):
  return x @ p['kernel'] + p['bias']


def attention(x, mask, p):
  """Returns the attention of one window [t, d], pair by pair."""
  query, key, value = np.split(dense(x, p['qkv']), 3, axis=-1)
  out = np.zeros_like(x)
  for head in range(HEADS):
    part = slice(head * WIDTH, (head + 1) * WIDTH)
    for i in range(LENGTH):
      scores, values = [], []
      for j in range(LENGTH):
        near = abs(j - i) <= 4
        key_j = key[j, part] + (p['near_keys'][j - i + 4] if near else 0)
        values.append(
            value[j, part] + (p['near_values'][j - i + 4] if near else 0)
        )
        score = query[i, part] @ key_j / np.sqrt(WIDTH)
        scores.append(score if mask[i] and mask[j] else -1e4)
      probs = np.exp(np.array(scores) - max(scores))
      out[i, part] = probs / probs.sum() @ np.array(values)
  return dense(out, p['proj'])


def formula(x, mask, p):
  """Returns the hidden states of one window [t, f] in float64."""
  x, m = dense(x, p['affine']), mask[:, None]
  for i in range(DEPTH):
    x = x * m
    y = attention(x, mask, p[f'attn_{i}'])
    x = layer_norm(x + y, p[f'norm1_{i}'])
    padded = np.pad(x * m, ((2, 2), (0, 0)))
    kernel = p[f'conv_{i}']['kernel']
    y = sum(padded[k : k + LENGTH] @ kernel[k] for k in range(5))
    y = np.maximum(y + p[f'conv_{i}']['bias'], 0) * m
    x = layer_norm(x + y, p[f'norm2_{i}'])
  return x * m


def apply(model, weights, x, mask=MASK):
  return np.asarray(
      model.apply(
          weights,
          jnp.asarray(x, jnp.float32),
          window_context.WindowContext(jnp.asarray(mask)),
          {},
          train=False,
      )[0]
  )


def test_equals_its_formula(model):
  encoder, weights = model
  params = jax.tree.map(lambda x: np.asarray(x, np.float64), weights['params'])
  hidden = apply(encoder, weights, features())
  for row in range(2):
    expected = formula(features()[row], MASK[row], params)
    np.testing.assert_allclose(hidden[row], expected, atol=3e-5)


def test_padding_has_no_effect_and_gives_zero(model):
  encoder, weights = model
  changed = np.where(MASK[..., None], features(), 9.0)
  before = apply(encoder, weights, features())
  np.testing.assert_array_equal(before, apply(encoder, weights, changed))
  np.testing.assert_array_equal(before[~MASK], 0.0)
  short = apply(encoder, weights, features()[1:, :7], MASK[1:, :7])
  np.testing.assert_allclose(before[1:, :7], short, atol=1e-5)


def test_gradients_are_finite_under_the_mask(model):
  encoder, weights = model

  def loss(weights, x):
    hidden, _ = encoder.apply(weights, x, CONTEXT, {}, train=False)
    return jnp.sum(hidden**2)

  grads, d_x = jax.jit(jax.grad(loss, (0, 1)))(
      weights, jnp.asarray(features(), jnp.float32)
  )
  assert all(np.isfinite(g).all() for g in jax.tree.leaves(grads))
  np.testing.assert_array_equal(np.asarray(d_x)[~MASK], 0.0)
  assert all(np.abs(g).max() > 0 for g in jax.tree.leaves(grads))
