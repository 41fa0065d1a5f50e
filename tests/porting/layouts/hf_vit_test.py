"""Conversion between the names of Hugging Face and facebookresearch/mae."""

import pathlib

import numpy as np
import pytest
import torch
import transformers

from abaw_jax.core import errors
from abaw_jax.porting import registry, weight_files
from abaw_jax.porting.layouts import vit
from tests.tasks import torch_weights

CHECKPOINT = pathlib.Path('x')
DIM, DEPTH, HEADS = torch_weights.DIM, torch_weights.DEPTH, torch_weights.HEADS


def config() -> transformers.ViTConfig:
  return transformers.ViTConfig(
      hidden_size=DIM,
      num_hidden_layers=DEPTH,
      num_attention_heads=HEADS,
      intermediate_size=4 * DIM,
      image_size=torch_weights.IMAGE,
      patch_size=torch_weights.PATCH,
      num_labels=5,
  )


MODELS = {
    'hf_vit': lambda: transformers.ViTForImageClassification(config()),
    'hf_vit_bare': lambda: transformers.ViTModel(config()),
    'hf_vit_mae': torch_weights.hugging_face_mae,
}


@pytest.fixture(name='case', params=MODELS)
def _case(request, tmp_path):
  """Returns (layout, model with random weights, tensors of its file)."""
  torch.manual_seed(0)
  model = MODELS[request.param]()
  for parameter in model.parameters():
    if parameter.requires_grad:
      torch.nn.init.normal_(parameter, std=0.2)
  model.save_pretrained(tmp_path)
  tensors, _ = weight_files.read_tensors(tmp_path / 'model.safetensors')
  name = registry.detect_layout(tensors, CHECKPOINT)
  assert name == request.param
  return registry.LAYOUTS[name], model, tensors


def test_names_in_files_and_in_memory_are_read(case):
  layout, model, tensors = case
  memory = {k: x.detach().numpy() for k, x in model.state_dict().items()}
  assert set(memory) != set(tensors)
  canonical = layout.canonicalize(tensors, CHECKPOINT)
  again = layout.canonicalize(memory, CHECKPOINT)
  assert set(canonical) == set(again)
  for name, value in canonical.items():
    np.testing.assert_array_equal(again[name], value, err_msg=name)
  assert vit.LAYOUT.marks <= set(canonical)
  section = layout.infer_model(
      {k: x.shape for k, x in canonical.items()}, CHECKPOINT
  )
  assert section['depth'] == DEPTH
  has_head = isinstance(model, transformers.ViTForImageClassification)
  assert section.get('num_classes') == (5 if has_head else None)


def test_a_mae_gets_the_names_of_facebookresearch(tmp_path):
  model = torch_weights.hugging_face_mae()
  expected = torch_weights.mae_state(model)
  canonical = registry.LAYOUTS['hf_vit_mae'].canonicalize(
      {k: x.detach().numpy() for k, x in model.state_dict().items()}, CHECKPOINT
  )
  assert set(canonical) == set(expected)
  for name, value in expected.items():
    np.testing.assert_array_equal(canonical[name], value.detach().numpy())


def test_round_trip_is_exact(case):
  layout, _, tensors = case
  back = layout.export(layout.canonicalize(tensors, CHECKPOINT))
  expected = {
      # The published name; transformers 5 renames half of it in files.
      k.replace('decoder_encoder.layer', 'decoder_layers'): x
      for k, x in tensors.items()
      if not k.startswith('pooler.')
  }
  assert 'decoder_encoder' not in ' '.join(expected)
  assert set(back) == set(expected)
  for name, value in expected.items():
    np.testing.assert_array_equal(back[name], value, err_msg=name)


@pytest.mark.parametrize('change', ['missing', 'narrow'])
def test_a_missing_or_different_projection_is_refused(case, change):
  layout, _, tensors = case
  (name,) = (
      k for k in tensors if k.endswith('layer.1.attention.attention.key.weight')
  )
  if change == 'missing':
    del tensors[name]
  else:
    tensors[name] = tensors[name][:-1]
  with pytest.raises(errors.InputError, match=r'x: blocks\.1\.attn\.{q,k,v}'):
    layout.canonicalize(tensors, CHECKPOINT)


def test_unknown_names_stay_for_the_later_check(case):
  layout, _, tensors = case
  odd = {'vit.encoder.layer.0.ls1.gamma': np.ones(3), 'rope': np.ones(2)}
  canonical = layout.canonicalize(tensors | odd, CHECKPOINT)
  assert {'encoder.layer.0.ls1.gamma', 'rope'} <= set(canonical)
