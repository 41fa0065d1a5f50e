"""Affective behaviour analysis in JAX: valence-arousal, expressions and AUs."""

__version__ = '0.1.0'
