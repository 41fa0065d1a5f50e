"""Takes a picture of a head: pose, occlusion, background, blur, noise, JPEG."""

import dataclasses

import cv2
import numpy as np

from abaw_jax.data_builders.procedural.rendering import (
    canvas,
    dynamics,
    occluder,
)
from abaw_jax.data_builders.procedural.rendering import scene as scene_lib

_CELL = 4  # pixels of a cell of the grid on which the pose is solved
_ROUNDS = 2  # iterations that solve the pose
_PIVOT = np.array([56.0, 64.0])  # centre of the rotation on the canvas ...
AIM = np.array([56.0, 60.0])  # ... and in the picture


@dataclasses.dataclass(frozen=True)
class Shot:
  """Pose, light and camera of one frame."""

  pose: np.ndarray  # [3] yaw, pitch, roll in degrees
  shift: np.ndarray  # [2] pixels
  lamp: np.ndarray  # [4], see relief.Relief.shade
  gain: float
  blur: float  # sigma in pixels
  smear: float  # pixels of motion blur to each side
  covered: bool  # whether the occluder of the scene covers the face
  place: np.ndarray  # [2] position of the occluder
  grain: np.ndarray  # int [2] offset into the noise bank


def shots(
    scene: scene_lib.Scene, track: dynamics.Track, rng: np.random.Generator
) -> list[Shot]:
  """Returns the shot of each frame of a track.

  Bad focus, motion, bad exposure and occluders last a fraction of a second, so
  the frames before and after show the hidden part of the face.
  """
  length, at = int(track.frame_id[-1]), track.frame_id - 1
  shift = 0.7 * dynamics.wander(rng, (length, 2), 0.8)[at]
  swing = 0.1 * dynamics.wander(rng, (length, 2), 4.0)[at]
  place = dynamics.wander(rng, (length, 2), 1.5)[at]
  lapses = dynamics.wander(rng, (length, 3), 0.2)[at].T
  dim, focus, hidden = np.zeros_like(lapses) if scene.steady else lapses
  return [
      Shot(
          pose=track.pose[i],
          shift=shift[i],
          lamp=np.add(scene.lamp, (*swing[i], 0.0, 0.0)),
          gain=scene.gain * (0.4 if dim[i] > 1.7 else 1 + 0.04 * dim[i]),
          blur=scene.blur + max(focus[i] - 1.1, 0) * 3.0,
          smear=max(-focus[i] - 1.3, 0) * 8,
          covered=bool(scene.occluder is not None and hidden[i] > 0.8),
          place=place[i],
          grain=rng.integers(scene_lib.NOISE - canvas.CROP, size=2),
      )
      for i in range(len(at))
  ]


def _rotation(pose: np.ndarray) -> np.ndarray:
  yaw, pitch, roll = np.deg2rad(pose)
  cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
  cr, sr = np.cos(roll), np.sin(roll)
  about_y = np.array([(cy, 0, sy), (0, 1, 0), (-sy, 0, cy)])
  about_x = np.array([(1, 0, 0), (0, cp, sp), (0, -sp, cp)])
  about_z = np.array([(cr, -sr, 0), (sr, cr, 0), (0, 0, 1)])
  return about_z @ about_x @ about_y


def turn(
    image: np.ndarray,
    depth: np.ndarray,
    pose: np.ndarray,
    shift: np.ndarray,
    zoom: float,
    *,
    size: tuple[int, int] = (canvas.CROP, canvas.CROP),
    scale: float = canvas.SCALE,
    border: int = cv2.BORDER_REPLICATE,
) -> np.ndarray:
  """Returns the picture [height, width, 4] of a turned head.

  Args:
    image: canvas of the frontal head.
    depth: [GRID, GRID] heights of the head in crop pixels.
    pose: [3] yaw, pitch and roll in degrees.
    shift: [2] pixels by which the head is off its place in a crop.
    zoom: pixels of the picture per crop pixel.
    size: width and height of the picture.
    scale: pixels of `image` per crop pixel.
    border: OpenCV's rule for pixels outside of `image`.
  """
  motion = zoom * _rotation(pose)
  cells = [-(-side // _CELL) for side in size]
  grid = [
      (np.arange(n) + 0.5) * (side / n)
      for n, side in zip(cells, size, strict=True)
  ]
  goal = np.stack(np.meshgrid(*grid), -1) - AIM - shift
  place = _solve(goal, depth, motion, _ROUNDS)
  origin = _PIVOT + canvas.MARGIN
  source = ((place + origin) * scale - 0.5).astype(np.float32)
  source = cv2.resize(source, size)
  return cv2.remap(image, source, None, cv2.INTER_LINEAR, borderMode=border)


def _solve(
    goal: np.ndarray, depth: np.ndarray, motion: np.ndarray, rounds: int
) -> np.ndarray:
  """Returns the points of the head that the picture shows at `goal` [h, w, 2].

  The rotation maps a point (x, y, z) of the head into the picture. Fixed-point
  iterations solve this for (x, y).
  """
  inverse = np.linalg.inv(motion[:2, :2]).T
  place = goal @ inverse
  for _ in range(rounds):
    z = _height(depth, place)
    place = (goal - z[..., None] * motion[:2, 2]) @ inverse
  return place


def _height(depth: np.ndarray, place: np.ndarray) -> np.ndarray:
  """Returns the heights [h, w] at points [h, w, 2] relative to the pivot."""
  at = (place + (_PIVOT + canvas.MARGIN) - 0.5).astype(np.float32)
  edge = cv2.BORDER_REPLICATE
  return cv2.remap(depth, at, None, cv2.INTER_LINEAR, borderMode=edge)


def project(
    points: np.ndarray,
    depth: np.ndarray,
    pose: np.ndarray,
    shift: np.ndarray,
    zoom: float,
) -> np.ndarray:
  """Returns where `turn` shows points [n, 2] of the frontal head.

  The left edge of the picture and its top edge are at 0; the centre of the first
  pixel is at 0.5.
  """
  # Coordinates of a drawing are those of pixel centres of the canvas.
  place = (np.asarray(points) + 0.5 / canvas.SCALE - _PIVOT)[None]
  motion = zoom * _rotation(pose)
  z = _height(depth, place)
  for _ in range(_ROUNDS + 1):
    goal = place @ motion[:2, :2].T + z[..., None] * motion[:2, 2]
    # The height that `turn` uses after its last but one round.
    z = _height(depth, _solve(goal, depth, motion, _ROUNDS - 1))
  return goal[0] + AIM + shift


def take(
    image: np.ndarray,
    depth: np.ndarray,
    skin: np.ndarray,
    scene: scene_lib.Scene,
    shot: Shot,
) -> np.ndarray:
  """Returns the picture, uint8 RGB [CROP, CROP, 3].

  Args:
    image: premultiplied canvas of the frontal head; changed by an occluder.
    depth: [GRID, GRID] heights of the head in crop pixels.
    skin: [3] skin colour, for a hand that covers the face.
    scene: room, light and camera of the video.
    shot: pose, light and camera of this frame.
  """
  if shot.covered:
    occluder.paint(image, scene.occluder, shot.place, skin)
  head = turn(image, depth, shot.pose, shot.shift, scene.zoom)
  corner = np.rint(canvas.MARGIN - 2 * shot.shift).astype(int)
  dx, dy = np.clip(corner, 0, 2 * canvas.MARGIN).tolist()
  room = scene.backdrop[dy : dy + canvas.CROP, dx : dx + canvas.CROP]
  return expose(composite(head, room), scene, shot)


def composite(layer: np.ndarray, picture: np.ndarray) -> np.ndarray:
  """Returns the premultiplied RGBA `layer` in front of an RGB `picture`."""
  clear = cv2.merge([cv2.bitwise_not(layer[..., 3])] * 3)
  front = cv2.cvtColor(layer, cv2.COLOR_RGBA2RGB)
  return cv2.add(front, cv2.multiply(picture, clear, scale=1 / 255))


def expose(
    picture: np.ndarray, scene: scene_lib.Scene, shot: Shot
) -> np.ndarray:
  """Returns an RGB `picture` with motion, focus, exposure and noise."""
  if shot.smear > 0.5:
    picture = cv2.blur(picture, (1 + 2 * int(shot.smear), 1))
  if shot.blur > 0.2:
    picture = cv2.GaussianBlur(picture, (0, 0), shot.blur)
  if scene.detail < canvas.CROP:
    small = cv2.resize(picture, (scene.detail,) * 2, None, 0, 0, cv2.INTER_AREA)
    picture = cv2.resize(small, (canvas.CROP,) * 2, None, 0, 0, cv2.INTER_CUBIC)
  gy, gx = shot.grain.tolist()
  height, width = picture.shape[:2]
  grain = scene.bank[gy : gy + height, gx : gx + width]
  return cv2.addWeighted(
      picture, shot.gain, grain, scene.noise, 0, dtype=cv2.CV_8U
  )


def encode(picture: np.ndarray, quality: int) -> bytes:
  """Returns an RGB picture as JPEG."""
  done, data = cv2.imencode(
      '.jpg', picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality]
  )
  if not done:
    raise RuntimeError('OpenCV could not encode a JPEG')
  return data.tobytes()
