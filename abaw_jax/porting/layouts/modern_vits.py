"""State dicts of DINOv2, DINOv3, CLIP and SigLIP, converted through `vit.py`.

`canonicalize` gives them the names of timm's ViT, as the projects themselves,
Hugging Face, open_clip and timm write them.
"""

import collections
import pathlib
import re

import numpy as np

from abaw_jax.porting.layouts import state_dicts
from abaw_jax.porting.layouts import vit as vit_layout

# Patterns of names and their replacements, applied in this order.
_RENAMES = (
    (r'^(embeddings\.)?(cls_token|class_embedding)$', 'cls_token'),
    (
        r'^(embeddings\.position_embedding(s|\.weight)|positional_embedding)$',
        'pos_embed',
    ),
    (r'^((embeddings\.)?register_tokens|storage_tokens)$', 'reg_token'),
    (
        r'^(embeddings\.patch_embeddings?(\.projection)?|conv1)\.(?=\w+$)',
        'patch_embed.proj.',
    ),
    (r'^(pre_layrnorm|ln_pre)\.', 'norm_pre.'),
    (r'^(layernorm|post_layernorm|ln_post)\.', 'norm.'),
    (r'^head\.probe$', 'attn_pool.latent'),
    (r'^head\.layernorm\.', 'attn_pool.norm.'),
    (r'^head\.attention\.out_proj\.', 'attn_pool.proj.'),
    (r'^head\.attention\.in_proj_', 'attn_pool.qkv.'),
    (r'^head\.mlp\.', 'attn_pool.mlp.'),
    (
        r'^(encoder\.layers?|(model\.)?layer|transformer\.resblocks)\.(\d+)\.',
        r'blocks.\3.',
    ),
    (
        r'\.(attention|attention\.attention|self_attn)\.'
        r'([qkv])(uery|ey|alue|_proj)\.',
        r'.attn.\2.',
    ),
    (r'\.attn\.([qv])_bias$', r'.attn.\1.bias'),
    (r'\.attn\.in_proj_', '.attn.qkv.'),
    (
        r'\.(attention\.output\.dense|attention\.o_proj|self_attn\.out_proj'
        r'|attn\.out_proj)\.',
        '.attn.proj.',
    ),
    (r'\.(layer_norm|ln_)([12])\.', r'.norm\2.'),
    (r'\.layer_scale([12])\.lambda1$', r'.ls\1.gamma'),
    (r'\.gamma_([12])$', r'.ls\1.gamma'),
    (r'\.mlp\.(gate_proj|w1|fc1_g)\.', '.mlp.gate.'),
    (r'\.mlp\.(up_proj|w2|fc1_x)\.', '.mlp.up.'),
    (r'\.mlp\.(c_fc|weights_in|w12)\.', '.mlp.fc1.'),
    (r'\.mlp\.(c_proj|weights_out|down_proj|w3)\.', '.mlp.fc2.'),
)


def canonicalize(
    tensors: state_dicts.Tensors, checkpoint: pathlib.Path
) -> dict[str, np.ndarray]:
  """Returns the tensors with the names and stacks of timm's ViT.

  A bias that the network does not have becomes 0.
  """
  del checkpoint  # `state_dicts.to_ours` reports missing and unknown tensors
  found = {}
  for name, value in tensors.items():
    for pattern, new in _RENAMES:
      name = re.sub(pattern, new, name)
    found[name] = value
  _shape_tokens(found)
  groups = collections.defaultdict(dict)
  for name in list(found):
    if match := re.fullmatch(r'(.+\.)(attn|mlp)\.(\w+)\.(\w+)', name):
      block, module, part, leaf = match.groups()
      groups[block, module][f'{part}.{leaf}'] = found.pop(name)
  for (block, module), parts in groups.items():
    join = _join_qkv if module == 'attn' else _join_gate
    join(parts)
    found |= {f'{block}{module}.{part}': x for part, x in parts.items()}
  _split_query(found)
  return found


def _shape_tokens(found: dict[str, np.ndarray]) -> None:
  """Gives tokens, positions and the bias of the patches their usual shapes."""
  for name in ('cls_token', 'pos_embed', 'reg_token'):
    if name in found:
      found[name] = found[name].reshape(1, -1, found[name].shape[-1])
  if not found.get('reg_token', np.ones(1)).size:
    del found['reg_token']
  table = found.get('pos_embed')
  # timm's ViTs with registers have no position of the class token.
  if table is not None and 'cls_token' in found and _is_square(table.shape[1]):
    found['pos_embed'] = np.pad(table, ((0, 0), (1, 0), (0, 0)))
  if (weight := found.get('patch_embed.proj.weight')) is not None:
    bias = np.zeros(weight.shape[:1], weight.dtype)
    found.setdefault('patch_embed.proj.bias', bias)


def _is_square(count: int) -> bool:
  return round(count**0.5) ** 2 == count


def _join_qkv(parts: dict[str, np.ndarray]) -> None:
  """Stacks query, key and value; a bias that is missing is 0."""
  weights = [parts.get(f'{x}.weight') for x in 'qkv']
  if all(x is not None for x in weights):
    parts['qkv.weight'] = np.concatenate(weights)
    for x in 'qkv':
      del parts[f'{x}.weight']
  weight = parts.get('qkv.weight')
  if weight is None:
    return
  if 'qkv.bias' not in parts:
    zeros = np.zeros(len(weight) // 3, weight.dtype)
    biases = [parts.pop(f'{x}.bias', zeros) for x in 'qkv']
    parts['qkv.bias'] = np.concatenate(biases)
  if (mask := parts.pop('qkv.bias_mask', None)) is not None:
    parts['qkv.bias'] = parts['qkv.bias'] * mask


def _join_gate(parts: dict[str, np.ndarray]) -> None:
  """Joins the two first layers of a gated MLP, which has `gate` and `up`."""
  for leaf in ('weight', 'bias'):
    if f'up.{leaf}' in parts:
      names = [x for x in (f'gate.{leaf}', f'up.{leaf}') if x in parts]
      parts[f'fc1.{leaf}'] = np.concatenate([parts.pop(x) for x in names])


def _split_query(found: dict[str, np.ndarray]) -> None:
  """Splits the stack of the pooling head, whose query has another input."""
  for leaf in ('weight', 'bias'):
    stack = found.pop(f'attn_pool.qkv.{leaf}', None)
    if stack is not None:
      query, key_value = np.split(stack, [len(stack) // 3])
      found[f'attn_pool.q.{leaf}'] = query
      found[f'attn_pool.kv.{leaf}'] = key_value


_BASE = vit_layout.LAYOUT._replace(canonicalize=canonicalize)
_DINO_V2 = _BASE._replace(
    licence='Weights of DINOv2 are under Apache-2.0.',
    preprocessing='imagenet',
    unused=frozenset({'mask_token', 'embeddings.mask_token'}),
    usual_sizes={518: 224},
)
_DINO_V3 = _BASE._replace(
    licence=(
        'Weights of DINOv3 are under the DINOv3 License of Meta, which has '
        'conditions for use and redistribution.'
    ),
    preprocessing='dinov3',
    unused=frozenset({
        'mask_token', 'embeddings.mask_token', 'rope_embed.periods',
        'local_cls_norm.weight', 'local_cls_norm.bias',
    }),
)  # fmt: skip
_CLIP = _BASE._replace(
    licence=(
        "OpenAI's CLIP and the weights of open_clip are under MIT. Other weights "
        'keep the licence of their source.'
    ),
    preprocessing='clip',
    unused=frozenset({'proj', 'embeddings.position_ids'}),
)
_SIGLIP = _BASE._replace(
    licence='Weights of SigLIP and SigLIP 2 are under Apache-2.0.',
    preprocessing='siglip',
    unused=frozenset({'embeddings.position_ids'}),
)
_ANTIALIAS = {'antialias': True}


# The first layout whose names are all in a file is the one of the file.
LAYOUTS: dict[str, state_dicts.Layout] = {
    'dinov3': _DINO_V3._replace(
        source='DINOv3',
        marks=state_dicts.marks('storage_tokens', 'rope_embed.periods'),
    ),
    'timm_dinov3': _DINO_V3._replace(
        source='DINOv3 of timm',
        marks=state_dicts.marks('reg_token', 'blocks.0.gamma_1'),
    ),
    'hf_dinov3': _DINO_V3._replace(
        source='Hugging Face DINOv3ViT',
        marks=state_dicts.marks(
            'embeddings.cls_token', 'layer.0.layer_scale1.lambda1'
        ),
    ),
    # The names in memory of transformers 5.
    'hf_dinov3_in_memory': _DINO_V3._replace(
        source='Hugging Face DINOv3ViT in memory',
        marks=state_dicts.marks(
            'embeddings.cls_token', 'model.layer.0.layer_scale1.lambda1'
        ),
    ),
    'dinov2_registers': _DINO_V2._replace(
        source='DINOv2 with registers',
        marks=state_dicts.marks('register_tokens', 'blocks.0.ls1.gamma'),
        resampling=_ANTIALIAS,
    ),
    'dinov2': _DINO_V2._replace(
        source='DINOv2',
        marks=state_dicts.marks(
            'cls_token', 'mask_token', 'blocks.0.ls1.gamma'
        ),
        resampling={'offset': 0.1},
    ),
    'timm_dinov2': _DINO_V2._replace(
        source='DINOv2 or DeiT III of timm',
        marks=state_dicts.marks('cls_token', 'blocks.0.ls1.gamma'),
        licence='Weights of DINOv2 and DeiT III are under Apache-2.0.',
        resampling=_ANTIALIAS,
    ),
    'hf_dinov2_registers': _DINO_V2._replace(
        source='Hugging Face Dinov2WithRegisters',
        marks=state_dicts.marks(
            'embeddings.register_tokens', 'encoder.layer.0.layer_scale1.lambda1'
        ),
        resampling=_ANTIALIAS,
    ),
    'hf_dinov2': _DINO_V2._replace(
        source='Hugging Face Dinov2',
        marks=state_dicts.marks(
            'embeddings.cls_token', 'encoder.layer.0.layer_scale1.lambda1'
        ),
    ),
    'timm_siglip': _SIGLIP._replace(
        source='SigLIP of timm',
        marks=state_dicts.marks('attn_pool.latent', 'pos_embed'),
    ),
    'hf_siglip': _SIGLIP._replace(
        source='Hugging Face SigLIP',
        marks=state_dicts.marks(
            'head.probe', 'embeddings.position_embedding.weight'
        ),
    ),
    'timm_clip': _CLIP._replace(
        source='CLIP of timm',
        marks=state_dicts.marks('cls_token', 'norm_pre.weight'),
    ),
    'hf_clip': _CLIP._replace(
        source='Hugging Face CLIP',
        marks=state_dicts.marks(
            'embeddings.class_embedding', 'pre_layrnorm.weight'
        ),
    ),
    'open_clip': _CLIP._replace(
        source='CLIP of OpenAI or open_clip',
        marks=state_dicts.marks('class_embedding', 'ln_pre.weight'),
    ),
}
