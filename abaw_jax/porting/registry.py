"""All layouts of state dicts of other projects, by name."""

from collections.abc import Iterable, Mapping
import pathlib
import re
from typing import Any

import numpy as np

from abaw_jax.core import errors
from abaw_jax.porting.convnet_layouts import (
    convnext,
    densenet,
    efficientnet,
    iresnet,
    mobilefacenet,
    mobilevit,
    resnet,
    rexnet,
)
from abaw_jax.porting.layouts import (
    hf_vit,
    modern_vits,
    real_esrgan,
    state_dicts,
    video_vits,
)
from abaw_jax.porting.layouts import vit as vit_layout

# `detect_layout` takes the first match.
LAYOUTS: dict[str, state_dicts.Layout] = {
    **modern_vits.LAYOUTS,
    'vit': vit_layout.LAYOUT,
    'iresnet': iresnet.LAYOUT,
    'densenet': densenet.LAYOUT,
    'densenet_grey': densenet.GREY_LAYOUT,
    'efficientnet': efficientnet.LAYOUT,
    'resnet': resnet.LAYOUT,
    'convnextv2': convnext.LAYOUT,
    'convnextv2_facebook': convnext.FACEBOOK_LAYOUT,
    'mobilefacenet': mobilefacenet.LAYOUT,
    'mbf': mobilefacenet.MBF_LAYOUT,
    'ddamfn': mobilefacenet.DDAMFN_LAYOUT,
    'mobilevit': mobilevit.LAYOUT,
    'mobilevitv2': mobilevit.LAYOUT,
    'rexnet': rexnet.LAYOUT,
    'rrdb': real_esrgan.RRDB_LAYOUT,
    'compact': real_esrgan.COMPACT_LAYOUT,
    'hf_vit_mae': hf_vit.MAE_LAYOUT,
    'hf_vit': hf_vit.LAYOUT,
    'hf_vit_bare': hf_vit.BARE_LAYOUT,
    **video_vits.LAYOUTS,
}


# Wrappers of PyTorch, which can be anywhere in a name.
_WRAPPERS = re.compile(
    r'\b(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.'
)


# Networks for images in a file that also has one for text, or a classifier.
_IMAGE_TOWERS = (
    'vision_model.', 'visual.trunk.', 'visual.', 'dinov2.',
    'dinov2_with_registers.', 'dinov3_vit.',
)  # fmt: skip


def without_prefixes(tensors: state_dicts.Tensors) -> dict[str, np.ndarray]:
  """Returns a state dict without the names of the modules around its network.

  DataParallel, Lightning, `torch.compile` and training scripts add `module.`,
  `model.`, `_orig_mod.` and others, also several of them. All tensors must share
  a name to lose it. Of a model of images and text, only the network for images
  is left.
  """
  # A counter of averaged models, without effect on outputs.
  tensors = {
      _WRAPPERS.sub('', name): value
      for name, value in tensors.items()
      if name != 'n_averaged'
  }
  found = tensors
  while found and _find(found) is None:
    towers = [x for x in _IMAGE_TOWERS if any(k.startswith(x) for k in found)]
    first = next(iter(found)).partition('.')[0] + '.'
    first = towers[0] if towers else first
    inside = {
        name[len(first) :]: value
        for name, value in found.items()
        if name.startswith(first)
    }
    if not towers and len(inside) < len(found):
      return tensors
    found = inside
  return found


def _find(names: Iterable[str]) -> str | None:
  """Returns the name of the first layout that fits, or None."""
  names = set(names)
  found = (name for name, x in LAYOUTS.items() if x.marks <= names)
  return next(found, None)


def layout_for(model: Mapping[str, Any]) -> state_dicts.Layout:
  """Returns the layout for writing the weights of a model.

  Args:
    model: `model` section of a config, of a `mae`, `vit`, `convnet` or `sr`.
  """
  if 'network' in model:
    return LAYOUTS[model['network']]
  if 'patch_size' in model:
    return LAYOUTS['vit']
  family, *rest = model['backbone'].split('_')
  grey = [part for part in rest if part == 'grey']
  return LAYOUTS['_'.join([family, *grey])]


def detect_layout(names: Iterable[str], checkpoint: pathlib.Path) -> str:
  """Returns the name of the layout that a state dict has.

  Args:
    names: names of its tensors.
    checkpoint: file to name in messages.

  Raises:
    InputError: if it has no known layout.
  """
  if found := _find(names):
    return found
  known = '; '.join(dict.fromkeys(x.source for x in LAYOUTS.values()))
  found = errors.few(sorted(names)) or 'no tensor'
  raise errors.InputError(
      f'{checkpoint}: its tensors belong to no known architecture ({found}); '
      f'known architectures: {known}'
  )
