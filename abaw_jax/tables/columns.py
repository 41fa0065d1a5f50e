"""Columns of a table: names, types, units, ranges and meanings."""

from collections.abc import Iterable, Sequence
import itertools
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from abaw_jax.tables import rows

_PART = 256  # frames
_PIXELS = 'pixels of the upright image; 0 is its left or top edge'


class Column(NamedTuple):
  """A column of the table.

  Attributes:
    name: in the header.
    type: of Arrow.
    unit: of the values; '' = none.
    range: valid values in words.
    meaning: one sentence.
  """

  name: str
  type: pa.DataType
  unit: str
  range: str
  meaning: str

  def to_json(self) -> dict[str, str]:
    """Returns the column as JSON."""
    return self._asdict() | {'type': str(self.type)}


def make_columns(
    layout: rows.Layout, *, adaptive: bool, interpolate: bool
) -> list[Column]:
  """Returns the columns of a table.

  Args:
    layout: of the predictions.
    adaptive: whether some faces are not read by the backbone.
    interpolate: whether gaps are filled.
  """
  flag, number = pa.int8(), pa.float32()
  columns = [
      Column('frame', pa.int32(), '', '0, 1, ...',
             'Number of the frame in the clip, in order of presentation.'),
      Column('timestamp', pa.float64(), 's', 'any',
             'Time at which the frame is shown.'),
      Column('face_id', pa.int32(), '', '0, 1, ...; empty without a face',
             'Number of the face in this clip; the same as long as it is tracked.'),
      Column('confidence', number, '', '0..1',
             'How sure the detector is that this is a face.'),
      Column('success', flag, '', '0 or 1',
             '1: a face was found in this frame.'),
  ]  # fmt: skip
  columns += [
      Column(name, number, 'px', 'any', f'Edge of the box, in {_PIXELS}.')
      for name in rows.BOX
  ]
  columns += [
      Column(name, number, 'px', 'any; empty if the detector has no landmarks',
             f'Landmark, in {_PIXELS}; left and right as in the image.')
      for name in rows.GEOMETRY[len(rows.BOX) :]
  ]  # fmt: skip
  if layout.va:
    columns += [
        Column('valence', number, '', 'about -1..1',
               'How negative (-1) or positive (1) the expression is.'),
        Column('arousal', number, '', 'about -1..1',
               'How passive (-1) or active (1) the expression is.'),
    ]  # fmt: skip
  if layout.expressions:
    columns += [
        Column(f'expr_{name}', number, 'probability', '0..1',
               f'Probability of the expression {name}; the sum over all is 1.')
        for name in layout.expressions
    ]  # fmt: skip
    columns.append(
        Column('expression', pa.string(), '', ', '.join(layout.expressions),
               'The most probable expression.')
    )  # fmt: skip
  for name in layout.aus:
    columns.append(
        Column(name, number, 'probability', '0..1',
               f'Probability of action unit {int(name[2:])} of FACS.')
    )  # fmt: skip
  for name in layout.aus:
    columns.append(
        Column(f'{name}_present', flag, '', '0 or 1',
               f'1: {name} is at least 0.5, so the action unit is present.')
    )  # fmt: skip
  columns += [
      Column('is_corrupt', flag, '', '0 or 1',
             '1: the decoder found damage in this frame.'),
      Column('detected', flag, '', '0 or 1; empty without a face',
             '1: the detector saw this face; 0: its position is tracked.'),
  ]  # fmt: skip
  if adaptive:
    columns.append(
        Column('is_read', flag, '', '0 or 1; empty without a face',
               '0: the features of this face are interpolated in time.')
    )  # fmt: skip
  if interpolate:
    columns.append(
        Column('interpolated', flag, '', '0 or 1',
               '1: no face was found; the row lies between two others.')
    )  # fmt: skip
  return columns


def arrow_schema(columns: Sequence[Column]) -> pa.Schema:
  """Returns the schema of the table."""
  return pa.schema([(column.name, column.type) for column in columns])


def make_batch(
    frames: Sequence[rows.FrameRows],
    layout: rows.Layout,
    schema: pa.Schema,
) -> pa.RecordBatch:
  """Returns the rows of frames; a frame without a face is one row.

  Args:
    frames: in order.
    layout: of the predictions.
    schema: of `arrow_schema`.
  """
  found = [(frame, face) for frame in frames for face in frame.faces or (None,)]
  faces = [face for _, face in found]
  absent = np.array([face is None for face in faces], bool)
  filled = np.array([x is not None and x.interpolated for x in faces], bool)

  def of_frames(name: str) -> list[Any]:
    return [getattr(frame, name) for frame, _ in found]

  def of_faces(name: str) -> list[Any]:
    return [None if x is None else getattr(x, name) for x in faces]

  values: dict[str, Any] = {
      'frame': of_frames('index'),
      'timestamp': of_frames('timestamp'),
      'is_corrupt': of_frames('is_corrupt'),
      'face_id': of_faces('face_id'),
      'confidence': of_faces('confidence'),
      'detected': of_faces('detected'),
      'is_read': of_faces('is_read'),
      'success': ~absent & ~filled,
      'interpolated': filled,
  }
  geometry = _stacked(faces, 'geometry', len(rows.GEOMETRY))
  values |= dict(zip(rows.GEOMETRY, geometry.T, strict=True))
  matrix = _stacked(faces, 'values', len(layout.names))
  values |= dict(zip(layout.names, matrix.T, strict=True))
  for name, prob in zip(layout.aus, matrix[:, layout.au].T, strict=True):
    values[f'{name}_present'] = np.where(np.isnan(prob), np.nan, prob >= 0.5)
  if layout.expressions:
    best = layout.most_probable(matrix)
    values['expression'] = [
        None if missing else layout.expressions[i]
        for i, missing in zip(best, absent, strict=True)
    ]
  return pa.record_batch(
      [_array(values[field.name], field.type) for field in schema], schema
  )


def make_table(
    frames: Iterable[rows.FrameRows],
    layout: rows.Layout,
    schema: pa.Schema,
) -> pa.Table:
  """Returns the rows of frames that come one by one; see `make_batch`."""
  iterator = iter(frames)
  parts = []
  while part := list(itertools.islice(iterator, _PART)):
    parts.append(make_batch(part, layout, schema))
  return pa.Table.from_batches(parts, schema)


def _stacked(
    faces: Sequence[rows.FaceRow | None], name: str, width: int
) -> np.ndarray:
  """Returns vectors of faces; NaN where there is no face."""
  empty = np.full(width, np.nan, np.float32)
  vectors = [empty if x is None else getattr(x, name) for x in faces]
  return np.array(vectors, np.float32).reshape(-1, width)


def _array(values: Any, kind: pa.DataType) -> pa.Array:
  """Returns a column; None and NaN are missing."""
  if isinstance(values, np.ndarray) and values.dtype.kind == 'f':
    missing = np.isnan(values)
    values = np.where(missing, 0, values)
    return pa.array(values, mask=missing).cast(kind)
  if isinstance(values, np.ndarray):
    return pa.array(values.astype(np.int8), kind)
  if kind == pa.int8():
    values = [None if x is None else int(x) for x in values]
  return pa.array(values, kind)
