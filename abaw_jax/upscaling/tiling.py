"""Cuts images into tiles for a network, and joins the enlarged tiles.

A tile at the edge of an image ends where the image ends. Between two tiles, the
network reads `overlap` more pixels on either side than it keeps. So the result
equals that of the undivided image if `overlap` is at least the network's receptive
field.
"""

import collections
from collections.abc import Callable, Iterable, Iterator
import dataclasses
import itertools
import math
from typing import Any, NamedTuple

from jaxtyping import Shaped, UInt8
import numpy as np

from abaw_jax.core import errors

# Sides are extended by reflection to a multiple of it, so that images of many sizes
# need few programs. Networks that read squares of pixels need a multiple of 4.
STEP = 16
_ALIGNMENT = 4
# Batches of tiles that may wait for others of the same size.
_WAITING_BATCHES = 4


class Window(NamedTuple):
  """A range of pixels [start, stop) to read, and the part [first, last) to keep."""

  start: int
  stop: int
  first: int
  last: int


def check(tile: int, overlap: int) -> None:
  """Raises an InputError if there are no such `windows`."""
  if tile % STEP:
    raise errors.InputError(
        f'--tile={tile}: is no multiple of {STEP}; choose one'
    )
  if tile <= 2 * _aligned(overlap):
    raise errors.InputError(
        f'--overlap={overlap}: leaves nothing of --tile={tile}; choose a tile '
        f'larger than {2 * _aligned(overlap)}'
    )


def _aligned(overlap: int) -> int:
  """Returns the overlap that keeps squares of pixels together."""
  return math.ceil(overlap / _ALIGNMENT) * _ALIGNMENT


def windows(length: int, tile: int, overlap: int) -> list[Window]:
  """Returns windows of `tile` pixels that together keep [0, length) once.

  Args:
    length: side of an image, a multiple of STEP.
    tile: side of a tile, a multiple of STEP; an image that is not larger has one
      window.
    overlap: pixels that are read and not kept where two windows meet.
  """
  if length <= tile:
    return [Window(0, length, 0, length)]
  stride = tile - 2 * _aligned(overlap)
  starts = [*range(0, length - tile, stride), length - tile]
  # Windows meet in the middle of what both read.
  cuts = [
      (start + tile + following) // 2
      for start, following in itertools.pairwise(starts)
  ]
  return [
      Window(start, start + tile, first, last)
      for start, first, last in zip(
          starts, [0, *cuts], [*cuts, length], strict=True
      )
  ]


@dataclasses.dataclass
class _Canvas:
  """An enlarged image that is being filled."""

  key: Any
  height: int
  width: int
  missing: int
  pixels: np.ndarray | None = None


class _Tile(NamedTuple):
  """A part of an image, and its place."""

  canvas: _Canvas
  rows: Window
  columns: Window
  pixels: np.ndarray


@dataclasses.dataclass(frozen=True)
class Tiler:
  """Enlarges a stream of images of any size with a function of batches.

  Attributes:
    step: maps uint8 images [b h w 3], all of one size, to images
      [b h*scale w*scale 3]; may return before the device has finished.
    scale: see `step`.
    batch_size: most images of a batch.
    multiple: every batch has a multiple of so many images.
    tile: largest side of an image in a batch, a multiple of STEP.
    overlap: see `windows`.
  """

  step: Callable[[UInt8[np.ndarray, 'b h w 3']], Any]
  scale: int
  batch_size: int
  multiple: int
  tile: int
  overlap: int

  def __post_init__(self):
    check(self.tile, self.overlap)

  def __call__(
      self, images: Iterable[tuple[Any, UInt8[np.ndarray, 'h w 3']]]
  ) -> Iterator[tuple[Any, Shaped[np.ndarray, 'h_ w_ 3']]]:
    """Yields (key, enlarged image) for every (key, image), in any order."""
    queues = collections.defaultdict(list)
    running = collections.deque()
    for key, image in images:
      for tile in self._tiles(key, image):
        queue = queues[tile.pixels.shape]
        queue.append(tile)
        if len(queue) == self.batch_size:
          yield from self._start(queue, running)
      waiting = sum(map(len, queues.values()))
      if waiting > _WAITING_BATCHES * self.batch_size:
        yield from self._start(max(queues.values(), key=len), running)
    for queue in queues.values():
      if queue:
        yield from self._start(queue, running)
    while running:
      yield from self._finish(*running.popleft())

  def _tiles(self, key, image) -> Iterator[_Tile]:
    height, width, _ = image.shape
    padding = [(0, -side % STEP) for side in (height, width)]
    if any(map(any, padding)):
      image = np.pad(image, [*padding, (0, 0)], 'reflect')
    places = [
        (rows, columns)
        for rows in windows(image.shape[0], self.tile, self.overlap)
        for columns in windows(image.shape[1], self.tile, self.overlap)
    ]
    canvas = _Canvas(key, height, width, missing=len(places))
    for rows, columns in places:
      pixels = image[rows.start : rows.stop, columns.start : columns.stop]
      yield _Tile(canvas, rows, columns, pixels)

  def _start(self, queue: list[_Tile], running) -> Iterator[Any]:
    """Starts a batch and empties its queue; the batch before it may finish."""
    # Few sizes of batches, so that the last ones need few programs.
    size = self.multiple
    while size < len(queue):
      size *= 2
    size = min(size, self.batch_size)
    batch = np.zeros((size, *queue[0].pixels.shape), np.uint8)
    for place, tile in zip(batch, queue, strict=False):
      place[...] = tile.pixels
    running.append((list(queue), self.step(batch)))
    queue.clear()
    if len(running) > 1:
      yield from self._finish(*running.popleft())

  def _finish(self, tiles: list[_Tile], batch: Any) -> Iterator[Any]:
    """Waits for a batch; yields the images that are complete with it."""
    for tile, pixels in zip(tiles, np.asarray(batch), strict=False):
      canvas, scale = tile.canvas, self.scale
      if canvas.pixels is None:
        shape = (canvas.height * scale, canvas.width * scale, 3)
        canvas.pixels = np.empty(shape, pixels.dtype)
      rows, columns = tile.rows, tile.columns
      place = canvas.pixels[
          rows.first * scale : rows.last * scale,
          columns.first * scale : columns.last * scale,
      ]
      kept = pixels[
          (rows.first - rows.start) * scale :,
          (columns.first - columns.start) * scale :,
      ]
      # The place ends with the image; the tile may have its extended sides.
      place[...] = kept[: place.shape[0], : place.shape[1]]
      canvas.missing -= 1
      if not canvas.missing:
        yield canvas.key, canvas.pixels
