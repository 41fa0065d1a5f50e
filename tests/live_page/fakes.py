"""A model without JAX, its server, and a camera that shows rendered faces."""

from collections.abc import Iterator
import contextlib
import math
import pathlib
import threading
import types
from typing import Any

import cv2
import numpy as np
import pytest

from abaw_jax.core import labels
from abaw_jax.data_builders.procedural import sheet
from abaw_jax.data_builders.procedural.rendering import (
    bust,
    camera,
    emotion,
    identity,
)

MESSAGE_BYTES = 2**18
WIDTH, HEIGHT = 320, 180  # of the camera
CORNER = 32
# Left, top, right and bottom of the two faces, as parts of the picture.
BOXES = ((0.14, 0.12, 0.46, 0.92), (0.58, 0.2, 0.84, 0.86))


class Stream:
  """Knows where the faces are; its values depend on the number of the frame.

  Attributes:
    rows: all rows that it returned.
    pushed: all images and times that it got.
  """

  def __init__(self):
    self.pushed: list[tuple[np.ndarray, float]] = []
    self.rows: list[dict[str, Any]] = []
    self._count = 0

  def push(self, image: np.ndarray, timestamp: float) -> list[dict[str, Any]]:
    """Returns one row for each of the two faces."""
    self.pushed.append((image, timestamp))
    height, width, _ = image.shape
    rows = []
    for i, box in enumerate(BOXES):
      phase = self._count / 12 + 2 * i
      logits = np.cos(np.arange(labels.NUM_EXPRESSIONS) + phase) * 2
      probs = np.exp(logits) / np.exp(logits).sum()
      row = {
          'frame': self._count,
          'timestamp': timestamp,
          'face_id': i,
          'success': 1,
          'valence': 0.7 * math.cos(phase),
          'arousal': 0.5 * math.sin(1.3 * phase),
          'expression': labels.EXPRESSIONS[int(probs.argmax())],
      }
      edges = np.array(box) * [width, height, width, height]
      names = ('left', 'top', 'right', 'bottom')
      row |= dict(zip(names, edges.tolist(), strict=True))
      names = (f'expr_{name}' for name in labels.EXPRESSIONS)
      row |= dict(zip(names, probs.tolist(), strict=True))
      units = 0.5 + 0.45 * np.sin(np.arange(labels.NUM_AUS) + phase)
      row |= dict(zip(labels.AU_NAMES, units.tolist(), strict=True))
      rows.append(row)
    self._count += 1
    self.rows += rows
    return rows


COLUMNS = tuple(Stream().push(np.zeros([9, 16, 3], np.uint8), 0.0)[0])


class Model:
  """Has the parts of `clips.model.Model` that the command uses."""

  predictor = types.SimpleNamespace(
      info={'name': 'a model for tests </script>'},
      outputs=('valence', 'arousal', 'expression', 'au'),
      expressions=labels.EXPRESSIONS,
      au_names=labels.AU_NAMES,
      image_size=16,
  )

  def columns(self) -> list[types.SimpleNamespace]:
    return [types.SimpleNamespace(name=name) for name in COLUMNS]

  def stream(self, **options: Any) -> Stream:
    del options
    return Stream()


class Server:
  """A server in a thread, with limits of sessions.

  Attributes:
    streams: of its sessions, in order.
    access: has its address and its token.
  """

  def __init__(self, **values: Any):
    for package in ('starlette', 'uvicorn', 'websockets'):
      pytest.importorskip(package)
    from abaw_jax.live_page import (
        access,
        application,
        limits,
        messages,
        serving,
    )

    self.streams: list[Stream] = []
    self._listener = serving.listen(0)
    self.port = self._listener.getsockname()[1]
    self.access = access.Access(self.port)
    self._server = serving.make_server(
        application.Application(
            self._make_stream,
            messages.Description.from_model(Model()),
            self.access,
            limits.Limits(message_bytes=MESSAGE_BYTES, **values),
        )
    )

  def _make_stream(self) -> Stream:
    self.streams.append(Stream())
    return self.streams[-1]

  @contextlib.contextmanager
  def running(self) -> Iterator['Server']:
    """Runs the server until the end of the block."""
    thread = threading.Thread(
        target=self._server.run, kwargs={'sockets': [self._listener]}
    )
    thread.start()
    try:
      yield self
    finally:
      self._server.should_exit = True
      thread.join(10)
      self._listener.close()
      assert not thread.is_alive()


def pictures(count: int) -> Iterator[np.ndarray]:
  """Yields RGB pictures of two rendered people who begin to smile.

  The corner at the bottom on the left has another grey level in each picture.
  """
  people = [
      bust.build(identity.sample(np.random.default_rng([7, i]))) for i in (1, 4)
  ]
  smile = emotion.prototype('Happiness')
  for i in range(count):
    picture = np.full([HEIGHT, WIDTH, 3], (212, 204, 196), np.uint8)
    for person, (left, top, right, bottom) in zip(people, BOXES, strict=True):
      face = sheet.portrait(person, smile * (i / count))
      side = int((bottom - top) * HEIGHT)
      x, y = int((left + right) / 2 * WIDTH - side / 2), int(top * HEIGHT)
      picture[y : y + side, x : x + side] = cv2.resize(face, (side, side))
    picture[-CORNER:, :CORNER] = 30 + 200 * i // count
    yield picture


def write_camera(path: pathlib.Path, count: int = 8) -> None:
  """Writes an MJPEG file for `--use-file-for-fake-video-capture`."""
  frames = [camera.encode(picture, 95) for picture in pictures(count)]
  path.write_bytes(b''.join(frames))
