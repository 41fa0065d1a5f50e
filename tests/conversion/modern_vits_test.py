"""DINOv2, DINOv3, CLIP and SigLIP give the outputs of Hugging Face's networks."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import torch as safetensors
import torch
import transformers

from abaw_jax.checkpoints import adoption, runs, weights
from abaw_jax.conversion import convert
from abaw_jax.core import errors, files
from abaw_jax.models import zoo
from abaw_jax.porting import weight_files
from tests.training import runs as smoke_runs

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
    biases = [state.pop(x.replace('weight', 'bias'), zeros) for x in names]
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
TIMM = (
    ('register_tokens', 'reg_token'),
    ('weights_in', 'fc1'),
    ('weights_out', 'fc2'),
    (r'ls(\d)\.gamma', r'gamma_\1'),
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


def dinov2_of_timm(state):
  state = renamed(fused(state), *DINO, *TIMM[:3])
  del state['mask_token']
  # It has no position of the class token.
  table = state['pos_embed']
  if 'reg_token' in state:
    state['cls_token'] = state['cls_token'] + table[:, :1]
    state['pos_embed'] = table[:, 1:]
  return state


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


def dinov3_of_timm(state):
  state = renamed(
      fused(state), *DINO, *TIMM, ('gate_proj', 'fc1_g'),
      ('up_proj', 'fc1_x' if 'layer.0.mlp.gate_proj.bias' in state else 'fc1'),
      ('down_proj', 'fc2'),
  )  # fmt: skip
  for i in range(2):
    bias = state.pop(f'blocks.{i}.attn.qkv.bias')
    state[f'blocks.{i}.attn.q_bias'] = bias[:16]
    state[f'blocks.{i}.attn.v_bias'] = bias[32:]
  del state['mask_token']
  return state


def clip_of_openai(state):
  state = renamed(fused(state), *CLIP)
  text = {'transformer.resblocks.0.ln_1.weight': torch.ones(4)}
  return text | state | {'visual.proj': torch.ones(16, 4)}


def siglip_of_open_clip(state):
  state = renamed(
      fused(state), *CLIP[3:4], (r'^embeddings\.patch_embedding', 'patch_embed.proj'),
      (r'^embeddings\.position_embedding\.weight', 'pos_embed'),
      ('transformer.resblocks', 'blocks'), ('self_attn.qkv', 'attn.qkv'),
      ('self_attn.out_proj', 'attn.proj'), ('layer_norm', 'norm'),
      ('post_layernorm', 'norm'), (r'^head\.layernorm', 'attn_pool.norm'),
      (r'^head\.probe', 'attn_pool.latent'), (r'^head\.mlp', 'attn_pool.mlp'),
      (r'^head\.attention\.out_proj', 'attn_pool.proj'),
  )  # fmt: skip
  state['pos_embed'] = state['pos_embed'][None]
  for leaf in ('weight', 'bias'):
    stack = state.pop(f'head.attention.in_proj_{leaf}')
    state[f'attn_pool.q.{leaf}'] = stack[:16]
    state[f'attn_pool.kv.{leaf}'] = stack[16:]
  return renamed(state, ('^', 'visual.trunk.')) | {'logit_scale': torch.ones(1)}


OTHER_NAMES = {
    'dinov2': (dinov2_of_meta, dinov2_of_timm),
    'dinov2_registers': (dinov2_of_meta, dinov2_of_timm),
    'dinov3': (dinov3_of_meta, dinov3_of_timm),
    'dinov3_gated': (dinov3_of_meta, dinov3_of_timm),
    'clip': (clip_of_openai,),
    'siglip': (siglip_of_open_clip,),
}


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


def test_other_names_of_the_same_network_give_the_same_weights(
    converted, tmp_path
):
  name, theirs, folder = converted
  size = SIZES['image_size']
  expected, _ = weight_files.read_tensors(folder / 'weights.safetensors')
  options = {'num_heads': 2, 'image_size': size}
  if name == 'clip':
    options['activation'] = 'quick_gelu'
  for change in OTHER_NAMES[name]:
    path = tmp_path / change.__name__ / 'file.pth'
    path.parent.mkdir()
    state = change({k: x.clone() for k, x in theirs.state_dict().items()})
    torch.save({'teacher': state} if name == 'dinov2' else state, path)
    report = convert.import_weights(path, path.parent / 'ours', **options)
    ours = path.parent / 'ours'
    section, *_ = load(ours)
    assert section == runs.read_config(folder)['model'], change
    found, _ = weight_files.read_tensors(ours / 'weights.safetensors')
    assert found.keys() == expected.keys()
    for key, value in expected.items():
      if change is dinov2_of_timm and key.endswith(('cls_token', 'pos_embed')):
        continue
      np.testing.assert_array_equal(found[key], value, key)
    total = [
        (x['backbone/cls_token'] + x['backbone/pos_embed'][:, :1])
        for x in (found, expected)
        if 'backbone/cls_token' in x and 'backbone/pos_embed' in x
    ]
    if total:
      np.testing.assert_allclose(*total, atol=1e-6)
    left_out = [x for x in report if x.startswith('left_out')]
    assert bool(left_out) == (len(state) > len(state.keys() & _used(state)))


def _used(state):
  """Returns the names of a state dict that features depend on."""
  unused = ('mask_token', 'periods', 'visual.proj', 'logit_scale')
  text = 'transformer.resblocks'
  return {k for k in state if not k.endswith(unused) and not k.startswith(text)}


def test_a_frame_model_gets_the_network_of_its_weights(converted, tmp_path):
  _, _, folder = converted
  config = smoke_runs.smoke('frame', '', init_from=str(folder))
  adopted, lines = adoption.adopt(config, tmp_path, {'model.drop_path'})
  section, ours, _ = load(folder)
  dtype = {'dtype': zoo.make_backbone(adopted['model']).dtype}
  rates = {'drop_path': config['model']['drop_path']}
  assert zoo.make_backbone(adopted['model']) == ours.clone(**dtype, **rates)
  assert any('config.model.patch_size=4' in line for line in lines)
  kept, _ = adoption.adopt(config, tmp_path, {'model.pool'})
  assert kept['model']['pool'] == 'mean' != section['pool']
  # A run that resumes does not need the weights.
  files.write_json(tmp_path / 'config.json', adopted)
  gone = config | {'init_from': str(tmp_path / 'gone')}
  assert adoption.adopt(gone, tmp_path)[0]['model'] == adopted['model']


@pytest.mark.parametrize(
    ('name', 'size'), [('dinov2', 8), ('dinov2_registers', 8), ('siglip', 20)]
)
def test_positions_are_resampled_like_those_of_hugging_face(
    name, size, tmp_path
):
  theirs = network(name)
  theirs.save_pretrained(tmp_path / 'theirs')
  convert.import_weights(
      tmp_path / 'theirs' / 'model.safetensors',
      tmp_path / 'ours',
      image_size=size,
  )
  pixels = torch.zeros(1, 3, size, size)
  options = {} if 'dinov2' in name else {'interpolate_pos_encoding': True}
  want = theirs.embeddings(pixels, **options)[0, -((size // 4) ** 2) :]
  want -= (
      theirs.embeddings.patch_embeddings(pixels)[0]
      if 'dinov2' in name
      else (theirs.embeddings.patch_embedding(pixels).flatten(2)[0].T)
  )
  have, _ = weight_files.read_tensors(tmp_path / 'ours' / 'weights.safetensors')
  table = have['backbone/pos_embed'][0, -len(want) :]
  np.testing.assert_allclose(table, want.detach(), atol=1e-5)


def test_clip_without_its_config_asks_for_the_activation(tmp_path):
  path = tmp_path / 'clip.safetensors'
  safetensors.save_file(network('clip').state_dict(), path)
  with pytest.raises(errors.InputError, match='--activation=quick_gelu'):
    convert.import_weights(path, tmp_path / 'out', num_heads=2)


def test_the_network_of_weights_is_checked(tmp_path):
  model = {'dim': 16, 'depth': 1, 'num_heads': 2, 'backbone': '', 'name': 'mae'}
  with pytest.raises(errors.InputError, match='no num_registers'):
    zoo.make_model(
        **model, num_registers=2, patch_size=4, image_size=8, drop_path=0.0,
        positions='sincos', remat='none', scan=False, dtype='float32',
        decoder_dim=8, decoder_depth=1, decoder_num_heads=1, mask_ratio=0.5,
        norm_pix=False,
    )  # fmt: skip
