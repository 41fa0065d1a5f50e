"""FLOPs equal published values and XLA's count."""

import jax
import jax.numpy as jnp
import pytest

from abaw_jax.models import flops, zoo
from abaw_jax.models.temporal import window_context
from tests.models import temporal_models

VIT = {
    'image_size': 224,
    'patch_size': 16,
    'positions': 'sincos',
    'drop_path': 0.0,
    'remat': 'none',
    'scan': False,
    'dtype': 'float32',
}
MAE = {
    'decoder_dim': 512,
    'decoder_depth': 8,
    'decoder_num_heads': 16,
    'mask_ratio': 0.75,
    'norm_pix': True,
}
TEMPORAL = temporal_models.section(
    dim=256,
    depth=2,
    num_heads=4,
    mlp_dim=512,
    hidden_dims=(128, 64),
    encoder_dropout=0.0,
    dropout=0.0,
)


@pytest.mark.parametrize(
    ('backbone', 'gflops'), [('vit_s', 9.2), ('vit_b', 35.1), ('vit_l', 123.1)]
)
def test_a_vit_has_the_published_flops(backbone, gflops):
  model = zoo.make_vit(backbone=backbone, **VIT)
  assert flops.vit_flops(model) / 1e9 == pytest.approx(gflops, rel=0.005)


@pytest.mark.parametrize(
    ('backbone', 'gmacs'), [('vit_s', 57), ('vit_b', 180), ('vit_l', 597)]
)
def test_a_videomae_has_the_published_flops(backbone, gmacs):
  options = {'num_frames': 16, 'class_token': False}
  model = zoo.make_model(name='video', backbone=backbone, **VIT, **options)
  counted = flops.forward_flops(model, {}) / 2e9
  assert counted == pytest.approx(gmacs, rel=0.005)


@pytest.mark.parametrize(
    ('backbone', 'gflops'), [('vit_s', 13.0), ('vit_b', 19.6), ('vit_l', 41.5)]
)
def test_a_mae_has_the_published_flops(backbone, gflops):
  model = zoo.make_model(name='mae', backbone=backbone, **VIT, **MAE)
  # Published values also embed the hidden patches.
  assert flops.forward_flops(model, {}) / 1e9 == pytest.approx(
      gflops, rel=0.012
  )
  assert flops.train_flops(model, {}) == 3 * flops.forward_flops(model, {})


def test_a_frozen_backbone_has_only_a_forward_pass():
  model = zoo.make_model(name='frame', backbone='vit_s', dropout=0.0, **VIT)
  forward = flops.vit_flops(model.backbone)
  heads = 2 * 384 * (1 + 1 + 8 + 12)
  assert flops.train_flops(model, {}) == 3 * (forward + heads)
  frozen = flops.train_flops(model, {}, freeze='backbone')
  assert frozen == forward + 3 * heads
  assert flops.train_flops(model, {}, freeze='heads') == 3 * (forward + heads)


# One wide layer, so that norms and activations are a small part.
SMALL = VIT | {
    'backbone': '',
    'dim': 256,
    'depth': 1,
    'num_heads': 4,
    'image_size': 64,
    'patch_size': 8,
}
MODELS = {
    'mae': (
        SMALL
        | MAE
        | {'decoder_dim': 256, 'decoder_depth': 1, 'decoder_num_heads': 4}
    ),
    'frame': SMALL | {'dropout': 0.0},
    'vit': SMALL | {'num_classes': 1000},
    'identity': SMALL | {'num_classes': 1024, 'head': 'linear'},
    'temporal': TEMPORAL,
}


@pytest.mark.parametrize('name', MODELS)
def test_models_have_the_flops_of_xla(name):
  model = zoo.make_model(name=name, **MODELS[name])
  images = jnp.zeros((1, 64, 64, 3))
  batch = {'image': images, 'features': jnp.zeros((1, 64, 512))}
  args = {
      'mae': (images, jnp.zeros((1, 64))),
      'temporal': (
          batch['features'],
          window_context.WindowContext(jnp.ones((1, 64), bool)),
          {},
      ),
  }.get(name, (images,))
  params = jax.eval_shape(
      lambda key: model.init(key, *args, train=False), jax.random.key(0)
  )
  forward = jax.jit(lambda p, *x: model.apply(p, *x, train=False))
  counted = forward.lower(params, *args).compile().cost_analysis()['flops']
  ours = flops.forward_flops(model, batch)
  # XLA adds norms, softmax and activations.
  assert 1.0 <= counted / ours < 1.05


def test_every_model_has_flops():
  batch = {'features': jnp.zeros((1, 64, 512))}
  for name, section in MODELS.items():
    model = zoo.make_model(name=name, **section)
    assert flops.forward_flops(model, batch) > 0
  # Convolutional networks have their own tests.
  known = set(MODELS) | {'convnet', 'video', 'zero_shot', 'lsd', 'sr'}
  assert known == set(zoo.MODELS)


SCRIPTED = {
    'framework': 'share_bottom',
    'depth': 1,
    'private_layers': 2,
    'feed_dim': 64,
}


@pytest.mark.parametrize(
    ('frames', 'options'),
    [
        (64, {'encoder': 'fft'}),
        (64, {'encoder': 'tcn', 'depth': 3}),
        (64, SCRIPTED | {'feedback': 'hidden'}),
        (
            64,
            SCRIPTED
            | {'feedback': 'hidden', 'linear_heads': 'valence,arousal'},
        ),
        (64, SCRIPTED | {'feedback': 'label'}),
        (64, SCRIPTED | {'encoder': 'none', 'feedback': 'hidden'}),
        # XLA counts the body of a scan once.
        (1, {'encoder': 'lstm'}),
        (1, {'encoder': 'bilstm', 'depth': 2}),
        (1, {'encoder': 'gru', 'depth': 3}),
    ],
)
def test_temporal_models_have_the_flops_of_xla(frames, options):
  model = zoo.make_model(name='temporal', **TEMPORAL | options)
  args = (
      jnp.zeros((1, frames, 512)),
      window_context.WindowContext(jnp.ones((1, frames), bool)),
      model.initial_carry(1),
  )
  params = jax.eval_shape(
      lambda key: model.init(key, *args, train=False), jax.random.key(0)
  )
  forward = jax.jit(lambda p, *x: model.apply(p, *x, train=False))
  counted = forward.lower(params, *args).compile().cost_analysis()['flops']
  ours = flops.forward_flops(model, {'features': args[0]})
  # XLA adds norms, softmax, activations and comparisons of distances.
  assert 1.0 <= counted / ours < 1.06
  longer = {'features': jnp.zeros((1, 2 * frames, 512))}
  assert flops.forward_flops(model, longer) >= 2 * ours
