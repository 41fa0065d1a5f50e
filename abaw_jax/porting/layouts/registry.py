"""All layouts of state dicts of other projects, by name."""

from collections.abc import Iterable, Mapping
import pathlib
from typing import Any

from abaw_jax.core import errors
from abaw_jax.porting.layouts import (
    densenet,
    efficientnet,
    hf_vit,
    iresnet,
    resnet,
    state_dicts,
)
from abaw_jax.porting.layouts import vit as vit_layout

LAYOUTS: dict[str, state_dicts.Layout] = {
    'vit': vit_layout.LAYOUT,
    'iresnet': iresnet.LAYOUT,
    'densenet': densenet.LAYOUT,
    'densenet_grey': densenet.GREY_LAYOUT,
    'efficientnet': efficientnet.LAYOUT,
    'resnet': resnet.LAYOUT,
    # `detect_layout` takes the first match, so the MAE comes first.
    'hf_vit_mae': hf_vit.MAE_LAYOUT,
    'hf_vit': hf_vit.LAYOUT,
    'hf_vit_bare': hf_vit.BARE_LAYOUT,
}


def layout_for(model: Mapping[str, Any]) -> state_dicts.Layout:
  """Returns the layout for writing the weights of a model.

  Args:
    model: `model` section of a config, of a `mae`, `vit` or `convnet`.
  """
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
  names = set(names)
  for name, layout in LAYOUTS.items():
    if layout.marks <= names:
      return name
  known = '; '.join(
      f'{layout.source} with {", ".join(sorted(layout.marks))}'
      for layout in LAYOUTS.values()
  )
  found = ', '.join(sorted(names)[:5]) or 'no tensor'
  raise errors.InputError(
      f'{checkpoint}: its tensors belong to no known architecture ({found}, '
      f'...); known architectures: {known}'
  )
