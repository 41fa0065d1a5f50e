"""State dicts of Hugging Face's ViTs and MAEs, by way of facebookresearch's names.

`tidy` gives them those names and stacks query, key and value; `complete` undoes
both. Read are the names in files and, of transformers 5, those in memory;
written are those in files.
"""

from collections.abc import Mapping
import functools
import re

import numpy as np

from abaw_jax.core import errors
from abaw_jax.porting.layouts import state_dicts
from abaw_jax.porting.layouts import vit as vit_layout

_OUTSIDE = {
    'embeddings.cls_token': 'cls_token',
    'embeddings.position_embeddings': 'pos_embed',
    'embeddings.patch_embeddings.projection': 'patch_embed.proj',
    'layernorm': 'norm',
    'classifier': 'head',
    'decoder.mask_token': 'mask_token',
    'decoder.decoder_pos_embed': 'decoder_pos_embed',
    'decoder.decoder_embed': 'decoder_embed',
    'decoder.decoder_norm': 'decoder_norm',
    'decoder.decoder_pred': 'decoder_pred',
}
_STACKS = {
    'encoder.layer': 'blocks',
    'decoder.decoder_layers': 'decoder_blocks',
}
_IN_BLOCK = {
    'layernorm_before': 'norm1',
    'attention.attention.query': 'attn.q',
    'attention.attention.key': 'attn.k',
    'attention.attention.value': 'attn.v',
    'attention.output.dense': 'attn.proj',
    'layernorm_after': 'norm2',
    'intermediate.dense': 'mlp.fc1',
    'output.dense': 'mlp.fc2',
}
# Names of transformers 5, most of them in memory only.
_NEW_STACKS = {
    'layers': 'blocks',
    # In files: transformers 5 renames half of a name when it saves a MAE.
    'decoder.decoder_encoder.layer': 'decoder_blocks',
}
_NEW_IN_BLOCK = {
    'attention.q_proj': 'attn.q',
    'attention.k_proj': 'attn.k',
    'attention.v_proj': 'attn.v',
    'attention.o_proj': 'attn.proj',
    'mlp.fc1': 'mlp.fc1',
    'mlp.fc2': 'mlp.fc2',
}
_PARTS = 'qkv'


def tidy(tensors: state_dicts.Tensors, where: str) -> dict[str, np.ndarray]:
  """Returns the tensors as facebookresearch/mae names and stacks them.

  Without those of the pooler, whose place our pooling takes.

  Raises:
    InputError: if a query, key or value is missing, or is of another shape.
  """
  renamed = {
      _rename(
          name.removeprefix('vit.'),
          _STACKS | _NEW_STACKS,
          _IN_BLOCK | _NEW_IN_BLOCK,
          _OUTSIDE,
      ): value
      for name, value in tensors.items()
      if not name.removeprefix('vit.').startswith('pooler.')
  }
  stacked = {}
  for name, value in renamed.items():
    part = re.fullmatch(r'(.+\.attn\.)[qkv](\.\w+)', name)
    if not part:
      stacked[name] = value
      continue
    before, after = part.groups()
    parts = [renamed.get(f'{before}{x}{after}') for x in _PARTS]
    if any(x is None or x.shape != value.shape for x in parts):
      raise errors.InputError(
          f'{where}: {before}{{q,k,v}}{after} are not three tensors of one '
          'shape; convert a whole checkpoint of a ViT or a MAE'
      )
    stacked[f'{before}qkv{after}'] = np.concatenate(parts)
  return stacked


def complete(
    tensors: state_dicts.Tensors, *, prefix: str
) -> dict[str, np.ndarray]:
  """Returns the tensors as Hugging Face's files name and part them.

  Args:
    tensors: as `tidy` returns them.
    prefix: of the names of the encoder.
  """
  parted = {}
  for name, value in tensors.items():
    if '.attn.qkv.' not in name:
      parted[name] = value
      continue
    for part, rows in zip(_PARTS, np.split(value, 3), strict=True):
      parted[name.replace('.qkv.', f'.{part}.')] = rows
  tables = [
      {v: k for k, v in x.items()} for x in (_STACKS, _IN_BLOCK, _OUTSIDE)
  ]
  names = {name: _rename(name, *tables) for name in parted}
  return {
      new
      if new.startswith(('decoder.', 'classifier.'))
      else prefix + new: parted[old]
      for old, new in names.items()
  }


def _rename(
    name: str,
    stacks: Mapping[str, str],
    in_block: Mapping[str, str],
    outside: Mapping[str, str],
) -> str:
  """Returns the name that tables give; an unknown one stays, and is noticed."""
  layer = re.fullmatch(r'([\w.]+?)\.(\d+)\.(.+)\.(weight|bias)', name)
  if layer:
    stack, i, module, kind = layer.groups()
    module = in_block.get(module, module)
    return f'{stacks.get(stack, stack)}.{i}.{module}.{kind}'
  if name in outside:
    return outside[name]
  module, _, kind = name.rpartition('.')
  return f'{outside.get(module, module)}.{kind}' if module else name


LAYOUT = vit_layout.LAYOUT._replace(
    source='Hugging Face ViT',
    marks=frozenset({'vit.embeddings.cls_token'}),
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    resize='bilinear',
    licence=(
        'Weights of google/vit-* are under Apache-2.0, those of '
        'facebook/vit-mae-* as of facebookresearch/mae CC BY-NC 4.0: not for '
        'commercial use. Weights of others keep the licence of their source and '
        'of its data.'
    ),
    tidy=tidy,
    complete=functools.partial(complete, prefix='vit.'),
)
# A ViTModel on its own.
BARE_LAYOUT = LAYOUT._replace(
    marks=frozenset({'embeddings.cls_token'}),
    complete=functools.partial(complete, prefix=''),
)
MAE_LAYOUT = LAYOUT._replace(
    source='Hugging Face ViTMAE',
    marks=frozenset({'vit.embeddings.cls_token', 'decoder.mask_token'}),
    mean=vit_layout.LAYOUT.mean,
    std=vit_layout.LAYOUT.std,
    resize=vit_layout.LAYOUT.resize,
)
