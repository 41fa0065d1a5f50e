"""DINOv2, DINOv3, CLIP and SigLIP give the outputs of Hugging Face's networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers

from abaw_jax.checkpoints import runs, weights
from abaw_jax.conversion import convert
from abaw_jax.models import zoo

SIZES = {
    'hidden_size': 16,
    'num_attention_heads': 2,
    'num_hidden_layers': 2,
    'image_size': 12,
    'patch_size': 4,
}
MLP = {'intermediate_size': 24}
NETWORKS = {
    'dinov2': (transformers.Dinov2Model, transformers.Dinov2Config, {}),
    'dinov2_registers': (
        transformers.Dinov2WithRegistersModel,
        transformers.Dinov2WithRegistersConfig,
        {'use_swiglu_ffn': True},
    ),
    'dinov3': (
        transformers.DINOv3ViTModel,
        transformers.DINOv3ViTConfig,
        {'num_register_tokens': 3} | MLP,
    ),
    'dinov3_gated': (
        transformers.DINOv3ViTModel,
        transformers.DINOv3ViTConfig,
        {'use_gated_mlp': True, 'hidden_act': 'silu'} | MLP,
    ),
    'clip': (transformers.CLIPVisionModel, transformers.CLIPVisionConfig, MLP),
    'siglip': (
        transformers.SiglipVisionModel,
        transformers.SiglipVisionConfig,
        MLP,
    ),
}


def network(name: str) -> torch.nn.Module:
  """Returns a tiny network in which every weight has an effect."""
  model_class, config_class, options = NETWORKS[name]
  torch.manual_seed(0)
  config = config_class(**SIZES | options, attn_implementation='eager')
  model = model_class(config).eval()
  with torch.no_grad():
    for x in model.parameters():
      # Kernels of the right scale; norms and factors of channels around 1.
      x.add_(torch.randn_like(x) * (0.25 if x.ndim > 1 else 0.1))
  return model


@pytest.fixture(scope='module', params=NETWORKS)
def converted(request, tmp_path_factory):
  """Returns a name, a network of PyTorch, and the folder of its weights."""
  folder = tmp_path_factory.mktemp(request.param)
  model = network(request.param)
  model.save_pretrained(folder / 'theirs')
  size = SIZES['image_size']
  convert.import_weights(
      folder / 'theirs' / 'model.safetensors', folder / 'ours', image_size=size
  )
  return request.param, model, folder / 'ours'


def load(folder):
  section = runs.read_config(folder)['model']
  params, _ = weights.load(folder, section, convert.param_shapes(section))
  return section, zoo.make_backbone(section), params['backbone']


def test_every_block_and_the_gradient_are_those_of_hugging_face(converted):
  _, theirs, folder = converted
  _, ours, params = load(folder)
  rng = np.random.default_rng(1)
  pixels = rng.standard_normal((2, 12, 12, 3), np.float32)
  probe = rng.standard_normal(16, np.float32)

  hidden = []
  for block in [
      x for x in theirs.modules() if type(x).__name__.endswith('Layer')
  ]:
    block.register_forward_hook(
        lambda _, __, out: hidden.append(
            out[0] if isinstance(out, tuple) else out
        )
    )
  images = torch.tensor(pixels.transpose(0, 3, 1, 2), requires_grad=True)
  embedding = theirs(pixel_values=images).pooler_output
  (embedding @ torch.tensor(probe)).sum().backward()

  @jax.jit
  @jax.value_and_grad
  def gradient(pixels):
    out = ours.apply({'params': params}, pixels, train=False)
    return jnp.sum(out @ probe)

  def blocks(pixels):
    """Yields the tokens after each block, and the embedding."""
    for depth in (1, 2):
      part = ours.clone(depth=depth)
      kept = {k: x for k, x in params.items() if k != f'blocks_{depth}'}
      yield part.apply({'params': kept}, pixels, train=False, method='encode')
    yield ours.apply({'params': params}, pixels, train=False)

  have = jax.jit(lambda x: list(blocks(x)))(pixels)
  assert len(hidden) == 2
  for x, y in zip(have, [*hidden, embedding], strict=True):
    y = y.detach().numpy()
    np.testing.assert_allclose(x, y, atol=1e-5 * np.abs(y).max())
  grad = images.grad.numpy().transpose(0, 2, 3, 1)
  np.testing.assert_allclose(
      gradient(pixels)[1], grad, atol=1e-5 * np.abs(grad).max()
  )
