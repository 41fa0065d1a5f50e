"""The transformer encoder equals torch.nn, and padding does not change it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from abaw_jax.core import errors
from abaw_jax.models.layers import positions
from abaw_jax.models.temporal import transformers, window_context
from tests.models import torch_temporal

DIM, HEADS, MLP = 16, 4, 24
MASK = np.arange(7)[None] < np.array([7, 4, 1])[:, None]
CONTEXT = window_context.WindowContext(jnp.asarray(MASK))


def features(seed=0, shape=(3, 7, DIM)) -> np.ndarray:
  rng = np.random.default_rng(seed)
  return rng.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize('norm', ['post', 'pre'])
def test_layer_equals_torch_with_padding_forward_and_gradients(norm):
  layer = torch.nn.TransformerEncoderLayer(
      DIM, HEADS, MLP, dropout=0.0, batch_first=True, norm_first=norm == 'pre'
  )
  torch_temporal.randomise(layer, 0.4)
  x = features()
  weight = features(1) * MASK[..., None]
  expected = layer(torch.tensor(x), src_key_padding_mask=torch.tensor(~MASK))
  (expected * torch.tensor(weight)).sum().backward()
  ours = transformers.TransformerLayer(HEADS, MLP, norm=norm)

  def loss(params):
    out = ours.apply(
        {'params': params},
        jnp.asarray(x),
        jnp.asarray(MASK)[:, None],
        train=False,
    )
    return jnp.sum(out * weight), out

  grads, out = jax.grad(loss, has_aux=True)(torch_temporal.to_ours(layer))
  # float32 sums in another order.
  np.testing.assert_allclose(
      np.asarray(out)[MASK], expected.detach().numpy()[MASK], atol=1e-5
  )
  want = torch_temporal.to_ours(layer, grad=True)
  jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), grads, want
  )


def encoder(**options) -> transformers.TransformerEncoder:
  sizes = {'dim': DIM, 'depth': 2, 'num_heads': HEADS, 'mlp_dim': MLP}
  return transformers.TransformerEncoder(**sizes | options)


def apply(model, x, mask=None, frame_id=None):
  """Returns the hidden states of an encoder with random weights."""
  mask = jnp.ones(x.shape[:2], bool) if mask is None else jnp.asarray(mask)
  if frame_id is None:
    frame_id = jnp.zeros(x.shape[:2], jnp.int32)
  inputs = jnp.asarray(x), window_context.WindowContext(mask, frame_id), {}
  weights = model.init(jax.random.key(0), *inputs, train=False)
  hidden, carry = model.apply(weights, *inputs, train=False)
  assert carry == model.initial_carry(x.shape[0]) == {}
  return np.asarray(hidden)


@pytest.mark.parametrize('faithful', [False, True])
def test_encoder_equals_the_twin(faithful):
  twin = torch_temporal.Encoder(
      DIM, 3, HEADS, MLP, feature_dim=5, zero_first=faithful
  )
  torch_temporal.randomise(twin, 0.3)
  x = features(shape=(3, 7, 5))
  # The faithful window has 5 frames; the rest is padding of our batch.
  length = 5 if faithful else 7
  padding = None if faithful else torch.tensor(~MASK)
  with torch.no_grad():
    expected = twin(torch.tensor(x[:, :length]), padding).numpy()
  model = encoder(
      depth=3,
      first_position='zero' if faithful else 'sine',
      mask_padding=not faithful,
  )
  hidden, _ = model.apply(
      {'params': torch_temporal.to_ours(twin)},
      jnp.asarray(x),
      window_context.WindowContext(
          jnp.asarray(MASK), window_length=jnp.full(3, length)
      ),
      {},
      train=False,
  )
  real = np.ones((3, length), bool) if faithful else MASK
  np.testing.assert_allclose(
      np.asarray(hidden)[:, :length][real], expected[real], atol=2e-5
  )


@pytest.mark.parametrize('mask_padding', [False, True])
def test_padding_changes_real_frames_only_in_the_published_model(mask_padding):
  model = encoder(mask_padding=mask_padding)
  x = features()
  changed = np.where(MASK[..., None], x, 9.0).astype(np.float32)
  before, after = (apply(model, y, MASK)[MASK] for y in (x, changed))
  assert np.array_equal(before, after) == mask_padding


OPTIONS = [
    {},
    {'norm': 'pre'},
    {'positions': 'learned'},
    {'positions': 'rotary'},
    {'positions': 'none'},
    {'time': 'frames'},
    {'positions': 'rotary', 'time': 'frames'},
]


@pytest.mark.parametrize('options', OPTIONS)
def test_a_causal_encoder_reads_no_later_frame(options):
  x = features()
  changed = x.copy()
  changed[:, 4:] += 1.0
  ids = jnp.cumsum(jnp.ones((3, 7), jnp.int32) * 3, axis=1)
  for causal in (False, True):
    model = encoder(causal=causal, **options)
    before, after = (apply(model, y, frame_id=ids) for y in (x, changed))
    # Sums may differ in the last bits.
    same = np.abs(before - after)[:, :4].max() < 1e-6
    assert same == causal
    assert np.abs(before - after)[:, 4:].max() > 0.1


@pytest.mark.parametrize('options', OPTIONS)
def test_padding_a_window_does_not_change_its_frames(options):
  x = features()
  model = encoder(**options)
  ids = jnp.tile(jnp.arange(7, dtype=jnp.int32)[None] * 5, (3, 1))
  padded = apply(model, x, MASK, frame_id=ids)
  alone = apply(model, x[1:2, :4], frame_id=ids[1:2, :4])
  np.testing.assert_allclose(padded[1:2, :4], alone, atol=1e-5)


@pytest.mark.parametrize('name', ['sine', 'rotary'])
def test_frame_times_start_at_the_first_frame_of_a_window(name):
  x = features()
  rows = apply(encoder(positions=name), x)
  model = encoder(positions=name, time='frames')

  def at(*ids):
    return apply(model, x, frame_id=jnp.tile(jnp.array([ids]), (3, 1)))

  np.testing.assert_allclose(at(*range(7)), rows, atol=1e-6)
  np.testing.assert_allclose(at(*range(70, 77)), rows, atol=1e-6)
  assert np.abs(at(0, 1, 2, 3, 4, 5, 16) - rows).max() > 1e-2


def test_rotary_products_depend_only_on_time_differences():
  query, key = jnp.asarray(features(shape=(2, 1, 5, 1, 8)))
  times = jnp.array([[0.0, 1.0, 3.0, 4.0, 9.0]])

  def products(times):
    turned = positions.rotate(query, times), positions.rotate(key, times)
    return jnp.einsum('bqhd,bkhd->bhqk', *turned)

  np.testing.assert_allclose(products(times), products(times + 7), atol=1e-5)
  lengths = jnp.linalg.norm(positions.rotate(query, times), axis=-1)
  np.testing.assert_allclose(
      lengths, jnp.linalg.norm(query, axis=-1), rtol=1e-6
  )


def test_the_first_position_code_is_zero_only_in_the_published_model():
  x = np.zeros((1, 3, DIM), np.float32)
  for first, row in (('zero', np.zeros(DIM)), ('sine', np.tile([0, 1], 8))):
    model = encoder(depth=0, project=False, first_position=first)
    codes = apply(model, x)[0]
    np.testing.assert_allclose(codes[0], row, atol=1e-7)
    np.testing.assert_allclose(
        codes[1, :4],
        [np.sin(1), np.cos(1), np.sin(10**-0.5), np.cos(10**-0.5)],
        atol=1e-6,
    )
    table = torch_temporal.position_codes(3, DIM, first == 'zero').numpy()
    np.testing.assert_allclose(codes, table, atol=1e-6)


def test_codes_of_a_long_window_are_close_to_float64():
  codes = positions.sincos_at(jnp.arange(512.0)[None], 64)[0]
  angles = np.arange(512)[:, None] / 10000.0 ** (np.arange(0, 64, 2) / 64)
  # A float32 angle of 500 has an error of 3e-5.
  np.testing.assert_allclose(codes[:, 0::2], np.sin(angles), atol=5e-5)
  np.testing.assert_allclose(codes[:, 1::2], np.cos(angles), atol=5e-5)


def test_dropout_is_active_only_in_training():
  model = encoder(dropout=0.4)
  inputs = jnp.asarray(features()), CONTEXT, {}
  weights = model.init(jax.random.key(1), *inputs, train=False)

  def hidden(key, train):
    rngs = {'dropout': jax.random.key(key)}
    return np.asarray(model.apply(weights, *inputs, train=train, rngs=rngs)[0])

  np.testing.assert_array_equal(hidden(0, False), hidden(1, False))
  np.testing.assert_array_equal(hidden(0, True), hidden(0, True))
  assert not np.array_equal(hidden(0, True), hidden(1, True))
  assert not np.array_equal(hidden(0, True), hidden(0, False))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            {'positions': 'learned', 'max_length': 6},
            'max_length=6: a window has 7 frames; raise',
        ),
        ({'time': 'frames'}, r'model\.time=frames: the batch has no frame_id'),
        ({'dim': 12, 'num_heads': 4, 'positions': 'rotary'}, 'an even width'),
    ],
)
def test_wrong_options_give_a_message(options, message):
  x = jnp.asarray(features())
  with pytest.raises(errors.InputError, match=message):
    encoder(**options).init(jax.random.key(0), x, CONTEXT, {}, train=False)
