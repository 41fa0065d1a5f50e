"""Affective behaviour analysis in JAX: valence-arousal, expressions and AUs."""

import pathlib

__version__ = '0.1.0'

# `configs` and `data_builders` are parts of this package: a wheel holds them
# inside it, a checkout next to it.
_checkout = pathlib.Path(__file__).parents[1]
if (_checkout / 'configs' / 'base.py').is_file():
  __path__.append(str(_checkout))
