"""State dicts of Hugging Face's ViTs and MAEs, converted through `vit.py`.

`canonicalize` gives them the names of facebookresearch/mae and stacks query, key
and value; `export` inverts both. It reads the names in files, and the names in
memory of transformers 5; it writes the names in files.
"""

from collections.abc import Mapping
import functools
import pathlib
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
# Names of transformers 5; most of them exist in memory only.
_NEW_STACKS = {
    'layers': 'blocks',
    # In files: when transformers 5 saves a MAE, it renames half of the name.
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


def canonicalize(
    tensors: state_dicts.Tensors, checkpoint: pathlib.Path
) -> dict[str, np.ndarray]:
  """Returns the tensors with the names and stacks of facebookresearch/mae.

  Drops the pooler, because our ViT pools in another way.

  Raises:
    InputError: if a query, key or value is missing or has another shape.
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
          f'{checkpoint}: {before}{{q,k,v}}{after} are not three tensors of one '
          'shape; convert a complete checkpoint of a ViT or a MAE'
      )
    stacked[f'{before}qkv{after}'] = np.concatenate(parts)
  return stacked


def export(
    tensors: state_dicts.Tensors, *, prefix: str
) -> dict[str, np.ndarray]:
  """Returns the tensors with the names and parts of Hugging Face's files.

  Args:
    tensors: the result of `canonicalize`.
    prefix: start of the names of the encoder.
  """
  split = {}
  for name, value in tensors.items():
    if '.attn.qkv.' not in name:
      split[name] = value
      continue
    for part, rows in zip(_PARTS, np.split(value, 3), strict=True):
      split[name.replace('.qkv.', f'.{part}.')] = rows
  tables = [
      {v: k for k, v in x.items()} for x in (_STACKS, _IN_BLOCK, _OUTSIDE)
  ]
  names = {name: _rename(name, *tables) for name in split}
  return {
      new
      if new.startswith(('decoder.', 'classifier.'))
      else prefix + new: split[old]
      for old, new in names.items()
  }


def _rename(
    name: str,
    stacks: Mapping[str, str],
    in_block: Mapping[str, str],
    outside: Mapping[str, str],
) -> str:
  """Returns the name from the tables.

  An unknown name stays the same, and `state_dicts.to_ours` reports it.
  """
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
    licence=(
        'Weights of google/vit-* are under Apache-2.0. Weights of '
        'facebook/vit-mae-* are under CC BY-NC 4.0: not for commercial use. '
        'Other weights keep the licence of their source and of its data.'
    ),
    canonicalize=canonicalize,
    export=functools.partial(export, prefix='vit.'),
)
# A ViTModel on its own.
BARE_LAYOUT = LAYOUT._replace(
    marks=frozenset({'embeddings.cls_token'}),
    export=functools.partial(export, prefix=''),
)
MAE_LAYOUT = LAYOUT._replace(
    source='Hugging Face ViTMAE',
    marks=frozenset({'vit.embeddings.cls_token', 'decoder.mask_token'}),
)
