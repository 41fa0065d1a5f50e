"""LSTM, bidirectional LSTM and GRU equal torch.nn over several windows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from abaw_jax.models.temporal import recurrent, recurrent_vjp, window_context

DIM, WIDTH, ROWS, LENGTH = 6, 5, 3, 7
NETWORKS = {
    'lstm': {'cell': 'lstm'},
    'bilstm': {
        'cell': 'lstm',
        'bidirectional': True,
        'carry_backward': True,
        'mask_padding': False,
    },
    'gru': {'cell': 'gru', 'depth': 2},
}


def reference(name) -> torch.nn.Module:
  """Returns the PyTorch network with random weights."""
  torch.manual_seed(0)
  options = NETWORKS[name]
  make = {'lstm': torch.nn.LSTM, 'gru': torch.nn.GRU}[options['cell']]
  network = make(
      WIDTH,
      DIM,
      options.get('depth', 1),
      batch_first=True,
      bidirectional=options.get('bidirectional', False),
  )
  for parameter in network.parameters():
    torch.nn.init.normal_(parameter, std=0.5)
  return network


def to_ours(network, *, grad: bool = False) -> dict:
  """Returns PyTorch's parameters (or gradients) in our format."""
  t = {
      k: jnp.array((p.grad if grad else p).detach().numpy())
      for k, p in network.named_parameters()
  }
  params = {}
  for i in range(network.num_layers):
    for ending in ('', '_reverse')[: 1 + network.bidirectional]:
      params[f'layers_{i}{ending and "_backward"}'] = {
          'input': {
              'kernel': t[f'weight_ih_l{i}{ending}'].T,
              'bias': t[f'bias_ih_l{i}{ending}'],
          },
          'kernel': t[f'weight_hh_l{i}{ending}'].T,
          'bias': t[f'bias_hh_l{i}{ending}'],
      }
  return params


def features(seed=0, length=LENGTH) -> np.ndarray:
  rng = np.random.default_rng(seed)
  return rng.normal(size=(ROWS, length, WIDTH)).astype(np.float32)


def apply(model, params, x, carry=None, mask=None, **options):
  """Returns (hidden states, carry) of a window."""
  mask = jnp.ones(x.shape[:2], bool) if mask is None else jnp.asarray(mask)
  context = window_context.WindowContext(mask, **options)
  carry = model.initial_carry(x.shape[0]) if carry is None else carry
  return model.apply(
      {'params': params}, jnp.asarray(x), context, carry, train=False
  )


@pytest.mark.parametrize('name', NETWORKS)
def test_two_windows_equal_torch_forward_and_gradients(name):
  network = reference(name)
  model = recurrent.RecurrentEncoder(dim=DIM, **NETWORKS[name])
  first, second = features(0), features(1)
  weight = features(2, LENGTH)[..., :1]

  expected, state = network(torch.tensor(first))
  # No gradient flows through the carry, as between two training steps.
  state = jax.tree.map(lambda x: x.detach(), state)
  after, _ = network(torch.tensor(second), state)
  ((expected + after) ** 2 * torch.tensor(weight)).sum().backward()

  def loss(params):
    one, carry = apply(model, params, first)
    two, _ = apply(model, params, second, jax.lax.stop_gradient(carry))
    return jnp.sum((one + two) ** 2 * weight), (one, two)

  grads, (one, two) = jax.jit(jax.grad(loss, has_aux=True))(to_ours(network))
  np.testing.assert_allclose(one, expected.detach(), atol=1e-5)
  np.testing.assert_allclose(two, after.detach(), atol=1e-5)
  want = to_ours(network, grad=True)
  jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, atol=5e-5), grads, want
  )


@pytest.mark.parametrize('name', ['lstm', 'gru'])
def test_two_windows_equal_one_long_window(name):
  params = to_ours(reference(name))
  model = recurrent.RecurrentEncoder(dim=DIM, **NETWORKS[name])
  x = features(0, 12)
  long, last = apply(model, params, x)
  first, carry = apply(model, params, x[:, :5])
  second, carry = apply(model, params, x[:, 5:], carry)
  parts = np.concatenate([first, second], axis=1)
  np.testing.assert_allclose(parts, long, atol=1e-6)
  jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), carry, last
  )


@pytest.mark.parametrize('name', NETWORKS)
def test_the_carry_is_the_state_at_the_last_real_frame(name):
  options = NETWORKS[name] | {'mask_padding': True, 'carry_backward': False}
  params = to_ours(reference(name))
  model = recurrent.RecurrentEncoder(dim=DIM, **options)
  x, lengths = features(), (7, 4, 1)
  mask = np.arange(LENGTH)[None] < np.array(lengths)[:, None]
  changed = np.where(mask[..., None], x, 9.0).astype(np.float32)
  hidden, carry = apply(model, params, changed, mask=mask)
  assert carry.keys() == model.initial_carry(ROWS).keys()
  for row, length in enumerate(lengths):
    alone, state = apply(model, params, x[row : row + 1, :length])
    np.testing.assert_allclose(hidden[row, :length], alone[0], atol=1e-6)
    jax.tree.map(
        lambda a, b, row=row: np.testing.assert_allclose(
            a[row], b[0], atol=1e-6
        ),
        carry,
        state,
    )


def test_a_backward_direction_starts_at_zero_or_as_published():
  params = to_ours(reference('bilstm'))
  first, second = features(0), features(1)
  published = recurrent.RecurrentEncoder(dim=DIM, **NETWORKS['bilstm'])
  corrected = published.clone(carry_backward=False, mask_padding=True)
  assert set(published.initial_carry(1)) == {'layers_0', 'layers_0_backward'}
  assert set(corrected.initial_carry(1)) == {'layers_0'}
  alone, _ = apply(corrected, params, second)
  for model, same in ((corrected, True), (published, False)):
    _, carry = apply(model, params, first)
    hidden, _ = apply(model, params, second, carry)
    difference = np.abs(hidden - alone)[..., DIM:].max()
    assert (difference < 1e-6) == same
    # Both carry the state of the forward direction.
    assert np.abs(hidden - alone)[..., :DIM].max() > 1e-2


def test_the_published_backward_direction_reads_the_padding_of_the_window():
  params = to_ours(reference('bilstm'))
  model = recurrent.RecurrentEncoder(dim=DIM, **NETWORKS['bilstm'])
  x = features()
  mask = np.arange(LENGTH)[None] < np.array([5, 3, 0])[:, None]
  hidden, _ = apply(
      model, params, x, mask=mask, window_length=jnp.full(ROWS, 5)
  )
  expected, _ = reference('bilstm')(torch.tensor(x[:, :5]))
  np.testing.assert_allclose(hidden[:, :5], expected.detach(), atol=1e-5)


@pytest.mark.parametrize('reverse', [False, True])
@pytest.mark.parametrize('name', recurrent.CELLS)
def test_the_custom_vjp_equals_autodiff(name, reverse):
  cell = recurrent.CELLS[name]
  width = cell.gates * DIM
  keys = jax.random.split(jax.random.key(0), 5)
  inputs, kernel, bias = (
      jax.random.normal(key, shape)
      for key, shape in zip(
          keys, [(ROWS, LENGTH, width), (DIM, width), (width,)], strict=False
      )
  )
  state = tuple(
      jax.random.normal(key, (ROWS, DIM)) for key in keys[3 : 3 + cell.states]
  )
  mask = jnp.arange(LENGTH)[None] < jnp.array([7, 4, 0])[:, None]

  def plain(update, reverse, inputs, mask, state, kernel, bias):
    hidden = [None] * LENGTH
    for t in range(LENGTH)[:: -1 if reverse else 1]:
      new = update(inputs[:, t], state[0] @ kernel + bias[None], state)
      state = tuple(
          jnp.where(mask[:, t, None], a, b)
          for a, b in zip(new, state, strict=True)
      )
      hidden[t] = state[0]
    return jnp.stack(hidden, axis=1), state

  def grads(function):
    def loss(inputs, state, kernel, bias):
      hidden, last = function(
          cell.update, reverse, inputs, mask, state, kernel, bias
      )
      return jnp.sum(hidden**2) + sum(jnp.sum(x**3) for x in last)

    return jax.jit(jax.grad(loss, (0, 1, 2, 3)))(inputs, state, kernel, bias)

  jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
      grads(recurrent_vjp.scan),
      grads(plain),
  )


def test_dropout_follows_every_layer():
  model = recurrent.RecurrentEncoder('gru', DIM, 2, dropout=0.3)
  params = to_ours(reference('gru'))
  x = jnp.asarray(features(0, 200))
  hidden, _ = model.apply(
      {'params': params},
      x,
      window_context.WindowContext(jnp.ones(x.shape[:2], bool)),
      model.initial_carry(ROWS),
      train=True,
      rngs={'dropout': jax.random.key(0)},
  )
  dropped = np.asarray(hidden) == 0
  assert dropped.mean() == pytest.approx(0.3, abs=0.03)
  # The first layer has dropout too, so kept values are not the scaled output.
  without, _ = apply(model, params, x)
  kept = np.asarray(hidden)[~dropped] * 0.7
  assert np.abs(kept - np.asarray(without)[~dropped]).max() > 0.05
