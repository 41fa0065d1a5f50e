"""Checks of files of other projects before their conversion."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from abaw_jax.conversion import identification
from abaw_jax.core import errors, files


def check_finite(
    tensors: Mapping[str, np.ndarray], checkpoint: files.Path
) -> None:
  """Raises an InputError if a tensor has values that float32 cannot hold."""
  with np.errstate(over='ignore'):
    wrong = [
        name
        for name, x in tensors.items()
        if not np.isfinite(x.astype(np.float32)).all()
    ]
  if wrong:
    raise errors.InputError(
        f'{checkpoint}: {errors.few(wrong)} has NaN or Inf'
        f'{f", and {len(wrong) - 5} more" if len(wrong) > 5 else ""}; convert a '
        'checkpoint from before the training diverged'
    )


def check_arch(
    model: Mapping[str, Any], arch: str | None, checkpoint: files.Path
) -> None:
  """Raises an InputError if the file has another backbone than `arch`."""
  wanted = identification.TIMM_NAMES.get(arch, arch)
  if arch is not None and model['backbone'] != wanted:
    raise errors.InputError(
        f'--arch={arch}: {checkpoint} has {model["backbone"] or "another ViT"}; '
        'omit --arch to convert it'
    )
