"""Tiny networks of Hugging Face with random weights, and their conversion."""

import pathlib

from flax import linen as nn
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
  randomize(model)
  return model


def randomize(model: torch.nn.Module) -> None:
  torch.manual_seed(0)
  with torch.no_grad():
    for x in model.parameters():
      # Kernels of the right scale; norms and factors of channels around 1.
      x.add_(torch.randn_like(x) * (0.25 if x.ndim > 1 else 0.1))


def save(name: str, folder: pathlib.Path) -> torch.nn.Module:
  """Returns a network, and writes its files and those of its conversion.

  The folders are `theirs` and `ours`.
  """
  model = network(name)
  model.save_pretrained(folder / 'theirs')
  convert.import_weights(
      folder / 'theirs' / 'model.safetensors',
      folder / 'ours',
      image_size=SIZES['image_size'],
  )
  return model


def load(folder: pathlib.Path) -> tuple[dict, nn.Module, dict]:
  """Returns the `model` section, the backbone and its weights of a folder."""
  section = runs.read_config(folder)['model']
  params, _ = weights.load(folder, section, convert.param_shapes(section))
  return section, zoo.make_backbone(section), params['backbone']
