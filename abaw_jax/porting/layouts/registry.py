"""Every layout of another project's state dicts, by name."""

from collections.abc import Iterable, Mapping
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
    # The first whose marks are there counts.
    'hf_vit_mae': hf_vit.MAE_LAYOUT,
    'hf_vit': hf_vit.LAYOUT,
    'hf_vit_bare': hf_vit.BARE_LAYOUT,
}


def of_model(model: Mapping[str, Any]) -> state_dicts.Layout:
  """Returns the layout in which a model is written.

  Args:
    model: `model` section of a config, of a `mae`, `vit` or `convnet`.
  """
  if model['name'] != 'convnet':
    return LAYOUTS['vit']
  family, *rest = model['backbone'].split('_')
  grey = [part for part in rest if part == 'grey']
  return LAYOUTS['_'.join([family, *grey])]


def recognise(names: Iterable[str], where: str) -> str:
  """Returns which layout a state dict has, told by its names.

  Args:
    names: names of its tensors.
    where: file to name in messages.

  Raises:
    InputError: if it has none that is known.
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
      f'{where}: has the names of no known architecture ({found}, ...); known '
      f'are {known}'
  )
