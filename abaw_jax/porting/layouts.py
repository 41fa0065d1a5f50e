"""Every layout of another project's state dicts, by name."""

from collections.abc import Iterable

from abaw_jax import errors
from abaw_jax.porting import state_dicts, vit_layout

LAYOUTS: dict[str, state_dicts.Layout] = {'vit': vit_layout.LAYOUT}


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
