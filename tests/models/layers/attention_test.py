"""Attention equals closed forms and PyTorch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from abaw_jax.configs import frame as frame_config
from abaw_jax.configs import mae as mae_config
from abaw_jax.core import errors
from abaw_jax.cpu import dispatch
from abaw_jax.models import zoo
from abaw_jax.models.layers import attention

MASK = jnp.array([[[True] * 5], [[True, True, False, True, False]]])


def test_attention_equals_its_formula():
  rng = np.random.default_rng(0)
  x = jnp.asarray(rng.normal(size=(2, 5, 6)), jnp.float32)
  model = attention.Attention(num_heads=2)
  params = model.init(jax.random.key(0), x, MASK, train=False)['params']
  out = model.apply({'params': params}, x, MASK, train=False)

  p = jax.tree.map(lambda a: np.asarray(a, np.float64), params)
  qkv = (np.asarray(x) @ p['qkv']['kernel'] + p['qkv']['bias']).reshape(
      2, 5, 3, 2, 3
  )
  expected = np.zeros((2, 5, 2, 3))
  for b in range(2):
    for h in range(2):
      q, k, v = (qkv[b, :, i, h] for i in range(3))
      weights = np.exp(q @ k.T / np.sqrt(3)) * np.asarray(MASK[b])
      expected[b, :, h] = weights @ v / weights.sum(axis=1, keepdims=True)
  expected = expected.reshape(2, 5, 6) @ p['proj']['kernel'] + p['proj']['bias']
  np.testing.assert_allclose(out, expected, atol=1e-5)


def test_dropout_keeps_the_expected_output():
  x = jax.random.normal(jax.random.key(0), (1, 6, 8))
  model = attention.Attention(num_heads=2, dropout=0.3)
  params = model.init(jax.random.key(1), x, train=False)
  keys = jax.random.split(jax.random.key(2), 4000)
  samples = jax.vmap(
      lambda key: model.apply(params, x, train=True, rngs={'dropout': key})
  )(keys)
  exact = model.apply(params, x, train=False)
  assert float(jnp.std(samples, axis=0).min()) > 0
  np.testing.assert_allclose(samples.mean(axis=0), exact, atol=0.03)


@pytest.mark.parametrize('mask', [None, MASK])
def test_output_and_gradients_equal_pytorch(mask):
  query, key, value, g = (
      jax.random.normal(jax.random.key(i), (2, 5, 3, 4)) for i in range(4)
  )

  def total(query, key, value):
    return jnp.sum(g * attention.attend(query, key, value, mask))

  grads = jax.grad(total, argnums=(0, 1, 2))(query, key, value)
  inputs = [
      torch.tensor(np.array(x), requires_grad=True) for x in (query, key, value)
  ]
  by_head = [x.transpose(1, 2) for x in inputs]
  allowed = None if mask is None else torch.tensor(np.array(mask))
  out = torch.nn.functional.scaled_dot_product_attention(
      *by_head, attn_mask=None if mask is None else allowed[:, None]
  ).transpose(1, 2)
  np.testing.assert_allclose(
      attention.attend(query, key, value, mask), out.detach(), atol=1e-5
  )
  out.backward(torch.tensor(np.array(g)))
  for found, tensor in zip(grads, inputs, strict=True):
    np.testing.assert_allclose(found, tensor.grad, atol=1e-5)


def test_large_logits_have_a_finite_gradient():
  x = 100.0 * jax.random.normal(jax.random.key(0), (1, 4, 1, 8))
  out, grad = jax.value_and_grad(
      lambda x: jnp.sum(attention.attend(x, x, x, None))
  )(x)
  # Each token attends only to itself, so the output is the input.
  np.testing.assert_allclose(out, x.sum(), rtol=1e-5)
  # The gradient contains products of differences of numbers of order 100.
  np.testing.assert_allclose(grad, np.ones(x.shape), atol=0.05)


def test_bfloat16_keeps_a_float32_softmax():
  query, key, value = (
      jax.random.normal(jax.random.key(i), (2, 64, 2, 16)) for i in range(3)
  )
  exact = attention.attend(query, key, value, None)
  half = attention.attend(
      *(x.astype(jnp.bfloat16) for x in (query, key, value)), None
  )
  assert half.dtype == jnp.bfloat16
  # bfloat16 has 8 bits of mantissa; a bfloat16 sum of 64 terms has larger
  # errors.
  np.testing.assert_allclose(half.astype(jnp.float32), exact, atol=0.03)


@pytest.mark.parametrize('mask', [None, MASK])
def test_the_form_for_tpus_is_equal(monkeypatch, mask):
  # Two rows with 3 x 5 x 5 logits each: every row is a part.
  monkeypatch.setattr(attention, '_TPU_LOGITS', 4 * 3 * 5 * 5)
  monkeypatch.setattr(attention, '_PARTS_AT_ONCE', 1)
  query, key, value, g = (
      jax.random.normal(jax.random.key(i), (2, 5, 3, 4)) for i in range(4)
  )

  def total(form, *heads):
    return jnp.sum(g * form(*heads, mask))

  for argnums in ((), (0, 1, 2)):
    run = jax.grad(total, [n + 1 for n in argnums]) if argnums else total
    found, expected = (
        jax.jit(run, static_argnums=0)(form, query, key, value)
        for form in (
            attention._attend_on_tpu,
            attention._attend_with_few_passes,
        )
    )
    for a, b in zip(
        jax.tree.leaves(found), jax.tree.leaves(expected), strict=True
    ):
      np.testing.assert_allclose(a, b, atol=1e-5)


def test_cudnn_computes_attention_without_a_mask_on_nvidia_gpus_only(
    monkeypatch,
):
  calls, on_xla = [], jax.nn.dot_product_attention

  def attend_with_xla(query, key, value, *, implementation):
    calls.append(implementation)
    return on_xla(query, key, value, implementation='xla')

  monkeypatch.setattr(jax.nn, 'dot_product_attention', attend_with_xla)
  heads = [jax.random.normal(jax.random.key(i), (2, 5, 3, 8)) for i in range(3)]
  expected = attention.attend(*heads, None)
  cpu = attention.attend(*heads, None, cudnn=True)
  assert not calls
  np.testing.assert_array_equal(cpu, expected)

  monkeypatch.setattr(dispatch, 'platform', lambda: 'gpu')
  attention.attend(*heads, MASK, cudnn=True)
  attention.attend(*heads, None)
  assert not calls
  found = attention.attend(*heads, None, cudnn=True)
  assert calls == ['cudnn']
  np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize('name', ['mae', 'frame'])
def test_the_config_turns_on_cudnn_in_every_block(name, monkeypatch):
  flags = []

  def attend(query, key, value, mask, *, cudnn):
    flags.append(cudnn)
    return query

  monkeypatch.setattr(attention, 'attend', attend)
  config = (mae_config if name == 'mae' else frame_config).get_config()
  section = config.model.to_dict() | {
      'backbone': 'vit_nano', 'cudnn_attention': True
  }  # fmt: skip
  model = zoo.make_model(**section)
  images = jnp.zeros((1, 112, 112, 3))
  noise = (jnp.zeros((1, 196)),) if name == 'mae' else ()
  jax.eval_shape(
      lambda: model.init(jax.random.key(0), images, *noise, train=False)
  )
  assert flags
  assert all(flags)


def test_cudnn_refuses_float32():
  section = frame_config.get_config().model.to_dict()
  section |= {'cudnn_attention': True, 'dtype': 'float32'}
  with pytest.raises(errors.InputError, match=r'needs config.model.dtype=bf'):
    zoo.make_model(**section)
