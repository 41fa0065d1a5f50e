"""The TCN equals `torch.nn.Conv1d`, never reads padding, and reads videos in parts."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch import nn

from abaw_jax.models.temporal import tcn, window_context

DIM, DEPTH, LENGTH, FEATURES = 6, 3, 19, 5
SIZES = np.array([LENGTH, 8, 0])
MASK = np.arange(LENGTH)[None] < SIZES[:, None]
X = np.random.default_rng(0).normal(size=(3, LENGTH, FEATURES))
X = X.astype(np.float32)


@pytest.fixture(name='made', scope='module', params=[False, True])
def _made(request):
  """Returns (encoder, random weights), centred and causal."""
  causal = request.param
  model = tcn.TCNEncoder(DIM, DEPTH, 2 if causal else 5, 0.3, causal)
  context = window_context.WindowContext(jnp.asarray(MASK))
  params = jax.eval_shape(
      lambda: model.init(
          jax.random.key(0), jnp.asarray(X), context, {}, train=False
      )
  )
  rng = np.random.default_rng(1)
  draw = lambda x: jnp.asarray(0.4 * rng.normal(size=x.shape), jnp.float32)  # noqa: E731
  return model, jax.tree.map(draw, params)


def apply(made, x, mask=MASK, carry=None):
  model, weights = made
  context = window_context.WindowContext(jnp.asarray(mask))
  return model.apply(weights, jnp.asarray(x), context, carry or {}, train=False)


def by_torch(made, x):
  """Returns the hidden states of one video [t, f], with the blocks of the paper."""
  model, weights = made
  params = jax.tree.map(
      lambda w: torch.tensor(np.asarray(w)), weights['params']
  )
  x = torch.tensor(x) @ params['affine']['kernel'] + params['affine']['bias']
  x = x.T[None]
  for i in range(DEPTH):
    reach = (model.kernel_size - 1) * 2**i
    y = x
    for name in (f'conv1_{i}', f'conv2_{i}'):
      conv = nn.Conv1d(
          DIM,
          DIM,
          model.kernel_size,
          dilation=2**i,
          padding=reach if model.causal else reach // 2,
      )
      kernel = params[name]['kernel'].reshape(model.kernel_size, DIM, DIM)
      conv.weight.data = kernel.permute(2, 1, 0)
      conv.bias.data = params[name]['bias']
      y = torch.relu(conv(y)[..., : x.shape[-1]])  # the paper's Chomp1d
    x = torch.relu(x + y)
  return x[0].T.detach().numpy()


def test_equals_conv1d_of_pytorch(made):
  hidden, _ = apply(made, X)
  for row, size in enumerate(SIZES[:2]):
    want = by_torch(made, X[row, :size])
    np.testing.assert_allclose(hidden[row, :size], want, rtol=1e-4, atol=1e-4)


def test_padding_has_no_effect_and_gives_zero(made):
  before, _ = apply(made, X)
  after, _ = apply(made, np.where(MASK[..., None], X, np.nan))
  np.testing.assert_array_equal(before, after)
  np.testing.assert_array_equal(before[~MASK], 0.0)


def test_a_causal_video_in_parts_equals_the_full_video(made):
  model, _ = made
  carry = model.initial_carry(3)
  assert bool(carry) == model.causal
  if not model.causal:
    return
  full, _ = apply(made, X)
  parts = []
  for begin, end in itertools.pairwise((0, 1, 2, 9, LENGTH)):
    hidden, carry = apply(made, X[:, begin:end], MASK[:, begin:end], carry)
    parts.append(hidden)
  np.testing.assert_allclose(np.concatenate(parts, 1), full, atol=1e-5)
