"""Draws boxes, bars and a valence-arousal plane next to the frames of a clip."""

import collections
from collections.abc import Iterator

import cv2
from jaxtyping import UInt8
import numpy as np

from abaw_jax.tables import rows

Image = UInt8[np.ndarray, '_ _ 3']

# Smallest and largest height of the picture in pixels.
_HEIGHTS = (360, 720)
_PANEL = 216  # width of the panel, for a height of _HEIGHTS[0]
_ROW = 13  # height of a bar with its name
_PALETTE = (
    (255, 196, 61), (90, 200, 250), (255, 120, 150), (130, 220, 120),
    (200, 150, 255), (255, 150, 80),
)  # fmt: skip
_BACK, _TEXT = (24, 26, 30), (235, 235, 235)
_DIM, _GRID = (120, 124, 132), (58, 62, 70)
_TRAIL = 50  # frames
_FONT = cv2.FONT_HERSHEY_SIMPLEX


class Painter:
  """Draws the frames of one clip, in order.

  The panel on the right shows one face: the one that it showed last, if it is there,
  else the largest. The plane shows all faces.
  """

  def __init__(self, layout: rows.Layout, width: int, height: int):
    """Starts a clip.

    Args:
      layout: of the predictions.
      width: of the frames, in pixels.
      height: of the frames.
    """
    self._layout = layout
    self._height = _even(float(np.clip(height, *_HEIGHTS)))
    self._scale = self._height / _HEIGHTS[0]  # of the panel
    self._width = _even(width * self._height / height)
    self._panel_width = _even(_PANEL * self._scale)
    self._panel_face = -1
    self._trails: dict[int, collections.deque[tuple[float, float]]] = {}
    self._empty = self._make_panel()

  @property
  def size(self) -> tuple[int, int]:
    """(width, height) of the drawn frames in pixels, both even."""
    return self._width + self._panel_width, self._height

  def paint(self, image: Image, frame: rows.FrameRows) -> Image:
    """Returns a frame with its predictions."""
    height, width = image.shape[:2]
    # The images of a folder may have several sizes.
    zoom = np.array([self._width / width, self._height / height])
    method = cv2.INTER_AREA if zoom[1] < 1 else cv2.INTER_LINEAR
    picture = np.array(
        cv2.resize(image, (self._width, self._height), interpolation=method)
    )
    for face in frame.faces:
      self._paint_box(picture, face, zoom)
    return np.concatenate([picture, self._paint_panel(frame)], axis=1)

  def _paint_box(self, picture: Image, face: rows.FaceRow, zoom) -> None:
    color = _color(face.face_id)
    width = max(1, round(self._scale * (1 if face.interpolated else 2)))
    corners = face.geometry.reshape(-1, 2) * zoom
    (left, top), (right, bottom) = np.round(corners[:2]).astype(int).tolist()
    cv2.rectangle(picture, (left, top), (right, bottom), color, width)
    points = corners[2:]
    for x, y in points[~np.isnan(points).any(axis=1)]:
      cv2.circle(picture, (round(x), round(y)), width, color, -1, cv2.LINE_AA)
    text = f'{face.face_id}'
    if self._layout.expressions:
      best = int(self._layout.most_probable(face.values[None])[0])
      prob = face.values[self._layout.expression][best]
      text += f' {self._layout.expressions[best]} {100 * prob:.0f}%'
    size = 0.42 * self._scale
    (w, h), _ = cv2.getTextSize(text, _FONT, size, 1)
    x = int(np.clip(left, 0, max(self._width - w - 4, 0)))
    y = top - 4 if top > h + 8 else min(bottom + h + 6, self._height - 4)
    cv2.rectangle(picture, (x, y - h - 3), (x + w + 4, y + 3), color, -1)
    _write(picture, text, (x + 2, y), size, (0, 0, 0))

  def _paint_panel(self, frame: rows.FrameRows) -> Image:
    panel = self._empty.copy()
    face = self._choose(frame)
    minutes, seconds = divmod(frame.timestamp, 60)
    title = f'{minutes:.0f}:{seconds:05.2f}  '
    title += 'no face' if face is None else f'face {face.face_id}'
    title += '  damaged' if frame.is_corrupt else ''
    color = _DIM if face is None else _color(face.face_id)
    self._text(panel, title, 6, 15, color, 0.42)
    if face is not None:
      self._paint_bars(panel, face, color)
    if self._layout.va:
      self._paint_plane(panel, frame)
    return panel

  def _paint_bars(self, panel: Image, face: rows.FaceRow, color) -> None:
    prob = face.values[self._layout.expression]
    for i, (box, p) in enumerate(
        zip(self._expression_bars(), prob, strict=True)
    ):
      self._bar(panel, box, float(p), color if i == np.argmax(prob) else _DIM)
    for box, p in zip(
        self._au_bars(), face.values[self._layout.au], strict=True
    ):
      self._bar(panel, box, float(p), color if p >= 0.5 else _DIM)

  def _paint_plane(self, panel: Image, frame: rows.FrameRows) -> None:
    left, top, side = self._plane()
    here = {face.face_id: face for face in frame.faces}
    self._trails = {k: v for k, v in self._trails.items() if k in here}
    for face_id, face in here.items():
      trail = self._trails.setdefault(face_id, collections.deque(maxlen=_TRAIL))
      valence, arousal = np.clip(face.values[:2].astype(float), -1, 1)
      trail.append(
          (
              left + (valence + 1) / 2 * side,
              top + (1 - arousal) / 2 * side,
          )
      )
      points = np.round(np.array(trail) * self._scale).astype(np.int32)
      color = _color(face_id)
      cv2.polylines(panel, [points[:, None]], False, color, 1, cv2.LINE_AA)
      center = tuple(int(x) for x in points[-1])
      radius = max(3, round(4 * self._scale))
      cv2.circle(panel, center, radius, color, -1, cv2.LINE_AA)

  def _choose(self, frame: rows.FrameRows) -> rows.FaceRow | None:
    """Returns the face of the panel."""
    if not frame.faces:
      return None
    for face in frame.faces:
      if face.face_id == self._panel_face:
        return face
    largest = max(frame.faces, key=_area)
    self._panel_face = largest.face_id
    return largest

  def _make_panel(self) -> Image:
    """Returns the panel without values."""
    size = (self._height, self._panel_width, 3)
    panel = np.full(size, _BACK, np.uint8)
    names = (*self._layout.expressions, *self._layout.aus)
    bars = (*self._expression_bars(), *self._au_bars())
    for name, (left, top, width) in zip(names, bars, strict=True):
      at = left - (70 if name in self._layout.expressions else 36)
      self._text(panel, name, at, top + 9, _TEXT, 0.36)
      self._rectangle(panel, left, top + 2, width, 8, _GRID)
    if self._layout.va:
      left, top, side = self._plane()
      self._rectangle(panel, left, top, side, side, (36, 39, 45))
      middle = side / 2
      self._rectangle(panel, left, top + middle, side, 1, _GRID)
      self._rectangle(panel, left + middle, top, 1, side, _GRID)
      self._text(panel, 'arousal', left + middle + 3, top + 10, _DIM, 0.34)
      self._text(
          panel, 'valence', left + side - 44, top + middle + 11, _DIM, 0.34
      )
    return panel

  def _expression_bars(self) -> Iterator[tuple[float, float, float]]:
    """Yields (left, top, width) of each bar, for a scale of 1."""
    for i in range(len(self._layout.expressions)):
      yield 78, 24 + _ROW * i, _PANEL - 86

  def _au_bars(self) -> Iterator[tuple[float, float, float]]:
    top = 30 + _ROW * len(self._layout.expressions)
    half = -(-len(self._layout.aus) // 2)
    for i in range(len(self._layout.aus)):
      column, row = divmod(i, max(half, 1))
      yield 42 + column * 104, top + _ROW * row, 62

  def _plane(self) -> tuple[float, float, float]:
    """Returns (left, top, side) of the plane."""
    half = -(-len(self._layout.aus) // 2)
    top = 38 + _ROW * (len(self._layout.expressions) + half)
    side = min(_HEIGHTS[0] - 8 - top, _PANEL - 16)
    return (_PANEL - side) / 2, top, side

  def _bar(self, panel: Image, box, value: float, color) -> None:
    left, top, width = box
    share = min(max(value, 0.0), 1.0)
    self._rectangle(panel, left, top + 2, width * share, 8, color)

  def _rectangle(self, panel, left, top, width, height, color) -> None:
    x0, y0, x1, y1 = (
        round(v * self._scale) for v in (left, top, left + width, top + height)
    )
    panel[y0 : max(y1, y0 + 1), x0:x1] = color

  def _text(self, panel, text, left, bottom, color, size) -> None:
    at = round(left * self._scale), round(bottom * self._scale)
    _write(panel, text, at, size * self._scale, color)


def _write(image: Image, text: str, at, size: float, color) -> None:
  cv2.putText(image, text, at, _FONT, size, color, 1, cv2.LINE_AA)


def _color(face_id: int) -> tuple[int, int, int]:
  return _PALETTE[face_id % len(_PALETTE)]


def _area(face: rows.FaceRow) -> float:
  left, top, right, bottom = face.geometry[:4]
  return float((right - left) * (bottom - top))


def _even(size: float) -> int:
  return max(2, round(size / 2) * 2)
