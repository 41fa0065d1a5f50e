"""The curves of a frontal face, from an identity and its action units.

Coordinates are pixels of the final 112x112 crop, x to the right, y down. `camera`
turns the head. A canvas has a margin around the crop.
"""

import dataclasses

import numpy as np

from abaw_jax.data_builders.procedural.rendering import canvas, emotion
from abaw_jax.data_builders.procedural.rendering import identity as identity_lib

CENTRE = 56.0
BROW_Y, EYE_Y, NOSE_Y, MOUTH_Y = 40.0, 49.0, 68.0, 83.0
EYE_X = 16.0
_TIP = (0.0, -2.5)  # tip of the nose above the nostrils

# Right half of the head from the crown to the chin: x from the middle, y, and the
# weights by which each point moves with cheeks, jaw and chin.
_OUTLINE = np.array(
    [
        (5, 6, 0, 0, 0),
        (17, 9, 0, 0, 0),
        (27, 18, 0, 0, 0),
        (33, 32, 0, 0, 0),
        (34.5, 46, 0, 0, 0),
        (34, 58, 0.5, 0, 0),
        (32, 70, 1, 0.3, 0),
        (28.5, 82, 1, 0.6, 0),
        (21.5, 94, 0, 0.9, 0.7),
        (12, 101.5, 0, 1, 1),
        (4, 103.5, 0, 1, 1),
    ]
)

_T = np.linspace(-1, 1, 17)
_ARC = np.clip(1 - _T**2, 0, 1)
_BROW_T = np.linspace(0, 1, 9)


@dataclasses.dataclass(frozen=True)
class Eye:
  """One eye: lid margins [n, 2] from left to right, iris and lid crease."""

  upper: np.ndarray
  lower: np.ndarray
  crease: np.ndarray  # fold above the upper lid
  iris: np.ndarray  # centre [2]
  radius: float
  side: int  # -1 for the eye on the left of the picture, 1 on the right


@dataclasses.dataclass(frozen=True)
class Mouth:
  """Lip contours [n, 2] from left to right, from top to bottom."""

  upper_outer: np.ndarray
  upper_inner: np.ndarray
  lower_inner: np.ndarray
  lower_outer: np.ndarray
  gap: float  # pixels between the lips in the middle
  teeth: float  # pixels of the upper teeth that can show


@dataclasses.dataclass(frozen=True)
class Face:
  """All curves of one frame."""

  outline: np.ndarray  # closed [n, 2]
  brows: tuple[np.ndarray, np.ndarray]  # closed [n, 2]
  eyes: tuple[Eye, Eye]
  mouth: Mouth
  nose: np.ndarray  # [2]: middle of the nostrils
  jaw: float  # pixels the chin is lower than at rest


def smooth(points: np.ndarray, rounds: int = 2) -> np.ndarray:
  """Returns the closed curve [n * 2**rounds, 2] with the corners rounded."""
  for _ in range(rounds):  # Chaikin's corner cutting
    following = np.concatenate([points[1:], points[:1]])
    points = np.stack(
        [0.75 * points + 0.25 * following, 0.25 * points + 0.75 * following], 1
    ).reshape(-1, 2)
  return points


def half(curve: np.ndarray, side: int | np.integer) -> np.ndarray:
  """Moves a curve with x from the middle of the face to one side of the picture."""
  return curve * (side, 1) + np.array([CENTRE, 0.0])


def mirror(right: np.ndarray) -> np.ndarray:
  """Returns the closed outline from its right half, given from top to bottom."""
  return np.concatenate([half(right, 1), half(right, -1)[::-1]])


def outline(who: identity_lib.Identity, jaw: float) -> np.ndarray:
  """Returns the closed contour [n, 2] of the head without hair and ears."""
  x, y, cheek, drop, chin = _OUTLINE.T
  width = who.face_width * np.where(drop > 0.5, who.jaw_width, 1.0)
  x = x * width + 1.2 * who.cheeks * cheek
  return smooth(mirror(canvas.curve(x, y + jaw * drop + who.chin * chin)))


def _eye(
    who: identity_lib.Identity,
    a: dict[int, float],
    side: int,
    gaze: np.ndarray,
    blink: float,
) -> Eye:
  wide = 7.9 * who.eye_size
  x = CENTRE + side * (EYE_X + who.eye_gap) + wide * _T
  tilt = -side * who.eye_tilt * _T  # y grows downwards
  up = 4.9 * who.eye_size * (1 - 0.25 * who.lid)
  up += 2.6 * a[5] + 0.5 * a[2] - 1.5 * a[7] - 0.5 * a[6] - 0.6 * a[9]
  up -= 0.5 * a[4]
  low = 3.0 * who.eye_size - 1.5 * a[7] - 1.4 * a[6] - 0.9 * a[9] + 0.2 * a[5]
  up, low = max(up, 0.5), max(low, 0.35)
  closed = 1 - blink
  # The upper lid is lower at the outer corner; its peak is nearer to the nose.
  lid = np.clip(1 - np.abs(_T + 0.1 * side * _ARC) ** 2.3, 0, 1)
  upper = EYE_Y + tilt - (up * closed - low * blink * 0.8) * lid
  lower = EYE_Y + tilt + low * _ARC**0.8
  lift = 2.2 - 0.8 * who.lid - 0.5 * a[4] - 0.6 * a[9] + 0.7 * (a[1] + a[2])
  lift = up * (0.4 + 0.6 * closed) + max(lift, 0.6)
  crease = EYE_Y + tilt - lift * lid**0.8
  radius = 3.9 * who.eye_size**0.5
  rise = 0.4 + 0.25 * (up - low - 1)
  iris = np.array([x[8] + 2.6 * gaze[0], EYE_Y + 1.6 * gaze[1] - rise])
  curves = [canvas.curve(x, y) for y in (upper, lower, crease)]
  return Eye(*curves, iris=iris, radius=radius, side=side)


def _brow(
    who: identity_lib.Identity, a: dict[int, float], side: int
) -> np.ndarray:
  t = _BROW_T
  inner, outer = (1 - t) ** 1.5, t**0.8 * (1 - 0.25 * t**3)
  x = 6.5 + 20.5 * t - (2.6 * a[4] + 0.8 * a[9]) * inner
  arch = who.brow_arch * np.sin(np.pi * np.clip(t * 0.85 + 0.1, 0, 1))
  y = BROW_Y - who.brow_height - arch + 1.6 * t**2
  y += -4.6 * a[1] * inner - 4.6 * a[2] * outer
  y += a[4] * (4.0 * inner + 1.2 * (1 - inner)) + 2.2 * a[9] * inner
  y -= 0.8 * a[5]
  weight = np.interp(t, (0, 0.2, 0.6, 1), (0.75, 1, 0.85, 0.2))
  thick = 1.75 * who.brow_weight * weight
  x = CENTRE + side * (x + who.eye_gap)
  top, bottom = canvas.curve(x, y - thick), canvas.curve(x, y + thick)
  return smooth(np.concatenate([top, bottom[::-1]]), 1)


def _mouth(
    who: identity_lib.Identity, a: dict[int, float], jaw: float
) -> Mouth:
  wide = 13.0 * who.mouth_width
  wide *= 1 + 0.24 * a[12] + 0.16 * a[20] - 0.2 * a[23] - 0.06 * a[24]
  wide *= 1 - 0.17 * a[26] * (1 - min(a[12] + a[20], 1)) + 0.04 * a[15]
  tight = (1 - 0.55 * a[23]) * (1 - 0.78 * a[24])
  stretch = 1 - 0.18 * a[12] - 0.2 * a[20]
  top = 3.5 * who.lip_fullness * tight * stretch * (1 - 0.15 * a[10])
  bottom = 4.7 * who.lip_fullness * tight * stretch * (1 + 0.12 * a[17])
  corner = -5.2 * a[12] + 4.4 * a[15] + 0.9 * a[20] + 0.42 * jaw
  part = 3.6 * a[25] * (1 - 0.7 * a[24]) * (1 + 0.4 * a[12])
  gap = part + 0.95 * jaw
  if gap < 0.4:
    part = gap = 0.0
  middle = MOUTH_Y + 0.9 * a[12] - 2.0 * a[17] + 0.1 * jaw
  x = CENTRE + wide * _T * (1.08 - 0.08 * _T**2)
  bend = np.abs(_T) ** 2.2
  line = middle + corner * bend - 0.8 * a[15] * _ARC
  # AU 10 lifts the middle of each half of the lip, which squares the mouth.
  sneer = 2.9 * a[10] * _ARC**0.7 + 0.9 * a[9] * _ARC
  bow = 1 - 0.3 * np.exp(-((_T / 0.13) ** 2)) * (1 - 0.6 * a[12])
  up = 0.4 * part * (1 - 0.8 * a[12])
  ui = line - up * _ARC**0.6 - sneer * (0.35 + 0.65 * a[25])
  li = np.maximum(line + (gap - up) * _ARC**0.55, ui)
  dip = 0.5 * np.exp(-((_T / 0.3) ** 2)) * (gap == 0)
  ui, li = ui + dip, li + dip
  uo = ui - top * _ARC**0.75 * bow - sneer * (0.65 - 0.65 * a[25])
  lo = li + bottom * _ARC**0.6 * (1 + 0.1 * np.cos(np.pi * _T))
  curves = [canvas.curve(x, y) for y in (uo, ui, li, lo)]
  teeth = 1.5 + 2.6 * min(a[12] + a[10] + 0.5 * a[20], 1.0)
  return Mouth(*curves, gap=gap, teeth=teeth)


def build(
    who: identity_lib.Identity,
    units: np.ndarray,
    gaze: np.ndarray,
    blink: float,
) -> Face:
  """Returns the curves of a face.

  Args:
    who: the person.
    units: visible intensities of emotion.AUS, 0 to about 1.3.
    gaze: [2], -1 to 1, right and down.
    blink: 0 open to 1 closed.
  """
  a = dict(zip(emotion.AUS, units.tolist(), strict=True))
  jaw = 8.0 * a[26] + 0.8 * a[25]
  eyes = tuple(_eye(who, a, side, gaze, blink) for side in (-1, 1))
  brows = tuple(_brow(who, a, side) for side in (-1, 1))
  nose = np.array([CENTRE, NOSE_Y + who.nose_length - 1.2 * a[9] - 0.7 * a[10]])
  return Face(
      outline=outline(who, jaw),
      brows=brows,
      eyes=eyes,
      mouth=_mouth(who, a, jaw),
      nose=nose,
      jaw=jaw,
  )


def landmarks(face: Face) -> np.ndarray:
  """Returns [5, 2]: middles of the eyes, tip of the nose, corners of the mouth.

  The first eye and the first corner are the left ones in the picture.
  """
  eyes = [eye.upper[[0, -1]].mean(0) for eye in face.eyes]
  return np.stack([*eyes, face.nose + _TIP, *face.mouth.upper_inner[[0, -1]]])
