"""Affective behaviour analysis in JAX: valence-arousal, expressions and AUs."""

import pathlib

__version__ = '0.1.0'

# `configs` and `data_builders` are subpackages. A wheel has them in this folder,
# a checkout has them next to it.
_folder = pathlib.Path(__file__).parent
if not (_folder / 'configs').is_dir():
  __path__.append(str(_folder.parent))
