"""Files of Meta, OpenAI, open_clip and timm give the same networks."""

import functools
import re

import jax
import numpy as np
import pytest
from safetensors import torch as safetensors
import torch

from abaw_jax.checkpoints import runs
from abaw_jax.conversion import convert
from abaw_jax.porting import weight_files
from benchmarks.twins import timm_import
from tests.conversion import tiny_vits

timm = timm_import.load()


def fused(state: dict) -> dict:
  """Returns a state dict in which query, key and value are one layer."""
  state = dict(state)
  for name in [x for x in state if re.search(r'(query|q_proj)\.weight$', x)]:
    names = [
        re.sub('query|q_proj', part, name)
        for part in (
            ('query', 'key', 'value')
            if 'query' in name
            else ('q_proj', 'k_proj', 'v_proj')
        )
    ]
    # A network without biases of keys has zeros there.
    zeros = torch.zeros(16)
    biases = [state.pop(f'{x[:-6]}bias', zeros) for x in names]
    start = name.rsplit('.', 2)[0]
    state[f'{start}.qkv.weight'] = torch.cat([state.pop(x) for x in names])
    state[f'{start}.qkv.bias'] = torch.cat(biases)
  return state


def renamed(state: dict, *pairs: tuple[str, str]) -> dict:
  for old, new in pairs:
    state = {re.sub(old, new, name): x for name, x in state.items()}
  return state


DINO = (
    (r'^encoder\.', ''),
    (r'^layer\.', 'blocks.'),
    (r'^embeddings\.patch_embeddings(\.projection)?', 'patch_embed.proj'),
    (r'^embeddings\.position_embeddings', 'pos_embed'),
    (r'^embeddings\.', ''),
    ('attention.attention.qkv|attention.qkv', 'attn.qkv'),
    ('attention.output.dense|attention.o_proj', 'attn.proj'),
    (r'layer_scale(\d)\.lambda1', r'ls\1.gamma'),
    ('layernorm', 'norm'),
)
CLIP = (
    (r'^embeddings\.class_embedding', 'class_embedding'),
    (r'^embeddings\.patch_embedding', 'conv1'),
    (r'^embeddings\.position_embedding\.weight', 'positional_embedding'),
    (r'^encoder\.layers', 'transformer.resblocks'),
    (r'self_attn\.qkv\.', 'attn.in_proj_'),
    ('self_attn.out_proj', 'attn.out_proj'),
    (r'layer_norm', 'ln_'),
    (r'mlp\.fc1', 'mlp.c_fc'),
    (r'mlp\.fc2', 'mlp.c_proj'),
    ('pre_layrnorm', 'ln_pre'),
    ('post_layernorm', 'ln_post'),
    ('^', 'visual.'),
)


def dinov2_of_meta(state):
  return renamed(
      fused(state), *DINO, ('weights_in', 'w12'), ('weights_out', 'w3')
  )


def dinov3_of_meta(state):
  state = renamed(
      fused(state), *DINO, ('register_tokens', 'storage_tokens'),
      ('gate_proj', 'w1'), ('up_proj', 'w2' if 'layer.0.mlp.gate_proj.bias' in state else 'fc1'),
      ('down_proj', 'w3' if 'layer.0.mlp.gate_proj.bias' in state else 'fc2'),
  )  # fmt: skip
  for i in range(2):
    state[f'blocks.{i}.attn.qkv.bias'][16:32] = 7.0
    mask = torch.ones(48)
    mask[16:32] = 0
    state[f'blocks.{i}.attn.qkv.bias_mask'] = mask
  return state | {'rope_embed.periods': torch.ones(2)}


def clip_of_openai(state):
  state = renamed(fused(state), *CLIP)
  text = {'transformer.resblocks.0.ln_1.weight': torch.ones(4)}
  return text | state | {'visual.proj': torch.ones(16, 4)}


OTHER_NAMES = {
    'dinov2': dinov2_of_meta,
    'dinov2_registers': dinov2_of_meta,
    'dinov3': dinov3_of_meta,
    'dinov3_gated': dinov3_of_meta,
    'clip': clip_of_openai,
}


@pytest.mark.parametrize('name', OTHER_NAMES)
def test_the_names_of_the_projects_give_the_same_weights(name, tmp_path):
  tiny_vits.save(name, tmp_path)
  state = safetensors.load_file(tmp_path / 'theirs' / 'model.safetensors')
  torch.save(OTHER_NAMES[name](state), tmp_path / 'x.pth')
  report = convert.import_weights(
      tmp_path / 'x.pth',
      tmp_path / 'other',
      num_heads=2,
      image_size=tiny_vits.SIZES['image_size'],
      activation='quick_gelu' if name == 'clip' else None,
  )
  assert runs.read_config(tmp_path / 'other')['model'] == (
      runs.read_config(tmp_path / 'ours')['model']
  )
  found, expected = (
      weight_files.read_tensors(x / 'weights.safetensors')[0]
      for x in (tmp_path / 'other', tmp_path / 'ours')
  )
  assert found.keys() == expected.keys()
  for key, value in expected.items():
    np.testing.assert_array_equal(found[key], value, key)
  (left_out,) = [x for x in report if x.startswith('left_out')]
  assert 'mask_token' in left_out or 'visual.proj' in left_out


def norm(**options):
  return functools.partial(torch.nn.LayerNorm, eps=1e-5, **options)


TIMM = {
    'dinov2': ({'init_values': 1.0}, {}),
    'dinov2_registers': (
        {
            'init_values': 1.0, 'reg_tokens': 3, 'no_embed_class': True,
            'mlp_layer': timm.layers.SwiGLUPacked, 'act_layer': torch.nn.SiLU,
        },
        {},
    ),
    'clip': (
        {'pre_norm': True, 'norm_layer': norm(), 'act_layer': 'quick_gelu'},
        {'activation': 'quick_gelu'},
    ),
    'siglip': (
        {'class_token': False, 'global_pool': 'map'},
        {'activation': 'gelu'},
    ),
    'vit_small_patch16_dinov3': ({}, {}),
    'vit_small_plus_patch16_dinov3_qkvb': ({}, {}),
}  # fmt: skip


@pytest.mark.parametrize('name', TIMM)
def test_timm_gives_the_same_embedding(name, tmp_path):
  options, flags = TIMM[name]
  options |= {
      'img_size': 12, 'patch_size': 4, 'embed_dim': 16, 'depth': 2,
      'num_heads': 2, 'num_classes': 0,
  }  # fmt: skip
  if 'dinov3' in name:
    theirs = timm.create_model(name, global_pool='token', **options)
  else:
    theirs = timm.models.VisionTransformer(**options)
  tiny_vits.randomize(theirs.eval())
  # The towers of open_clip are timm's.
  state = {f'visual.trunk.{k}': x for k, x in theirs.state_dict().items()}
  torch.save(state | {'logit_scale': torch.ones(1)}, tmp_path / 'x.pth')
  convert.import_weights(
      tmp_path / 'x.pth', tmp_path / 'ours', num_heads=2, image_size=12, **flags
  )
  _, ours, params = tiny_vits.load(tmp_path / 'ours')
  pixels = np.random.default_rng(1).standard_normal((2, 12, 12, 3), np.float32)
  with torch.no_grad():
    want = theirs(torch.tensor(pixels.transpose(0, 3, 1, 2))).numpy()
  apply = jax.jit(lambda x: ours.apply({'params': params}, x, train=False))
  scale = np.abs(want).max()
  np.testing.assert_allclose(apply(pixels), want, atol=1e-5 * scale)
