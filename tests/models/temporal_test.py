"""The temporal encoder against torch.nn, and its promises about padding."""

import jax
import jax.numpy as jnp
import numpy as np
import torch

from abaw_jax.models import frameworks, heads, positions, temporal

DIM, HEADS, MLP = 16, 4, 24


def reference_layer() -> torch.nn.TransformerEncoderLayer:
  """Returns PyTorch's post-norm layer with random weights, norms included."""
  torch.manual_seed(0)
  layer = torch.nn.TransformerEncoderLayer(
      DIM, HEADS, MLP, dropout=0.0, batch_first=True
  )
  for parameter in layer.parameters():
    torch.nn.init.normal_(parameter, std=0.4)
  return layer


def to_ours(tensors) -> dict:
  """Returns the parameters (or gradients) of our layer from PyTorch's."""
  t = {k: v.detach().numpy() for k, v in tensors.items()}

  def dense(name):
    return {'kernel': t[f'{name}.weight'].T, 'bias': t[f'{name}.bias']}

  return {
      'attn': {
          'qkv': {
              'kernel': t['self_attn.in_proj_weight'].T,
              'bias': t['self_attn.in_proj_bias'],
          },
          'proj': dense('self_attn.out_proj'),
      },
      'norm1': {'scale': t['norm1.weight'], 'bias': t['norm1.bias']},
      'norm2': {'scale': t['norm2.weight'], 'bias': t['norm2.bias']},
      'fc1': dense('linear1'),
      'fc2': dense('linear2'),
  }


def test_layer_equals_torch_with_padding_forward_and_gradients():
  layer = reference_layer()
  rng = np.random.default_rng(0)
  x = rng.normal(size=(3, 7, DIM)).astype(np.float32)
  mask = np.arange(7)[None] < np.array([7, 4, 1])[:, None]
  weight = rng.normal(size=x.shape).astype(np.float32) * mask[..., None]
  expected = layer(torch.tensor(x), src_key_padding_mask=torch.tensor(~mask))
  (expected * torch.tensor(weight)).sum().backward()

  ours = temporal.TransformerLayer(HEADS, MLP)

  def loss(params):
    out = ours.apply(
        {'params': params}, jnp.asarray(x), jnp.asarray(mask), train=False
    )
    return jnp.sum(out * weight), out

  grads, out = jax.grad(loss, has_aux=True)(to_ours(layer.state_dict()))
  # float32 sums in another order.
  np.testing.assert_allclose(
      np.asarray(out)[mask], expected.detach().numpy()[mask], atol=1e-5
  )
  want = to_ours({k: p.grad for k, p in layer.named_parameters()})
  jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), grads, want
  )


def model_and_inputs():
  """Returns a small Share Encoder, its parameters, features and mask."""
  model = frameworks.ShareEncoder(
      temporal.TransformerEncoder(DIM, 2, HEADS, MLP, dropout=0.4),
      hidden_dims=(8,),
      dropout=0.4,
  )
  features = jax.random.normal(jax.random.key(0), (2, 6, 5))
  mask = jnp.arange(6)[None] < jnp.array([6, 4])[:, None]
  params = model.init(jax.random.key(1), features, mask, train=False)['params']
  return model, params, features, mask


def test_what_lies_under_the_mask_moves_nothing():
  model, params, features, mask = model_and_inputs()
  changed = jnp.where(mask[..., None], features, 99.0)
  for train in (False, True):
    before, after = (
        model.apply(
            {'params': params},
            x,
            mask,
            train=train,
            rngs={'dropout': jax.random.key(2)},
        )
        for x in (features, changed)
    )
    for task in heads.TASK_DIMS:
      np.testing.assert_array_equal(
          np.asarray(before[task])[mask], np.asarray(after[task])[mask]
      )


def test_padding_a_window_does_not_change_its_frames():
  model, params, features, mask = model_and_inputs()
  padded = model.apply({'params': params}, features, mask, train=False)
  alone = model.apply(
      {'params': params}, features[1:, :4], mask[1:, :4], train=False
  )
  for task in heads.TASK_DIMS:
    # Sums of another length: the last bits may differ.
    np.testing.assert_allclose(padded[task][1:, :4], alone[task], atol=1e-6)


def test_dropout_is_drawn_in_training_only():
  model, params, features, mask = model_and_inputs()

  def run(key, train):
    out = model.apply(
        {'params': params},
        features,
        mask,
        train=train,
        rngs={'dropout': jax.random.key(key)},
    )
    return np.asarray(out['valence'])

  np.testing.assert_array_equal(run(0, False), run(1, False))
  np.testing.assert_array_equal(run(0, True), run(0, True))
  assert not np.array_equal(run(0, True), run(1, True))
  assert not np.array_equal(run(0, True), run(0, False))


def test_time_codes_interleave_sine_and_cosine():
  codes = positions.sincos_time(3, 4)
  angles = np.arange(3)[:, None] / 10000.0 ** np.array([0, 0.5])
  np.testing.assert_allclose(codes[:, 0::2], np.sin(angles), atol=1e-6)
  np.testing.assert_allclose(codes[:, 1::2], np.cos(angles), atol=1e-6)


def test_heads_name_every_output_and_what_they_read():
  x = jnp.ones((2, 3, 5))
  model = heads.MultiTaskHeads((7, 4), dropout=0.5)
  params = model.init(jax.random.key(0), x, train=False)['params']
  out = model.apply({'params': params}, x, train=False)
  shapes = {k: out[k].shape for k in heads.TASK_DIMS}
  assert shapes == {
      'valence': (2, 3),
      'arousal': (2, 3),
      'expression': (2, 3, 8),
      'au': (2, 3, 12),
  }
  assert {k: v.shape for k, v in out['hidden'].items()} == dict.fromkeys(
      heads.TASK_DIMS, (2, 3, 4)
  )
  # The last layer is linear on the hidden state.
  last = jax.tree.map(np.asarray, params['au']['out'])
  expected = np.asarray(out['hidden']['au']) @ last['kernel'] + last['bias']
  np.testing.assert_allclose(out['au'], expected, atol=1e-6)
