"""The twins in plain Flax compute the same losses as our models."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from abaw_jax.distributed import sharding
from abaw_jax.models import zoo
from abaw_jax.models.layers import variables
from abaw_jax.tasks import inputs, registry
from benchmarks import cases, traffic
from benchmarks.twins import flax_twins

SIZE, PATCH, HEADS = 32, 8, 2
VIT = {
    'backbone': '', 'dim': 32, 'depth': 2, 'num_heads': HEADS,
    'image_size': SIZE, 'patch_size': PATCH, 'positions': 'sincos',
    'drop_path': 0.0, 'dtype': 'float32',
}  # fmt: skip
DECODER = {
    'decoder_dim': 16, 'decoder_depth': 2, 'decoder_num_heads': HEADS,
    'mask_ratio': 0.75, 'norm_pix': True,
}  # fmt: skip


def block(params):
  """Returns our parameters of a block under the names of Flax."""
  qkv, proj = params['attn']['qkv'], params['attn']['proj']
  dim = proj['kernel'].shape[0]
  kernels = np.split(qkv['kernel'], 3, axis=1)
  biases = np.split(qkv['bias'], 3)
  attention = {
      name: {
          'kernel': kernel.reshape(dim, HEADS, -1),
          'bias': bias.reshape(HEADS, -1),
      }
      for name, kernel, bias in zip(
          ('query', 'key', 'value'), kernels, biases, strict=True
      )
  }
  attention['out'] = {
      'kernel': proj['kernel'].reshape(HEADS, -1, dim),
      'bias': proj['bias'],
  }
  return {
      'LayerNorm_0': params['norm1'],
      'MultiHeadDotProductAttention_0': attention,
      'LayerNorm_1': params['norm2'],
      'Dense_0': params['mlp']['fc1'],
      'Dense_1': params['mlp']['fc2'],
  }


def blocks(params, prefix, *, remat, scan):
  """Returns a stack of blocks; a scan has one array for all layers."""
  layers = [block(params[f'{prefix}_{i}']) for i in range(2)]
  if scan:
    name = 'ScanCheckpointBlock_0' if remat != 'none' else 'ScanBlock_0'
    return {name: jax.tree.map(lambda *x: jnp.stack(x), *layers)}
  name = 'CheckpointBlock' if remat != 'none' else 'Block'
  return {f'{name}_{i}': layer for i, layer in enumerate(layers)}


def vit(params, **options):
  """Returns the parameters of a ViT."""
  return {
      'Dense_0': params['patch_embed'],
      'cls_token': params['cls_token'],
      'Blocks_0': blocks(params, 'blocks', **options),
      'LayerNorm_0': params['norm'],
  }


@pytest.mark.parametrize(
    'options',
    [
        {'remat': 'none', 'scan': False},
        {'remat': 'all', 'scan': True},
    ],
    ids=str,
)
def test_mae_has_the_same_predictions_and_gradients(options):
  model = zoo.make_model(name='mae', **VIT, **DECODER, **options)
  images = jax.random.normal(jax.random.key(0), (3, SIZE, SIZE, 3))
  noise = jax.random.uniform(jax.random.key(1), (3, (SIZE // PATCH) ** 2))
  params = jax.jit(variables.init, static_argnums=0)(
      model, jax.random.key(2), images, noise
  )

  def convert(params):
    return {
        'ViT_0': vit(params['encoder'], **options),
        'Dense_0': params['decoder_embed'],
        'mask_token': params['mask_token'],
        'Blocks_0': blocks(params, 'decoder_blocks', **options),
        'LayerNorm_0': params['decoder_norm'],
        'Dense_1': params['decoder_pred'],
    }

  def loss(model, params):
    (pred, mask), _ = variables.apply(model, params, images, noise, train=True)
    return jnp.sum(jnp.square(pred) * mask[..., None]), mask

  twin = flax_twins.MAE.like(model)
  (ours, mask), grads = jax.jit(
      jax.value_and_grad(lambda params: loss(model, params), has_aux=True)
  )(params)
  (theirs, twin_mask), twin_grads = jax.jit(
      jax.value_and_grad(lambda params: loss(twin, params), has_aux=True)
  )(convert(params))
  np.testing.assert_allclose(ours, theirs, rtol=1e-5)
  np.testing.assert_array_equal(mask, twin_mask)
  scale = max(float(jnp.abs(x).max()) for x in jax.tree.leaves(twin_grads))
  jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5 * scale),
      convert(grads),
      twin_grads,
  )


def test_the_vit_has_the_same_embedding():
  options = {'remat': 'none', 'scan': False}
  model = zoo.make_backbone({'name': 'vit', 'pool': 'mean', **VIT, **options})
  images = jax.random.normal(jax.random.key(0), (2, SIZE, SIZE, 3))
  params = jax.jit(variables.init, static_argnums=0)(
      model, jax.random.key(1), images
  )
  apply = jax.jit(
      functools.partial(variables.apply, train=False), static_argnums=0
  )
  ours, _ = apply(model, params, images)
  theirs, _ = apply(flax_twins.ViT(model), vit(params, **options), images)
  np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize('name', ['frame', 'mae'])
def test_the_compared_steps_have_the_same_inputs_and_parameters(name):
  model = {'image_size': SIZE, 'patch_size': PATCH}
  if name == 'mae':
    config = cases.mae_config(4, backbone='vit_nano', **model)
  else:
    config = cases.frame_config('vit_nano', 4, **model)
  task = registry.make_task(config)
  example = inputs.example_without_data(task)
  mesh = sharding.make_mesh(fsdp=1, devices=jax.devices()[:1])
  batch = {
      key: jax.ShapeDtypeStruct((4, *x.shape[1:]), x.dtype)
      for key, x in example.items()
  }
  step, state = traffic.make_twin_step(task, mesh, example)
  after, metrics = jax.eval_shape(step, state, batch)
  assert metrics['loss'].shape == metrics['grad_norm'].shape == ()
  assert jax.tree.structure(after) == jax.tree.structure(state)
  ours = jax.eval_shape(lambda: task.init(jax.random.key(0), example))
  sizes = [
      sum(x.size for x in jax.tree.leaves(params))
      for params in (ours, state.params)
  ]
  assert sizes[0] == sizes[1]
