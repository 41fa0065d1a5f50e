"""MAE equals Hugging Face's ViTMAE for equal weights, images and noise."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers

from abaw_jax.models.layers import positions
from abaw_jax.models.vision import mae, vit
from tests.tasks import torch_weights

# Sizes of both models.
DIM, DEPTH, HEADS = torch_weights.DIM, torch_weights.DEPTH, torch_weights.HEADS
DECODER_DIM = torch_weights.DECODER_DIM
DECODER_DEPTH = torch_weights.DECODER_DEPTH
DECODER_HEADS = torch_weights.DECODER_HEADS
IMAGE, PATCH = torch_weights.IMAGE, torch_weights.PATCH


@pytest.fixture(scope='module')
def reference() -> transformers.ViTMAEForPreTraining:
  """Returns the PyTorch model with random weights, also in norms."""
  return torch_weights.hugging_face_mae()


@pytest.fixture(scope='module')
def ours() -> mae.MAE:
  """Returns our model with the same sizes."""
  return mae.MAE(
      encoder=vit.ViT(
          image_size=IMAGE,
          patch_size=PATCH,
          dim=DIM,
          depth=DEPTH,
          num_heads=HEADS,
      ),
      decoder_dim=DECODER_DIM,
      decoder_depth=DECODER_DEPTH,
      decoder_num_heads=DECODER_HEADS,
      mask_ratio=0.75,
      norm_pix=True,
  )


@pytest.fixture(scope='module')
def inputs() -> tuple[jax.Array, jax.Array]:
  """Returns images [b,h,w,3] and noise [b,n]."""
  rng = np.random.default_rng(1)
  images = rng.normal(size=(3, IMAGE, IMAGE, 3)).astype(np.float32)
  noise = rng.random((3, (IMAGE // PATCH) ** 2)).astype(np.float32)
  return jnp.asarray(images), jnp.asarray(noise)


def to_ours(tensors) -> dict:
  """Returns our parameters from PyTorch weights or gradients by name."""
  tensors = {k: v.detach().numpy() for k, v in tensors.items()}

  def dense(name):
    return {
        'kernel': tensors[f'{name}.weight'].T,
        'bias': tensors[f'{name}.bias'],
    }

  def norm(name):
    return {
        'scale': tensors[f'{name}.weight'],
        'bias': tensors[f'{name}.bias'],
    }

  def block(name):
    parts = [dense(f'{name}.attention.{x}_proj') for x in 'qkv']
    return {
        'norm1': norm(f'{name}.layernorm_before'),
        'norm2': norm(f'{name}.layernorm_after'),
        'attn': {
            'qkv': {
                k: np.concatenate([p[k] for p in parts], axis=-1)
                for k in ('kernel', 'bias')
            },
            'proj': dense(f'{name}.attention.o_proj'),
        },
        'mlp': {x: dense(f'{name}.mlp.{x}') for x in ('fc1', 'fc2')},
    }

  patch = tensors['vit.embeddings.patch_embeddings.projection.weight']
  encoder = {
      'patch_embed': {
          'kernel': patch.transpose(2, 3, 1, 0).reshape(-1, DIM),
          'bias': tensors['vit.embeddings.patch_embeddings.projection.bias'],
      },
      'cls_token': tensors['vit.embeddings.cls_token'],
      'norm': norm('vit.layernorm'),
  }
  for i in range(DEPTH):
    encoder[f'blocks_{i}'] = block(f'vit.layers.{i}')
  params = {
      'encoder': encoder,
      'decoder_embed': dense('decoder.decoder_embed'),
      'mask_token': tensors['decoder.mask_token'],
      'decoder_norm': norm('decoder.decoder_norm'),
      'decoder_pred': dense('decoder.decoder_pred'),
  }
  for i in range(DECODER_DEPTH):
    params[f'decoder_blocks_{i}'] = block(f'decoder.decoder_layers.{i}')
  return params


def apply_reference(reference, images, noise):
  """Returns the output of the PyTorch model for images in our layout."""
  return reference(
      pixel_values=torch.tensor(np.asarray(images.transpose(0, 3, 1, 2))),
      noise=torch.tensor(np.asarray(noise)),
  )


def mean_loss(model, params, images, noise):
  """Returns our mean loss, and (predictions, mask)."""
  pred, mask = model.apply({'params': params}, images, noise, train=False)
  losses = mae.reconstruction_loss(
      images, pred, mask, patch_size=PATCH, norm_pix=True
  )
  return jnp.mean(losses), (pred, mask)


def test_output_mask_loss_and_gradients_equal_hugging_face(
    ours, reference, inputs
):
  images, noise = inputs
  out = apply_reference(reference, images, noise)
  reference.zero_grad()
  out.loss.backward()
  params = to_ours(reference.state_dict())
  grad_fn = jax.value_and_grad(mean_loss, argnums=1, has_aux=True)
  (loss, (pred, mask)), grads = jax.jit(grad_fn, static_argnums=0)(
      ours, params, images, noise
  )
  np.testing.assert_array_equal(mask, out.mask.numpy().astype(bool))
  # float32 sums have another order; activations are between 1 and 10.
  np.testing.assert_allclose(pred, out.logits.detach(), atol=1e-4)
  np.testing.assert_allclose(loss, out.loss.item(), rtol=1e-5)
  expected = to_ours(
      {
          k: torch.zeros_like(p) if p.grad is None else p.grad
          for k, p in reference.named_parameters()
      }
  )
  jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), grads, expected
  )


def test_positions_equal_hugging_face(reference):
  for table, dim in (
      (reference.vit.embeddings.position_embeddings, DIM),
      (reference.decoder.decoder_pos_embed, DECODER_DIM),
  ):
    np.testing.assert_allclose(
        positions.sincos_2d(IMAGE // PATCH, dim), table.detach()[0], atol=1e-6
    )


def test_hidden_patches_do_not_reach_the_encoder(ours, inputs):
  images, noise = inputs
  params = ours.init(jax.random.key(0), images, noise, train=False)['params']
  _, _, mask = mae.random_masking(noise, 0.75)
  patches = vit.patchify(images, PATCH)
  changed = vit.unpatchify(
      jnp.where(mask[..., None], patches + 5.0, patches), PATCH
  )
  apply = jax.jit(functools.partial(ours.apply, train=False))
  before, _ = apply({'params': params}, images, noise)
  after, _ = apply({'params': params}, changed, noise)
  np.testing.assert_array_equal(before, after)


def test_masking_hides_a_random_share_of_each_sample():
  noise = jax.random.uniform(jax.random.key(3), (64, 49))
  order, rank, mask = mae.random_masking(noise, 0.75)
  np.testing.assert_array_equal(mask.sum(-1), np.full(64, 49 - 12))
  np.testing.assert_array_equal(
      np.take_along_axis(np.asarray(order), np.asarray(rank), axis=1),
      np.broadcast_to(np.arange(49), (64, 49)),
  )
  assert len(np.unique(np.asarray(mask), axis=0)) == 64


def test_permute_has_the_gradient_of_a_gather():
  key = jax.random.key(0)
  x = jax.random.normal(key, (2, 5, 3))
  index = jnp.stack([jnp.array([3, 1, 4, 0, 2]), jnp.arange(5)])
  weight = jax.random.normal(jax.random.key(1), x.shape)

  def plain(x):
    return jnp.sum(weight * jnp.take_along_axis(x, index[..., None], axis=1))

  def ours(x):
    return jnp.sum(weight * mae.permute(x, index, jnp.argsort(index, axis=-1)))

  np.testing.assert_array_equal(jax.grad(plain)(x), jax.grad(ours)(x))


def test_unpatchify_inverts_patchify():
  images = jax.random.normal(jax.random.key(0), (2, 24, 24, 3))
  patches = vit.patchify(images, 8)
  np.testing.assert_array_equal(patches[1, 4], images[1, 8:16, 8:16].ravel())
  np.testing.assert_array_equal(vit.unpatchify(patches, 8), images)


def test_bfloat16_has_float32_parameters_and_a_close_loss(ours, inputs):
  images, noise = inputs
  half = ours.clone(encoder=ours.encoder.clone(dtype=jnp.bfloat16))
  params = half.init(jax.random.key(0), images, noise, train=False)['params']
  assert {x.dtype for x in jax.tree.leaves(params)} == {jnp.dtype('float32')}
  full_loss, _ = mean_loss(ours, params, images, noise)
  half_loss, _ = mean_loss(half, params, images, noise)
  # bfloat16 has 8 bits of mantissa.
  np.testing.assert_allclose(half_loss, full_loss, rtol=2e-2)
