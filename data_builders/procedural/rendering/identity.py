"""A person: proportions, colours, hair and the face at rest."""

import dataclasses

import numpy as np

from abaw_jax.data_builders.procedural.rendering import emotion

Colour = tuple[float, float, float]  # RGB, 0 to 255

SKIN: tuple[Colour, ...] = (
    (242, 206, 182),
    (236, 194, 164),
    (229, 184, 148),
    (214, 164, 124),
    (190, 136, 98),
    (160, 108, 76),
    (126, 84, 58),
    (98, 65, 48),
)
HAIR: tuple[Colour, ...] = (
    (28, 24, 24),
    (48, 34, 28),
    (78, 52, 36),
    (110, 74, 46),
    (168, 124, 72),
    (206, 172, 116),
    (140, 64, 36),
    (150, 148, 148),
    (208, 206, 204),
)
IRIS: tuple[Colour, ...] = (
    (66, 42, 28),
    (88, 58, 36),
    (110, 92, 56),
    (86, 112, 84),
    (92, 124, 152),
    (74, 96, 118),
)
CLOTH: tuple[Colour, ...] = (
    (52, 68, 92),
    (120, 44, 52),
    (222, 220, 214),
    (58, 92, 78),
    (44, 44, 50),
    (176, 132, 70),
    (110, 96, 140),
    (150, 168, 188),
)
HAIR_STYLES = {  # share, for feminine and masculine looks
    'short': (0.12, 0.42),
    'parted': (0.08, 0.2),
    'long': (0.34, 0.04),
    'fringe': (0.2, 0.06),
    'curly': (0.12, 0.1),
    'bun': (0.1, 0.0),
    'bald': (0.0, 0.18),
    'scarf': (0.04, 0.0),
}
BEARDS = {'none': 0.5, 'stubble': 0.22, 'moustache': 0.08, 'full': 0.2}
GLASSES = {'none': 0.76, 'round': 0.1, 'square': 0.14}


@dataclasses.dataclass(frozen=True)
class Identity:
  """A person; lengths are relative to the average face if not in pixels."""

  skin: Colour
  hair: Colour
  iris: Colour
  lips: Colour
  cloth: Colour
  hair_style: str
  beard: str
  glasses: str
  feminine: float  # 0 to 1, controls hair, beard, brows and lips
  age: float  # 0 (twenty) to 1 (eighty), controls lines and grey hair
  makeup: float  # 0 to 1
  freckles: float  # 0 to 1
  face_width: float
  jaw_width: float
  chin: float  # pixels by which the chin is lower
  cheeks: float  # -1 hollow to 1 full
  eye_size: float
  eye_gap: float  # pixels by which each eye is further out
  eye_tilt: float  # pixels by which the outer corner is higher
  lid: float  # 0 open to 1 heavy upper lids
  brow_height: float  # pixels above the average
  brow_arch: float  # pixels
  brow_weight: float
  nose_width: float
  nose_length: float  # pixels
  mouth_width: float
  lip_fullness: float
  ears: float
  rest: np.ndarray  # offsets of emotion.AUS in a face at rest
  gain: np.ndarray  # visible strength of each of emotion.AUS, around 1
  texture_seed: int
  texture: float = 1.0  # strength of the pattern and the lines of the skin


def _pick(rng: np.random.Generator, shares: dict[str, float]) -> str:
  weights = np.array(list(shares.values()))
  return str(rng.choice(list(shares), p=weights / weights.sum()))


def _jitter(rng: np.random.Generator, colour: Colour, scale: float) -> Colour:
  light = rng.normal(0, scale)
  return tuple(
      float(np.clip(c + light + rng.normal(0, scale / 3), 8, 252))
      for c in colour
  )


def _resting(rng: np.random.Generator) -> np.ndarray:
  """Returns the action units that a face at rest seems to have."""
  rest = np.abs(rng.normal(0, 0.04, len(emotion.AUS)))
  for unit, chance, size in (
      (15, 0.3, 0.45),
      (4, 0.25, 0.4),
      (12, 0.2, 0.3),
      (1, 0.15, 0.35),
      (7, 0.25, 0.4),
      (10, 0.15, 0.3),
      (24, 0.2, 0.35),
      (25, 0.15, 0.3),
      (6, 0.1, 0.3),
  ):
    if rng.random() < chance:
      rest[emotion.AUS.index(unit)] += size * rng.uniform(0.3, 0.8)
  return rest


def sample(rng: np.random.Generator) -> Identity:
  """Returns a random person."""
  feminine = float(np.clip(rng.choice([0.2, 0.8]) + rng.normal(0, 0.15), 0, 1))
  age = float(rng.beta(1.6, 2.2))
  tone = int(rng.integers(len(SKIN)))
  skin = _jitter(rng, SKIN[tone], 6)
  grey = age > 0.62 and rng.random() < 0.8
  dark = tone >= 4
  shades = HAIR[7:] if grey else HAIR[:3] if dark else HAIR[:7]
  hair = _jitter(rng, shades[rng.integers(len(shades))], 6)
  iris = IRIS[rng.integers(2 if dark else len(IRIS))]
  makeup = float(feminine > 0.5) * rng.uniform(0, 1)
  rose = np.array([178, 74, 78]) + makeup * np.array([6, -34, -22])
  lips = tuple(0.5 * np.array(skin) * (0.95, 0.8, 0.8) + 0.5 * rose)
  style = {
      name: feminine * f + (1 - feminine) * m
      for name, (f, m) in HAIR_STYLES.items()
  }
  masculine = feminine < 0.5
  return Identity(
      skin=skin,
      hair=hair,
      iris=_jitter(rng, iris, 5),
      lips=lips,
      cloth=_jitter(rng, CLOTH[rng.integers(len(CLOTH))], 10),
      hair_style=_pick(rng, style),
      beard=_pick(rng, BEARDS) if masculine else 'none',
      glasses=_pick(rng, GLASSES),
      feminine=feminine,
      age=age,
      makeup=makeup,
      freckles=float(rng.random() < 0.2) * rng.uniform(0.3, 1) * (tone < 4),
      face_width=rng.normal(1.0, 0.035),
      jaw_width=rng.normal(1.02 - 0.06 * feminine, 0.05),
      chin=rng.normal(0.0, 1.5),
      cheeks=float(np.clip(rng.normal(0, 0.5), -1, 1)),
      eye_size=rng.normal(1.0 + 0.06 * feminine, 0.06),
      eye_gap=rng.normal(0.0, 0.7),
      eye_tilt=rng.normal(0.4, 0.6),
      lid=float(np.clip(rng.normal(0.25 + 0.25 * age, 0.2), 0, 0.8)),
      brow_height=rng.normal(0.6 * feminine, 0.9),
      brow_arch=rng.normal(1.2 + 0.8 * feminine, 0.5),
      brow_weight=rng.normal(1.15 - 0.4 * feminine, 0.12),
      nose_width=rng.normal(1.06 - 0.12 * feminine, 0.1),
      nose_length=rng.normal(0.0, 1.2),
      mouth_width=rng.normal(1.0, 0.06),
      lip_fullness=rng.normal(0.9 + 0.25 * feminine, 0.14),
      ears=rng.normal(1.0, 0.12),
      rest=_resting(rng),
      gain=np.clip(rng.normal(1.2, 0.12, len(emotion.AUS)), 0.9, 1.5),
      texture_seed=int(rng.integers(2**31)),
  )


def retouched(who: Identity) -> Identity:
  """Returns the person as a generator shows people: young, smooth, large eyes."""
  return dataclasses.replace(
      who,
      age=0.3 * who.age,
      glasses='none',
      freckles=0.0,
      eye_size=1.1 * who.eye_size,
      rest=0.4 * who.rest,
      texture=0.35,
  )
