"""The scene of a video: room, light and camera.

A corpus has two domains. `photo` is the default: faces as cameras see them.
`synthetic` faces look like the output of a face generator: even light, a plain
wall, a tighter crop, few details, no noise.
"""

import dataclasses

import cv2
import numpy as np

from abaw_jax.data_builders.procedural.rendering import canvas, occluder

NOISE = 256  # side of the noise bank
DOMAINS = ('photo', 'synthetic')
_DETAIL = 52  # pixels per side that a generator really draws


@dataclasses.dataclass(frozen=True)
class Scene:
  """The parts of a picture that do not change during a video."""

  backdrop: np.ndarray  # uint8 [GRID, GRID, 3]
  lamp: np.ndarray  # [4], see relief.Relief.shade
  tint: np.ndarray  # [3] colour of the light
  gain: float  # exposure
  blur: float  # sigma in pixels
  noise: float  # deviation in grey levels
  quality: int  # JPEG, 0 to 100
  zoom: float
  occluder: str | None
  bank: np.ndarray  # float32 [NOISE, NOISE, 3] unit noise
  detail: int = canvas.CROP  # pixels per side before the picture is enlarged
  steady: bool = False  # no frame has bad focus, bad exposure or an occluder


def _backdrop(rng: np.random.Generator) -> np.ndarray:
  """Returns a blurred room, street or studio, uint8 [GRID, GRID, 3]."""
  size = canvas.GRID
  base = rng.uniform(40, 210) + rng.normal(0, 14, 3)
  ramp = np.linspace(-0.5, 0.5, size)[:, None, None] * rng.normal(0, 40)
  image = np.broadcast_to(base + ramp, (size, size, 3))
  image = np.clip(image, 5, 250).astype(np.uint8)
  for _ in range(int(rng.integers(2, 9))):
    x, y = rng.integers(-20, size, 2).tolist()
    w, h = rng.integers(8, 70, 2).tolist()
    colour = base + rng.normal(0, 38) + rng.normal(0, 15, 3)
    colour = np.clip(colour, 0, 255).tolist()
    if rng.random() < 0.6:
      cv2.rectangle(image, (x, y), (x + w, y + h), colour, -1)
    else:
      cv2.circle(image, (x, y), w // 2, colour, -1)
  return cv2.GaussianBlur(image, (0, 0), rng.uniform(1.5, 5))


def _studio(rng: np.random.Generator) -> Scene:
  """Returns the scene of a generated face."""
  wall = np.array([rng.uniform(120, 215)] * 3) + rng.normal(0, 8, 3)
  ramp = np.linspace(0.1, -0.1, canvas.GRID)[:, None, None]
  backdrop = np.broadcast_to(wall * (1 + ramp), (canvas.GRID, canvas.GRID, 3))
  return Scene(
      backdrop=np.clip(backdrop, 0, 255).astype(np.uint8),
      lamp=np.array([rng.normal(0, 0.06), -0.12, 0.3, 0.82]),
      tint=np.array([1.05, 1.0, 0.96]),
      gain=1.0,
      blur=0.0,
      noise=0.0,
      quality=95,
      zoom=1.2,
      occluder=None,
      bank=np.zeros((NOISE, NOISE, 3), np.float32),
      detail=_DETAIL,
      steady=True,
  )


def sample(rng: np.random.Generator, domain: str = 'photo') -> Scene:
  """Returns a random room, light and camera of one of DOMAINS."""
  if domain == 'synthetic':
    return _studio(rng)
  lamp = np.array([rng.normal(0, 0.45), rng.uniform(-0.75, 0.1), 0.85])
  lamp *= rng.uniform(0.45, 0.85) / np.linalg.norm(lamp)
  ambient = 1.0 - 0.82 * np.linalg.norm(lamp)
  warm = rng.normal(0, 0.06)
  covers = rng.random() < 0.6
  return Scene(
      backdrop=_backdrop(rng),
      lamp=np.array([*lamp, ambient]),
      tint=np.array([1 + warm, 1.0, 1 - warm]),
      gain=float(np.clip(rng.normal(1.0, 0.13), 0.6, 1.2)),
      blur=float(np.clip(rng.gamma(1.6, 0.25), 0, 1.3)),
      noise=float(rng.uniform(1, 6)),
      quality=int(rng.integers(62, 96)),
      zoom=float(rng.normal(1.12, 0.02)),
      occluder=str(rng.choice(list(occluder.KINDS))) if covers else None,
      bank=rng.normal(0, 1, (NOISE, NOISE, 3)).astype(np.float32),
  )
