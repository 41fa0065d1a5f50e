"""Faces that another program has found, in a CSV file."""

import collections
from collections.abc import Callable, Mapping, Sequence
import csv
import math
import pathlib
import re

import numpy as np

from abaw_jax.core import errors, text_files
from abaw_jax.faces import face as face_lib
from abaw_jax.video import frames

_Row = Mapping[str, str]
# Box, and 68 or 5 points.
_Parser = Callable[[_Row], tuple[np.ndarray | None, np.ndarray | None]]
_RECTANGLE = ('FaceRectX', 'FaceRectY', 'FaceRectWidth', 'FaceRectHeight')
_EDGES = ('x1', 'y1', 'x2', 'y2')
_SCORES = ('confidence', 'FaceScore', 'score')
# The 68 points of iBUG: eyes, tip of the nose, corners of the mouth.
_IBUG = (range(36, 42), range(42, 48), (30,), (48,), (54,))
_NUMBER = re.compile(r'[^\s,;\[\]()]+')


class FaceTable:
  """Reads the faces of a frame from a table.

  | columns | program | first frame |
  | --- | --- | --- |
  | frame, confidence, success, x_0 ... x_67, y_0 ... y_67 | OpenFace | 1 |
  | frame, FaceRectX, FaceRectY, FaceRectWidth, FaceRectHeight, FaceScore | py-feat | 0 |
  | frame, x1, y1, x2, y2, score, kps | InsightFace | 0 |

  py-feat's points x_0 ... are read too. `kps` has ten numbers; columns kps_0 ... kps_9
  work as well, or none. OpenFace has no box, so it is the box around the points.
  """

  def __init__(self, path: pathlib.Path, _: int, min_confidence: float):
    """Reads the file; see `detectors.make_detector`.

    Raises:
      InputError: columns are missing, or a value is not a number.
    """
    self._faces = collections.defaultdict(list)
    with text_files.open_text(path, newline='') as file:
      rows = csv.DictReader(file, skipinitialspace=True)
      names = [name.strip() for name in rows.fieldnames or ()]
      rows.fieldnames = names
      parse, first = _format(names, path)
      for row in rows:
        try:
          face = _face(row, parse)
          number = _frame(row)
        except ValueError as e:
          raise errors.InputError(f'{path}:{rows.line_num}: {e}') from e
        if face is not None and face.confidence >= min_confidence:
          self._faces[number - first].append(face)

  def __call__(self, frame: frames.Frame) -> list[face_lib.Face]:
    """Returns all faces, the most confident first."""
    found = self._faces.get(frame.index, [])
    return sorted(found, key=lambda face: -face.confidence)


def _format(names: Sequence[str], path: pathlib.Path) -> tuple[_Parser, int]:
  """Returns the function from row to box and landmarks, and the first frame."""
  columns = set(names)
  has_points = {f'{axis}_{i}' for axis in 'xy' for i in range(68)} <= columns
  if 'frame' in columns:
    if columns >= set(_RECTANGLE):
      read = _ibug if has_points else lambda _: None
      return (lambda row: (_rectangle(row), read(row))), 0
    if has_points:
      return (lambda row: (None, _ibug(row))), 1
    if columns >= set(_EDGES):
      return (lambda row: (_numbers(row, _EDGES), _kps(row))), 0
  raise errors.InputError(
      f'{path}: no columns of OpenFace (frame, x_0, y_0 ...), py-feat (frame, '
      'FaceRectX ...) or InsightFace (frame, x1, y1, x2, y2)'
  )


def _face(row: _Row, parse: _Parser) -> face_lib.Face | None:
  """Returns the face of a row; None if the program found none."""
  if 'success' in row and _number(row, 'success') == 0:
    return None
  name = next((name for name in _SCORES if name in row), None)
  confidence = 1.0 if name is None else _number(row, name)
  box, points = parse(row)
  if points is not None and len(points) == 68:
    if box is None:
      box = np.concatenate([points.min(0), points.max(0)])
    points = np.stack([points[list(part)].mean(0) for part in _IBUG])
  if math.isnan(confidence) or np.isnan(box).any():
    return None  # py-feat has such rows for frames without a face
  if points is not None and np.isnan(points).any():
    points = None
  return face_lib.Face(
      box.astype(np.float32),
      None if points is None else points.astype(np.float32),
      min(max(confidence, 0.0), 1.0),
  )


def _frame(row: _Row) -> int:
  number = _number(row, 'frame')
  if not number.is_integer():
    raise ValueError(f'frame: not a whole number: {row["frame"]!r}')
  return int(number)


def _rectangle(row: _Row) -> np.ndarray:
  left, top, width, height = _numbers(row, _RECTANGLE)
  return np.array([left, top, left + width, top + height])


def _ibug(row: _Row) -> np.ndarray:
  return np.stack(
      [_numbers(row, [f'{axis}_{i}' for i in range(68)]) for axis in 'xy'], 1
  )


def _kps(row: _Row) -> np.ndarray | None:
  """Returns the five points of InsightFace, None if there are none."""
  if 'kps_0' in row:
    return _numbers(row, [f'kps_{i}' for i in range(10)]).reshape(5, 2)
  values = _NUMBER.findall(row.get('kps') or '')
  if not values:
    return None
  if len(values) != 10:
    raise ValueError(f'kps: {len(values)} numbers; give x and y of five points')
  return np.array([_float(x, 'kps') for x in values]).reshape(5, 2)


def _numbers(row: _Row, names: Sequence[str]) -> np.ndarray:
  return np.array([_number(row, name) for name in names])


def _number(row: _Row, name: str) -> float:
  return _float(row.get(name) or '', name)


def _float(text: str, name: str) -> float:
  """Returns a number; NaN for an empty cell or 'nan', which pandas writes."""
  text = text.strip()
  if text.lower() in ('', 'nan'):
    return math.nan
  try:
    return float(text)
  except ValueError as e:
    raise ValueError(f'{name}: {text!r} is not a number') from e
