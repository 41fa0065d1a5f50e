"""Messages between the page and the server.

The page sends binary messages: the time of the picture in seconds, 8 bytes, float64,
big-endian; then the picture, JPEG. The server answers each one with JSON: `rows` or
`error`. Before the first one it sends `ready` or `busy`.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import json
import math
import struct
from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxtyping import UInt8
import numpy as np
import simplejpeg

from abaw_jax.core import errors
from abaw_jax.live_page import limits as limits_lib

Row = Mapping[str, Any]
_TIME = struct.Struct('>d')
_DIGITS = 5


@runtime_checkable
class Stream(Protocol):
  """Predicts the frames of one session; it keeps the state of its faces."""

  def push(
      self, image: UInt8[np.ndarray, 'h w 3'], timestamp: float
  ) -> Sequence[Row]:
    """Returns the rows of the next frame, one for each face.

    A row has the columns of the table. Without a face there is one row, with
    success = 0.

    Args:
      image: RGB.
      timestamp: in seconds, larger than before.
    """


@dataclasses.dataclass(frozen=True, kw_only=True)
class Description:
  """A model, as the page shows it.

  Attributes:
    name: of the model.
    columns: of the table, in order.
    outputs: those of valence, arousal, expression and au that the model has.
    expressions: names, in order; their columns are `expr_<name>`.
    aus: names of the action units, in order; these are also their columns.
  """

  name: str
  columns: tuple[str, ...]
  outputs: tuple[str, ...]
  expressions: tuple[str, ...] = ()
  aus: tuple[str, ...] = ()

  @classmethod
  def from_model(cls, model: Any) -> 'Description':
    """Returns the description of a `clips.model.Model`."""
    predictor = model.predictor
    return cls(
        name=predictor.info['name'],
        columns=tuple(column.name for column in model.columns()),
        outputs=tuple(predictor.outputs),
        expressions=tuple(predictor.expressions),
        aus=tuple(predictor.au_names),
    )


class Picture(NamedTuple):
  """A frame of a session."""

  timestamp: float  # seconds
  image: UInt8[np.ndarray, 'h w 3']  # RGB


def decode(message: bytes, limits: limits_lib.Limits) -> Picture:
  """Returns the picture in a message.

  Raises:
    InputError: it is no valid JPEG, or too large or too small.
  """
  encoded = message[_TIME.size :]
  if not encoded:
    raise errors.InputError(
        'the message has no picture; send its time and a JPEG'
    )
  (timestamp,) = _TIME.unpack_from(message)
  if not math.isfinite(timestamp):
    raise errors.InputError(f'time {timestamp}: send seconds')
  try:
    height, width, *_ = simplejpeg.decode_jpeg_header(encoded)
    _check_size(width, height, limits)
    image = simplejpeg.decode_jpeg(encoded, colorspace='RGB')
  except ValueError as e:
    raise errors.InputError(
        'the picture is no valid JPEG; send another one'
    ) from e
  return Picture(timestamp, image)


def rows(found: Sequence[Row], picture: Picture, latency: float) -> str:
  """Returns the answer to a picture.

  Args:
    found: its rows.
    picture: the picture.
    latency: seconds from the message to this answer.
  """
  height, width, _ = picture.image.shape
  return json.dumps({
      'type': 'rows',
      'width': width,
      'height': height,
      'latency_ms': round(1000 * latency, 1),
      'rows': [{name: _short(x) for name, x in row.items()} for row in found],
  }, allow_nan=False)  # fmt: skip


def error(message: str) -> str:
  """Returns the answer to a picture that cannot be used."""
  return json.dumps({'type': 'error', 'message': message})


READY = json.dumps({'type': 'ready'})
BUSY = json.dumps({'type': 'busy'})


def _short(value: Any) -> Any:
  """Returns a number without digits that have no meaning; NaN is missing."""
  if not isinstance(value, float):
    return value
  return round(value, _DIGITS) if math.isfinite(value) else None


def _check_size(width: int, height: int, limits: limits_lib.Limits) -> None:
  if width * height > limits.pixels or min(width, height) < limits.side:
    raise errors.InputError(
        f'the picture has {width} x {height} pixels; send at least '
        f'{limits.side} x {limits.side} and at most {limits.pixels:,} in total'
    )
