"""Films a scene: pictures of several people in a room, and where they are."""

from collections.abc import Iterator
import dataclasses
import functools
from typing import NamedTuple

import cv2
import numpy as np

from abaw_jax.data_builders.procedural.rendering import bust as bust_lib
from abaw_jax.data_builders.procedural.rendering import (
    camera,
    canvas,
    dynamics,
    painter,
)
from abaw_jax.data_builders.procedural.rendering import face as face_lib
from abaw_jax.data_builders.procedural.rendering import identity as identity_lib
from abaw_jax.data_builders.procedural.rendering import scene as scene_lib
from abaw_jax.data_builders.procedural.scenes import body, plan, room, story

_NECK = np.array([face_lib.CENTRE, 116.0])  # joint of head and body
_HAIRLINE = 15.0  # y of the top of a face box
_FOCUS = 0.4  # blur of a wide view as a part of that of a close one
_DIM = 0.95  # least exposure; rooms are large, and small dark faces get lost
_DARKEST = 0.7  # a room never gets darker than this part of its exposure
_COARSE = 4  # pixels of a cell of the map of visible faces


class View(NamedTuple):
  """The face of a person in a frame; it can be partly outside of the picture."""

  person: int
  box: np.ndarray  # [4] left, top, right, bottom from hairline to chin
  landmarks: np.ndarray  # [5, 2] from the centre of the first pixel
  visible: float  # part of the face that is in the picture and not covered


class Picture(NamedTuple):
  """A frame: uint8 RGB [HEIGHT, WIDTH, 3] and the people of the shot."""

  image: np.ndarray
  shot: int
  views: list[View]


@dataclasses.dataclass(frozen=True)
class Actor:
  """A person of a scene, with everything that is painted once."""

  bust: bust_lib.Bust
  body: tuple[np.ndarray, np.ndarray]  # at canvas.SCALE and at half of it
  track: dynamics.Track
  walk: story.Walk
  shots: list[camera.Shot]


@functools.cache
def _fade() -> np.ndarray:
  """Returns the cover of the head's canvas: it ends softly on the body."""
  y = np.arange(canvas.SIZE) / canvas.SCALE - canvas.MARGIN
  edge = np.arange(canvas.SIZE) / 6
  soft = np.minimum(np.minimum(edge, edge[::-1]), 1)
  down = soft * np.clip((119.5 - y) / 7, 0, 1)
  cover = np.rint(255 * np.outer(down, soft)).astype(np.uint8)
  return cv2.merge([cover] * 4)


def _paste(picture: np.ndarray, layer: np.ndarray, x: int, y: int) -> None:
  """Draws `layer` on the picture, with its corner at (x, y)."""
  height, width = layer.shape[:2]
  x0, y0 = max(x, 0), max(y, 0)
  x1, y1 = min(x + width, story.WIDTH), min(y + height, story.HEIGHT)
  if x0 >= x1 or y0 >= y1:
    return
  view = picture[y0:y1, x0:x1]
  view[:] = camera.composite(
      np.ascontiguousarray(layer[y0 - y : y1 - y, x0 - x : x1 - x]),
      np.ascontiguousarray(view),
  )


def _draw_body(
    picture: np.ndarray,
    actor: Actor,
    neck: np.ndarray,
    roll: float,
    zoom: float,
) -> None:
  """Draws the body with its neck at a point of the picture."""
  layer = actor.body[0 if zoom > 0.5 * canvas.SCALE else 1]
  scale = len(layer) / body.HEIGHT
  cosine, sine = (
      zoom / scale * np.array([np.cos(roll), np.sin(roll)])
  ).tolist()
  joint = (_NECK + canvas.MARGIN - (body.LEFT, 0)) * scale
  half = int(0.52 * body.WIDTH * zoom) + 4
  left, top = max(int(neck[0]) - half, 0), max(int(neck[1] - 50 * zoom), 0)
  right = min(int(neck[0]) + half, story.WIDTH)
  if left >= right or top >= story.HEIGHT:
    return
  matrix = np.array([(cosine, -sine, 0), (sine, cosine, 0)])
  matrix[:, 2] = neck - (left, top) - matrix[:, :2] @ joint
  size = (right - left, story.HEIGHT - top)
  _paste(picture, cv2.warpAffine(layer, matrix, size), left, top)


def _draw_head(
    picture: np.ndarray,
    head: np.ndarray,
    depth: np.ndarray,
    pose: np.ndarray,
    place: np.ndarray,
    zoom: float,
) -> None:
  """Draws a canvas with the pivot of the head at `place`."""
  scale = canvas.SCALE
  if zoom < 0.8 * canvas.SCALE:  # without this, small heads would flicker
    side = round(canvas.GRID * 1.1 * zoom)
    head = cv2.resize(head, (side, side), interpolation=cv2.INTER_AREA)
    scale = side / canvas.GRID
  half = int(0.56 * canvas.GRID * zoom) + 2
  corner = np.floor(place).astype(int) - half
  if (corner > (story.WIDTH, story.HEIGHT)).any() or (corner < -2 * half).any():
    return
  layer = camera.turn(
      head,
      depth,
      pose,
      place - corner - camera.AIM,
      zoom,
      size=(2 * half, 2 * half),
      scale=scale,
      border=cv2.BORDER_CONSTANT,
  )
  _paste(picture, layer, *corner.tolist())


def _cast(
    scene: plan.Scene, look: scene_lib.Scene
) -> tuple[np.ndarray, list[Actor]]:
  """Returns the shot of each frame and the people."""
  rng = np.random.default_rng([*scene.key, 6])
  shot, walks = story.direct(len(scene.cast), scene.frames, scene.number, rng)
  actors = []
  for video, walk in zip(scene.cast, walks, strict=True):
    who = identity_lib.sample(np.random.default_rng([*video.person, 0]))
    track = dynamics.simulate(video, who, 1 + np.arange(scene.frames))
    track.pose[:, 0] += walk.turn
    layer = body.paint(who, look.lamp, look.tint)
    half = tuple(side // 2 for side in layer.shape[1::-1])
    actors.append(
        Actor(
            bust=bust_lib.build(who),
            body=(layer, cv2.resize(layer, half, None, 0, 0, cv2.INTER_AREA)),
            track=track,
            walk=walk,
            shots=camera.shots(
                look, track, np.random.default_rng([*video.key, 4])
            ),
        )
    )
  return shot, actors


def _view(
    person: int, actor: Actor, face: face_lib.Face, i: int, place: np.ndarray
) -> tuple[View, np.ndarray]:
  """Returns the view without its visibility, and the contour of the face [n, 2]."""
  zoom = float(actor.walk.zoom[i])
  depth, pose = actor.bust.relief.depth, actor.track.pose[i]
  rim = face.outline[face.outline[:, 1] > _HAIRLINE]
  rim, points = (
      camera.project(p, depth, pose, place - camera.AIM, zoom)
      for p in (rim, face_lib.landmarks(face))
  )
  box = np.concatenate([rim.min(0), rim.max(0)])
  return View(person, box, points - 0.5, 1.0), rim


def _visible(rims: list[np.ndarray], zooms: list[float]) -> list[float]:
  """Returns the visible part of each face; the nearest person comes last."""
  shape = (story.HEIGHT // _COARSE, story.WIDTH // _COARSE)
  taken = np.zeros(shape, np.uint8)
  parts = []
  for rim, zoom in zip(rims[::-1], zooms[::-1], strict=True):
    points = np.rint(rim / _COARSE * 16).astype(np.int32)
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [points], 1, cv2.LINE_8, 4)
    area = max(cv2.contourArea(rim.astype(np.float32)) / _COARSE**2, 1)
    parts.append(min(float((mask & ~taken).sum()) / area, 1.0))
    # Hair and shoulders cover more than the face.
    low, high = rim.min(0) / _COARSE, rim.max(0) / _COARSE
    middle, wide = (low + high) / 2, 8 * zoom / _COARSE
    axes = (high - low) / 2 + wide
    centre = tuple(np.rint(middle).astype(int).tolist())
    axes = tuple(np.rint(axes).astype(int).tolist())
    cv2.ellipse(taken, centre, axes, 0, 0, 360, 1, -1)
    reach = 88 * zoom / _COARSE
    x0, x1 = max(int(middle[0] - reach), 0), max(int(middle[0] + reach), 0)
    taken[max(int(high[1] + 2.5 * wide), 0) :, x0:x1] = 1
  return parts[::-1]


def film(scene: plan.Scene) -> tuple[list[dynamics.Track], Iterator[Picture]]:
  """Returns the labels of each person, and the pictures one by one."""
  look = scene_lib.sample(np.random.default_rng([*scene.key, 2]))
  look = dataclasses.replace(
      look,
      occluder=None,  # people cover each other instead
      gain=max(look.gain, _DIM),
      bank=np.tile(look.bank, (3, 4, 1)),
  )
  shot, actors = _cast(scene, look)
  return [a.track for a in actors], _pictures(scene, look, shot, actors)


def _pictures(
    scene: plan.Scene,
    look: scene_lib.Scene,
    shot: np.ndarray,
    actors: list[Actor],
) -> Iterator[Picture]:
  rng = np.random.default_rng([*scene.key, 7])
  drift = np.clip(2.5 * dynamics.wander(rng, (scene.frames, 2), 2.0), -9, 9)
  backdrop = room.paint(scene.key, 0)
  for i in range(scene.frames):
    if i and shot[i] != shot[i - 1]:
      backdrop = room.paint(scene.key, int(shot[i]))
    x, y = np.rint(room.BORDER + drift[i]).astype(int).tolist()
    picture = backdrop[y : y + story.HEIGHT, x : x + story.WIDTH].copy()
    order = [k for k, a in enumerate(actors) if a.walk.present[i]]
    order.sort(key=lambda k: actors[k].walk.zoom[i])
    found = []
    for k in order:
      found.append(_draw(picture, k, actors[k], i, look, drift[i]))
    zooms = [float(actors[k].walk.zoom[i]) for k in order]
    parts = _visible([rim for _, rim in found], zooms)
    views = [
        v._replace(visible=p) for (v, _), p in zip(found, parts, strict=True)
    ]
    lens = actors[0].shots[i]
    lens = dataclasses.replace(
        lens, grain=rng.integers(scene_lib.NOISE // 2, size=2)
    )
    yield Picture(camera.expose(picture, look, lens), int(shot[i]), views)


def _draw(
    picture: np.ndarray,
    person: int,
    actor: Actor,
    i: int,
    look: scene_lib.Scene,
    drift: np.ndarray,
) -> tuple[View, np.ndarray]:
  """Draws a person; returns the view and the contour of the face."""
  track, zoom = actor.track, float(actor.walk.zoom[i])
  units, pose, depth = track.units[i], track.pose[i], actor.bust.relief.depth
  place = actor.walk.place[i] - drift
  face = face_lib.build(
      actor.bust.who, units, track.gaze[i], float(track.blink[i])
  )
  view, rim = _view(person, actor, face, i, place)
  if not -2 * room.BORDER < place[0] + 100 * zoom < story.WIDTH + 220 * zoom:
    return view, rim
  neck = camera.project(_NECK[None], depth, pose, place - camera.AIM, zoom)[0]
  _draw_body(picture, actor, neck, float(np.deg2rad(0.5 * pose[2])), zoom)
  head = painter.paint(actor.bust, face, units, actor.shots[i].lamp, look.tint)
  head = cv2.multiply(head, _fade(), scale=1 / 255)
  _draw_head(picture, head, depth, pose, place, zoom)
  return view, rim
