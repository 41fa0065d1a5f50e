"""State dicts of VideoMAE, VideoMAE V2 and MARLIN, converted through `vit.py`.

`canonicalize` gives them the names of MCG-NJU/VideoMAE's fine-tuned ViT, which are
those of timm. References: modeling_finetune.py and modeling_pretrain.py of
MCG-NJU/VideoMAE; src/marlin_pytorch/model of ControlNet/MARLIN.
"""

from collections.abc import Mapping
import functools
import pathlib
import re
from typing import Any

import numpy as np

from abaw_jax.porting.layouts import modern_vits, state_dicts, torch_layers
from abaw_jax.porting.layouts import vit as vit_layout

# Of all published weights; the files do not have it.
_NUM_FRAMES = 16
_IMAGE_SIZE = 224
# Patterns of names and their replacements, before those of `modern_vits`.
_RENAMES = (
    (r'^videomae\.', ''),
    (r'^encoder\.(?!layer\.)', ''),
    (r'^patch_embedding\.projection\.', 'patch_embed.proj.'),
    (r'^pos_embedding\.emb$', 'pos_embed'),
    (r'\.attention\.attention\.([qv])_bias$', r'.attn.\1.bias'),
    (r'\.layernorm_before\.', '.norm1.'),
    (r'\.layernorm_after\.', '.norm2.'),
    (r'\.intermediate\.dense\.', '.mlp.fc1.'),
    (r'(\.\d+)\.output\.dense\.', r'\1.mlp.fc2.'),
    (r'\.mlp\.layers\.0\.linear\.', '.mlp.fc1.'),
    (r'\.mlp\.layers\.1\.linear\.', '.mlp.fc2.'),
)


def canonicalize(
    tensors: state_dicts.Tensors, checkpoint: pathlib.Path
) -> dict[str, np.ndarray]:
  """Returns the tensors of the encoder with the names of timm's ViT."""
  found = {}
  for name, value in tensors.items():
    for pattern, new in _RENAMES:
      name = re.sub(pattern, new, name)
    found[name] = value
  return modern_vits.canonicalize(found, checkpoint)


def _canonicalize_marlin(
    tensors: state_dicts.Tensors, checkpoint: pathlib.Path
) -> dict[str, np.ndarray]:
  """Returns `canonicalize`; MARLIN's features are the norm of a mean."""
  found = canonicalize(tensors, checkpoint)
  return {re.sub(r'^norm\.', 'fc_norm.', k): x for k, x in found.items()}


def infer_model(
    shapes: state_dicts.Shapes,
    checkpoint: pathlib.Path,
    **options: Any,
) -> dict[str, Any]:
  """Returns the `model` section; see `vit.infer_model`.

  It has the usual number of frames and image size.
  """
  dim, _, tubelet, patch, _ = torch_layers.read_shape(
      shapes, checkpoint, 'patch_embed.proj.weight', 'd 3 t p p'
  )
  pool = 'mean' if 'norm.weight' in shapes else 'mean_raw'
  _, hidden = torch_layers.read_shape(
      shapes, checkpoint, 'blocks.0.mlp.fc2.weight', 'd hidden'
  )
  return {
      'name': 'video',
      'dim': dim,
      'depth': torch_layers.count_children(shapes, 'blocks'),
      'image_size': _IMAGE_SIZE,
      'patch_size': patch,
      'num_frames': _NUM_FRAMES,
      'tubelet_size': tubelet,
      'class_token': False,
      'pool': 'mean_norm' if 'fc_norm.weight' in shapes else pool,
      **({'mlp_dim': hidden} if hidden != 4 * dim else {}),
      **options,
  }


def make_rule(path: str, model: Mapping[str, Any]) -> state_dicts.Rule:
  """Returns the rule for a path; see `vit.make_rule`."""
  rule = vit_layout.make_rule(path, model)
  if rule.name != 'patch_embed.proj.weight':
    return rule
  patch, tubelet = model['patch_size'], model['tubelet_size']
  shape = (tubelet, patch, patch, 3, -1)
  return state_dicts.Rule(
      rule.name,
      lambda weight: weight.transpose(2, 3, 4, 1, 0).reshape(-1, len(weight)),
      lambda kernel: kernel.reshape(shape).transpose(4, 3, 0, 1, 2),
  )


_BASE = vit_layout.LAYOUT._replace(
    infer_model=infer_model,
    make_rule=make_rule,
    canonicalize=canonicalize,
    licence=(
        'Weights of VideoMAE are under CC BY-NC 4.0: not for commercial use. Those of '
        'VideoMAE V2 are under CC BY-NC 4.0 or Apache-2.0, as the page of the file '
        'says. Other weights keep the licence of their source and of its data.'
    ),
    preprocessing='torchvision',
    # Decoders, the discriminator of MARLIN's training, and classifiers.
    unused=frozenset({
        'mask_token', 'decoder.', 'encoder_to_decoder.', 'enc_dec_proj.',
        'discriminator.', 'head.', 'classifier.',
    }),
)  # fmt: skip


# The first layout whose names are all in a file is the one of the file.
LAYOUTS: dict[str, state_dicts.Layout] = {
    'videomae': _BASE._replace(
        source='VideoMAE, fine-tuned',
        marks=state_dicts.marks(
            'patch_embed.proj.weight', 'blocks.0.attn.q_bias'
        ),
    ),
    'videomae_pretrained': _BASE._replace(
        source='VideoMAE, pretrained',
        marks=state_dicts.marks(
            'encoder.patch_embed.proj.weight', 'encoder.blocks.0.attn.q_bias'
        ),
    ),
    'marlin': _BASE._replace(
        source='MARLIN',
        marks=state_dicts.marks(
            'encoder.patch_embedding.projection.weight',
            'encoder.blocks.0.mlp.layers.0.linear.weight',
        ),
        infer_model=functools.partial(infer_model, norm_eps=1e-5),
        canonicalize=_canonicalize_marlin,
        licence=(
            'Weights of MARLIN are under CC BY-NC 4.0: not for commercial use.'
        ),
        preprocessing='marlin',
    ),
    'hf_videomae': _BASE._replace(
        source='Hugging Face VideoMAE with a decoder or a classifier',
        marks=state_dicts.marks(
            'videomae.embeddings.patch_embeddings.projection.weight',
            'videomae.encoder.layer.0.attention.attention.query.weight',
        ),
    ),
    'hf_videomae_bare': _BASE._replace(
        source='Hugging Face VideoMAE',
        marks=state_dicts.marks(
            'embeddings.patch_embeddings.projection.weight',
            'encoder.layer.0.attention.attention.query.weight',
        ),
    ),
}
