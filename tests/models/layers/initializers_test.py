"""Initial weights have the distribution of their initializer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from abaw_jax.models.multi_task import feedback, heads
from abaw_jax.models.temporal import (
    fft_encoder,
    recurrent,
    transformers,
    window_context,
)
from tests.models import temporal_models

X = jnp.ones((1, 3, 40))
CONTEXT = window_context.WindowContext(jnp.ones((1, 3), bool))


def initial_weights(model, *inputs, **options) -> dict[str, np.ndarray]:
  """Returns the initial parameters of a model, by path."""
  params = model.init(jax.random.key(0), *inputs, **options)['params']
  return {
      jax.tree_util.keystr(path, simple=True, separator='/'): np.asarray(x)
      for path, x in jax.tree_util.tree_leaves_with_path(params)
  }


@pytest.mark.parametrize('initializer', ['default', 'normal'])
def test_transformers(initializer):
  model = transformers.TransformerEncoder(96, 2, 2, 80, initializer=initializer)
  weights = initial_weights(model, X, CONTEXT, {}, train=False)
  for path, x in weights.items():
    if path.endswith('bias'):
      assert not x.any(), path
    elif path.endswith('scale'):
      assert (x == 1).all(), path
    elif path.endswith('qkv/kernel'):
      # Xavier on the stacked shape [3d, d]: U(+-sqrt(6 / 4d)).
      limit = np.sqrt(1.5 / 96)
      assert limit * 0.98 < np.abs(x).max() <= limit, path
      assert x.std() == pytest.approx(limit / np.sqrt(3), rel=0.02), path
    else:
      fan_in, fan_out = x.shape
      std = 0.02
      if initializer == 'default':
        glorot = path.endswith('proj/kernel')
        std = (2 / (fan_in + fan_out) if glorot else 1 / fan_in) ** 0.5
      assert x.std() == pytest.approx(std, rel=0.05), path
      assert abs(x.mean()) < std / 10, path
  # In the published model layers are copies before other kernels are drawn.
  for name, equal in (('attn/qkv', initializer == 'normal'), ('fc1', False)):
    first, second = (weights[f'layers_{i}/{name}/kernel'] for i in range(2))
    assert np.array_equal(first, second) == equal


def test_a_model_passes_its_initializer_to_all_parts():
  model = temporal_models.make(initializer='normal')
  assert (model.initializer, model.encoder.initializer) == ('normal', 'normal')
  assert model.private.keywords['initializer'] == 'normal'


def test_heads_and_embeddings():
  head = heads.TaskHead(12, (60, 50), initializer='normal')
  weights = initial_weights(head, X, train=False)
  for layer in ('fc1', 'fc2', 'out'):
    assert not weights[f'{layer}/bias'].any()
    kernel = weights[f'{layer}/kernel']
    assert kernel.std() == pytest.approx(0.02, rel=0.1), layer
  embedding = feedback.LabelEmbedding('au', 100)
  table = initial_weights(embedding, X[..., :12], None, None)['embedding']
  assert table.std() == pytest.approx(1.0, rel=0.1)


@pytest.mark.parametrize('cell', recurrent.CELLS)
def test_recurrent_weights_are_uniform_as_in_torch(cell):
  model = recurrent.RecurrentEncoder(cell, 50, bidirectional=True)
  weights = initial_weights(
      model, X, CONTEXT, model.initial_carry(1), train=False
  )
  assert len(weights) == 2 * 4
  limit = 1 / np.sqrt(50)
  for leaf in weights.values():
    assert 0.95 * limit < np.abs(leaf).max() <= limit
    assert np.std(leaf) == pytest.approx(limit / np.sqrt(3), rel=0.12)


def test_fft_weights():
  model = fft_encoder.FFTEncoder(64, 1, 2, initializer='normal')
  weights = initial_weights(model, X, CONTEXT, {}, train=False)
  for name in ('affine', 'conv_0', 'attn_0/qkv', 'attn_0/proj'):
    kernel = weights[f'{name}/kernel']
    assert kernel.std() == pytest.approx(0.02, rel=0.05), name
  for name in ('near_keys', 'near_values'):
    table = weights[f'attn_0/{name}']
    assert table.shape == (9, 32)
    assert table.std() == pytest.approx(32**-0.5, rel=0.2)
