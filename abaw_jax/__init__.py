"""Affective behaviour analysis in JAX: valence-arousal, expressions and AUs.

  import abaw_jax
  model = abaw_jax.load('bundle')
  table = model.predict('clip.mp4')

This import starts no JAX; `load` does.
"""

from __future__ import annotations

import os
import pathlib
import typing

if typing.TYPE_CHECKING:
  from abaw_jax.clips import model

__version__ = '0.1.0'

# `configs` and `data_builders` are subpackages. A wheel has them in this folder,
# a checkout has them next to it.
_folder = pathlib.Path(__file__).parent
if not (_folder / 'configs').is_dir():
  __path__.append(str(_folder.parent))


def load(bundle: str | os.PathLike[str]) -> model.Model:
  """Returns the model of a bundle, which `abaw-jax bundle` writes.

  Args:
    bundle: its folder, on a disk or in a bucket.

  Raises:
    InputError: the folder is no bundle, or a part of it is damaged.
  """
  from abaw_jax.core import failures, files

  failures.silence_libtpu()  # before JAX is imported
  from abaw_jax.bundles import bundle as bundles
  from abaw_jax.clips import model

  return model.Model(bundles.load(files.path(bundle)))
