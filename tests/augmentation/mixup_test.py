"""Mixed images, and losses with the same shares."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from abaw_jax.augmentation import augment, mixup
from abaw_jax.core import errors
from abaw_jax.tasks import losses, registry
from tests.models import tiny_networks
from tests.training import runs


def test_an_image_is_blended_with_the_previous_image():
  images = np.random.default_rng(0).normal(size=(3, 2, 2, 1)).astype('f4')
  out = mixup.blend(jnp.asarray(images), jnp.float32(0.7))
  for i in range(3):
    expected = 0.7 * images[i] + 0.3 * images[i - 1]
    np.testing.assert_allclose(out[i], expected, rtol=1e-6)


def test_the_cross_entropy_equals_that_of_blended_labels():
  rng = np.random.default_rng(0)
  logits = jnp.asarray(rng.normal(size=(5, 8)), jnp.float32)
  target = jnp.asarray(rng.integers(0, 8, 5), jnp.int32)

  def loss(batch):
    value = losses.cross_entropy(logits, batch['y'], jnp.ones(5, bool))
    return value, {'loss': value}

  value, scalars = mixup.blend_losses(loss, {'y': target}, jnp.float32(0.25))
  one_hot = jax.nn.one_hot(target, 8)
  soft = 0.25 * one_hot + 0.75 * jnp.roll(one_hot, 1, axis=0)
  expected = optax.softmax_cross_entropy(logits, soft).mean()
  np.testing.assert_allclose(value, expected, rtol=1e-6)
  np.testing.assert_allclose(scalars['loss'], expected, rtol=1e-6)


def test_missing_labels_have_no_loss():
  pred = jnp.zeros(3)
  batch = {
      'y': jnp.array([1.0, jnp.nan, 3.0]),
      'mask': jnp.array([True, False, True]),
  }

  def loss(batch):
    value = losses.mse_loss(pred, batch['y'], batch['mask'])
    return value, {}

  value, _ = mixup.blend_losses(loss, batch, jnp.float32(0.5))
  np.testing.assert_allclose(value, (1.0 + 9.0) / 2, rtol=1e-6)


def test_weights_have_a_beta_distribution():
  keys = jax.random.split(jax.random.key(0), 4000)
  weights = jax.vmap(lambda key: mixup.draw_weight(key, 0.4))(keys)
  # Variance of Beta(a, a): 1 / (4 (2 a + 1)).
  np.testing.assert_allclose(np.mean(weights), 0.5, atol=0.02)
  np.testing.assert_allclose(np.var(weights), 1 / (4 * 1.8), rtol=0.05)


def test_a_cut_is_a_box_and_its_share_counts_the_pixels():
  shape = (3, 44, 56, 1)
  images = jnp.broadcast_to(jnp.arange(3.0)[:, None, None, None], shape)
  keys = jax.random.split(jax.random.key(0), 500)
  mixed, shares = jax.jit(jax.vmap(lambda key: mixup.paste(key, images, 1.0)))(
      keys
  )
  mixed, shares = np.asarray(mixed)[..., 0], np.asarray(shares)
  own = mixed == np.arange(3.0)[:, None, None]
  previous = mixed == np.array([2.0, 0.0, 1.0])[:, None, None]
  assert np.all(own ^ previous)
  assert np.all(own == own[:, :1])  # the same box in all images
  np.testing.assert_allclose(own[:, 0].mean((1, 2)), shares, atol=1e-6)
  for cut in previous[:, 0]:
    rows, columns = cut.any(axis=1), cut.any(axis=0)
    assert np.array_equal(cut, np.outer(rows, columns))
  # A box with the relative side s has s - s^2 / 4 inside, on average. With s^2
  # uniform the mean of its square is 1/2 - 1/5 + 1/48.
  np.testing.assert_allclose(shares.mean(), 1 - 0.321, atol=0.04)


def test_mixaugment_pairs_each_image_with_its_mix():
  images = jnp.asarray(np.random.default_rng(0).normal(size=(3, 2, 2, 1)))
  key = jax.random.key(1)
  both, share = mixup.mix(key, images, method='mixaugment', alpha=0.5)
  mixed, same = mixup.mix(key, images, method='mixup', alpha=0.5)
  assert share == same
  np.testing.assert_array_equal(both[::2], images)
  np.testing.assert_array_equal(both[1::2], mixed)


def test_training_with_mixup_compares_blended_images_with_both_labels(data_dir):
  config = runs.smoke('frame', data_dir, model__drop_path=0.0)
  config['model'] |= tiny_networks.VIT
  source = registry.make_task(config).source('train')
  records = [source[i] for i in range(4)]
  batch = jax.tree.map(
      jnp.asarray, registry.make_task(config).transform()(records, rows=4)
  )
  key = jax.random.key(0)
  plain = registry.make_task(config)
  params = jax.jit(plain.init)(key, batch)
  config['loss']['mixup'] = 0.8
  mixed = registry.make_task(config)
  weight = mixup.draw_weight(jax.random.split(key, 3)[2], 0.8)

  class Blending(augment.Augmentation):
    """Gives the plain task the images that mixup must make."""

    def train(self, key, images):
      return mixup.blend(super().train(key, images), weight)

  blending = Blending(**dataclasses.asdict(plain.augmentation))
  by_hand = dataclasses.replace(plain, augmentation=blending)
  previous = {name: jnp.roll(x, 1, axis=0) for name, x in batch.items()}
  previous['image'] = batch['image']
  config['loss']['mixing'] = 'mixaugment'
  augmented = registry.make_task(config)
  assert augmented.flops(batch) == 2 * plain.flops(batch)
  # One program, because single operations take long.
  own, other, value, real, both = jax.jit(
      lambda params, batch, previous: (
          by_hand.loss(params, batch, key)[0],
          by_hand.loss(params, previous, key)[0],
          mixed.loss(params, batch, key)[0],
          plain.loss(params, batch, key)[0],
          augmented.loss(params, batch, key)[0],
      )
  )(params, batch, previous)
  expected = weight * own + (1 - weight) * other
  np.testing.assert_allclose(value, expected, rtol=1e-5)
  np.testing.assert_allclose(both, real + expected, rtol=1e-5)
  # Wrong combinations; a config of an older run has no `mixing`.
  for alpha, mixing, message in (
      (0.8, 'cut', 'mixup, cutmix, mixaugment'),
      (0.0, 'cutmix', 'config.loss.mixup is 0'),
  ):
    config['loss'] |= {'mixup': alpha, 'mixing': mixing}
    with pytest.raises(errors.InputError, match=message):
      registry.make_task(config)
  del config['loss']['mixing']
  assert registry.make_task(config).mixing == 'mixup'
