"""Action units, valence and arousal of each emotion.

Combinations of action units follow EMFACS (Friesen and Ekman, 1983) and Du, Tao
and Martinez (2014). Valence and arousal follow the circumplex of Russell (1980).
"""

import numpy as np

from abaw_jax.core import labels

# Units that move the face but are not annotated: upper lid raiser, nose wrinkler,
# chin raiser, lip stretcher. Fear and disgust need them.
UNANNOTATED_AUS = (5, 9, 17, 20)
AUS = labels.AU_NUMBERS + UNANNOTATED_AUS

# Per expression: (share of the segments, intensity of each unit at the apex).
VARIANTS = {
    'Neutral': (
        (0.7, {}),
        (0.2, {7: 0.3}),
        (0.1, {25: 0.45}),
    ),
    'Anger': (
        (0.4, {4: 1.0, 7: 0.9, 23: 0.9, 5: 0.5, 17: 0.3}),
        (0.3, {4: 1.0, 7: 0.8, 24: 1.0, 17: 0.5, 5: 0.4}),
        (0.3, {4: 1.0, 7: 0.8, 10: 0.7, 25: 0.8, 26: 0.4, 5: 0.6}),
    ),
    'Disgust': (
        (0.5, {9: 1.0, 10: 0.9, 4: 0.6, 7: 0.8, 25: 0.5, 17: 0.3}),
        (0.3, {9: 0.8, 10: 1.0, 6: 0.4, 7: 0.7, 15: 0.5, 17: 0.7}),
        (0.2, {9: 0.8, 10: 1.0, 25: 0.8, 26: 0.4, 7: 0.8}),
    ),
    'Fear': (
        (0.5, {1: 1.0, 2: 0.6, 4: 0.8, 5: 1.0, 20: 0.9, 25: 0.8, 26: 0.3}),
        (0.3, {1: 1.0, 4: 0.9, 5: 0.9, 7: 0.5, 20: 1.0, 25: 0.7}),
        (0.2, {1: 0.9, 2: 0.8, 4: 0.6, 5: 1.0, 25: 0.9, 26: 0.7, 20: 0.5}),
    ),
    'Happiness': (
        (0.4, {6: 0.9, 12: 1.0, 25: 0.8, 7: 0.3, 10: 0.5}),
        (0.3, {6: 0.6, 12: 0.8}),
        (0.3, {6: 1.0, 12: 1.0, 25: 1.0, 26: 0.6, 7: 0.6, 10: 0.5}),
    ),
    'Sadness': (
        (0.3, {1: 1.0, 4: 0.7, 15: 0.9, 17: 0.4}),
        (0.35, {1: 0.9, 4: 0.3, 15: 0.3, 17: 0.5, 25: 0.4}),
        (0.2, {1: 0.7, 4: 0.5, 15: 0.3, 17: 0.7}),
        (0.15, {1: 0.9, 15: 0.3, 17: 0.8, 7: 0.4, 24: 0.5}),
    ),
    'Surprise': (
        (0.6, {1: 1.0, 2: 1.0, 5: 0.8, 25: 0.9, 26: 0.9}),
        (0.25, {1: 0.9, 2: 1.0, 5: 0.9, 25: 0.6}),
        (0.15, {1: 0.9, 2: 0.9, 5: 0.6, 25: 0.9, 26: 0.6, 12: 0.6, 6: 0.3}),
    ),
    'Other': (
        (0.4, {10: 0.9, 7: 0.7, 25: 0.8}),
        (0.15, {4: 0.6, 7: 0.9, 10: 0.7}),
        (0.25, {12: 0.6, 6: 0.6, 10: 0.9, 7: 0.6, 25: 0.6}),
        (0.1, {1: 0.7, 2: 0.6, 10: 0.7, 25: 0.5}),
        (0.1, {4: 0.5, 24: 0.7, 12: 0.6, 10: 0.5}),
    ),
}

# Valence and arousal at the apex.
CIRCUMPLEX = {
    'Neutral': (0.04, 0.0),
    'Anger': (-0.62, 0.7),
    'Disgust': (-0.6, 0.35),
    'Fear': (-0.48, 0.8),
    'Happiness': (0.74, 0.45),
    'Sadness': (-0.6, -0.22),
    'Surprise': (0.16, 0.75),
    'Other': (0.02, 0.24),
}

# How often people speak, from 0 (never) to 1 (always).
TALK = {
    'Neutral': 0.45,
    'Anger': 0.3,
    'Disgust': 0.3,
    'Fear': 0.3,
    'Happiness': 0.4,
    'Sadness': 0.3,
    'Surprise': 0.3,
    'Other': 0.65,
}

# Units that are active independent of the emotion: fraction of the time.
HABITS = {
    1: 0.02,
    2: 0.01,
    4: 0.02,
    6: 0.05,
    7: 0.1,
    10: 0.1,
    12: 0.04,
    25: 0.2,
    26: 0.02,
}

# Change of valence and arousal by single units, independent of the emotion.
UNIT_VALENCE = {12: 0.18, 6: 0.06, 4: -0.12, 15: -0.1, 9: -0.1, 10: -0.05}
UNIT_AROUSAL = {5: 0.12, 26: 0.12, 25: 0.06, 2: 0.06, 7: 0.04}


def vector(weights: dict[int, float]) -> np.ndarray:
  """Returns `weights` in the order of AUS; units without a weight are 0."""
  return np.array([weights.get(unit, 0.0) for unit in AUS])


def apex(expression: str, rng: np.random.Generator) -> np.ndarray:
  """Returns the intensities in [0, 1] of AUS at the height of an expression."""
  shares, variants = zip(*VARIANTS[expression], strict=True)
  return vector(variants[rng.choice(len(variants), p=shares)])


def prototype(expression: str) -> np.ndarray:
  """Returns the intensities of AUS in the textbook form of an expression."""
  return vector(VARIANTS[expression][0][1])


def unit_affect() -> np.ndarray:
  """Returns [2, len(AUS)]: the change of valence and arousal by each unit."""
  return np.stack([vector(UNIT_VALENCE), vector(UNIT_AROUSAL)])
