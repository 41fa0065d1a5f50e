"""The device side of a bundle: features of faces, and rows of many tracks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import functools
from typing import Any

import jax
from jaxtyping import Float, UInt8
import numpy as np

from abaw_jax import faces as faces_lib
from abaw_jax.bundles import batches, networks, parsing, plans, tracks
from abaw_jax.bundles import rows as rows_lib
from abaw_jax.core import errors
from abaw_jax.data import images
from abaw_jax.distributed import sharding
from abaw_jax.scoring import predictions

# Faces, and windows, in one call of a network.
FACES = (1, 4, 16, 64)
WINDOWS = (1, 4, 16)

# (track, features [n, d], frame numbers [n], times [n]); n differs from track to track
Push = tuple[tracks.Track, np.ndarray, np.ndarray, np.ndarray]


class Predictor:
  """Predicts faces with a bundle, on one device.

  Attributes:
    alignment: how a face is cropped from a frame.
    image_size: side in pixels of the faces that the network gets.
    resizing: how `embed` makes squares of this size.
    outputs: those of valence, arousal, expression and au that the bundle predicts.
    expressions: names of its expressions, in the order of the probabilities.
    au_names: names of its action units, in order.
    feature_dim: d, the width of the features.
    info: facts of the bundle, as JSON values, to store next to predictions.
    networks: the temporal models, or the heads of the frame model.
  """

  def __init__(
      self, bundle: parsing.Bundle, *, face_batches: Sequence[int] = FACES
  ):
    """Moves the weights to the first device of this process.

    Args:
      bundle: result of `read_bundle`.
      face_batches: sizes of batches of faces, ascending, the first one 1; each one
        that is used is compiled.
    """
    self.alignment: faces_lib.Alignment = bundle.alignment
    self.image_size: int = bundle.frame.decoding['image_size']
    self.resizing: images.Resizing = bundle.frame.decoding['resizing']
    self.outputs: tuple[str, ...] = bundle.outputs
    self.expressions: tuple[str, ...] = bundle.expressions
    self.au_names: tuple[str, ...] = bundle.au_names
    self.feature_dim: int = bundle.feature_dim
    self.info: dict[str, Any] = bundle.info
    self.networks: tuple[networks.Network, ...] = bundle.networks
    self._postprocessing = bundle.postprocessing
    self._is_temporal = bundle.is_temporal
    self._frame = bundle.frame
    self._face_batches = tuple(face_batches)
    device = jax.local_devices()[0]
    self._mesh = sharding.make_mesh(fsdp=1, devices=[device])
    place = functools.partial(
        jax.device_put, device=sharding.replicated(self._mesh)
    )
    self._embed = functools.partial(
        bundle.frame.jit(self._mesh), place(bundle.frame.params)
    )
    self._read = [
        functools.partial(jax.jit(network.read), place(network.params))
        for network in bundle.networks
    ]

  def embed(
      self, faces: UInt8[np.ndarray, 'n s s 3'] | Sequence[np.ndarray]
  ) -> Float[np.ndarray, 'n d']:
    """Returns the features of RGB faces, as `abaw-jax extract` writes them.

    Args:
      faces: results of `alignment.crop`, or other aligned faces of any size.
    """
    if not len(faces):
      return np.zeros((0, self.feature_dim), np.float32)
    size = self.image_size
    if not all(face.shape == (size, size, 3) for face in faces):
      faces = self._frame.squares(faces)
    faces = np.asarray(faces, np.uint8)
    parts = []
    with jax.set_mesh(self._mesh):
      for part, batch in batches.split(len(faces), self._face_batches):
        padded = _padded(faces[part], batch)
        parts.append((self._embed(padded), part.stop - part.start))
    return np.concatenate(
        [np.asarray(x, np.float32)[:count] for x, count in parts]
    )

  def frame_scores(self, features: Float[np.ndarray, 'n d']) -> rows_lib.Rows:
    """Returns the rows of single faces, calibrated and without smoothing.

    Raises:
      InputError: the bundle has a temporal model.
    """
    if self._is_temporal:
      raise errors.InputError(
          f'the bundle {self.info["name"]} has a temporal model, so it does not '
          'score single faces; make a bundle without --temporal'
      )
    single = rows_lib.without_smoothing(self._postprocessing)
    track = tracks.Track(self, single, live=False)
    numbers = np.arange(len(features))
    return track.push(features, numbers, numbers.astype(np.float64))

  def track(self, *, live: bool = False) -> tracks.Track:
    """Returns the track of one face of one clip.

    Args:
      live: whether every frame gets its row at once. Then smoothing reads only
        earlier frames, and a model that is not causal reads the window that ends
        with the frame.
    """
    return tracks.Track(self, self._postprocessing, live=live)

  def push_all(self, pushes: Sequence[Push]) -> list[rows_lib.Rows]:
    """Returns the rows of `Track.push` for many tracks, with joint batches.

    Args:
      pushes: the arguments of `Track.push` for each track; a track only once.
    """
    for track, *frames in pushes:
      track.add(*frames)
    return self._rows([track for track, *_ in pushes])

  def finish_all(self, ended: Sequence[tracks.Track]) -> list[rows_lib.Rows]:
    """Returns the rows of `Track.finish` for many tracks, with joint batches."""
    for track in ended:
      track.end()
    return self._rows(ended)

  def _rows(self, active: Sequence[tracks.Track]) -> list[rows_lib.Rows]:
    for member in range(len(self.networks)):
      while jobs := [
          (track, window)
          for track in active
          for window in track.next_windows(member)
      ]:
        results = self._run(member, jobs)
        for (track, _), (output, carry) in zip(jobs, results, strict=True):
          track.receive(member, output, carry)
    return [
        self._columns(*track.rows.take(finished=track.is_finished))
        for track in active
    ]

  def _run(self, member: int, jobs) -> list[tuple[dict[str, np.ndarray], Any]]:
    """Returns (outputs of the frames to keep, carry) for each window."""
    results = [None] * len(jobs)
    for length in sorted({window.length for _, window in jobs}):
      same = [i for i, (_, w) in enumerate(jobs) if w.length == length]
      for part, batch in batches.split(len(same), WINDOWS):
        chosen = same[part]
        windows = [jobs[i][1] for i in chosen]
        carries = [jobs[i][0].carry(member) for i in chosen]
        found = self._run_batch(member, windows, carries, batch)
        for i, result in zip(chosen, found, strict=True):
          results[i] = result
    return results

  def _run_batch(
      self,
      member: int,
      windows: Sequence[plans.Window],
      carries: Sequence[Any],
      size: int,
  ) -> Iterator[tuple[dict[str, np.ndarray], Any]]:
    length = windows[0].length
    shape = (size, length)
    features = np.zeros((*shape, self.feature_dim), np.float32)
    frame_id = np.zeros(shape, np.int32)
    mask = np.zeros(shape, bool)
    window_length = np.full(size, length, np.int32)
    for i, window in enumerate(windows):
      count = len(window.frame_id)
      features[i, :count] = window.features
      frame_id[i, :count] = window.frame_id
      mask[i, :count] = True
      window_length[i] = window.window_length
    carry = jax.tree.map(lambda *x: _padded(np.stack(x), size), *carries)
    with jax.set_mesh(self._mesh):
      found = self._read[member](carry, features, frame_id, mask, window_length)
    output, carry = jax.device_get(found)
    for i, window in enumerate(windows):
      kept = {name: x[i, window.keep] for name, x in output.items()}
      yield kept, jax.tree.map(lambda x, i=i: x[i], carry)

  def _columns(
      self, frame_index, timestamp, rows: predictions.Predictions
  ) -> rows_lib.Rows:
    """Returns the outputs of the bundle, with its expressions and AUs."""
    found = {name: getattr(rows, name) for name in self.outputs}
    columns = parsing.columns(self.expressions, self.au_names)
    for name in columns.keys() & found.keys():
      found[name] = found[name][:, columns[name]]
    if 'au' in found:
      found['au_decisions'] = found['au'] >= 0.5
    absent = dict.fromkeys((*rows_lib.FIELDS, 'au_decisions'))
    return rows_lib.Rows(
        frame_index=frame_index, timestamp=timestamp, **absent | found
    )


def _padded(x: np.ndarray, size: int) -> np.ndarray:
  """Returns an array with zeros up to `size` on its first axis."""
  if len(x) == size:
    return x
  return np.pad(x, [(0, size - len(x)), *[(0, 0)] * (x.ndim - 1)])
