"""Writes the metrics of a run as JSON lines and as TensorBoard event files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import contextlib
import json
import math
import os
from typing import Any

from jaxtyping import UInt8
import numpy as np

from abaw_jax.core import errors, files, storage_errors
from abaw_jax.telemetry import (
    events,
    grid,
    histograms,
    mirror,
    weights_and_biases,
)

# Event files in a bucket are uploaded again when they grow, so they stay small.
_EVENT_BYTES = 4 * 2**20


class Writer:
  """Appends to `<workdir>/metrics.jsonl` and to event files in `<workdir>/tb`.

  One line holds one step of one split, such as
  `{"step": 100, "split": "train", "loss": 0.5}`. It is on disk when
  `write_scalars` returns. If the workdir is in a bucket, it is there after
  `upload`, or some seconds later. JSON has no NaN and no infinity: both become `null`.
  Pictures are written to `<workdir>/plots` and to the event files. Everything in the
  event files also goes to the `others`.
  """

  def __init__(
      self,
      workdir: os.PathLike | str,
      *,
      resume_step: int | None,
      others: Sequence[weights_and_biases.WandbRun] = (),
  ):
    """Opens both files and drops the steps that a resumed run repeats.

    Args:
      workdir: folder of the run; created if it is missing.
      resume_step: step of the restored state. Lines of later steps are dropped,
        and TensorBoard hides them. The goodput line of this step is dropped
        too, because a resumed run starts with its own. -1 drops all lines, None
        keeps all.
      others: have the methods of an event file.

    Raises:
      InputError: a line of metrics.jsonl is not JSON (an incomplete last line
        is dropped), or the disk is full. All methods raise it on a full disk.
    """
    self._workdir = files.path(workdir)
    with self._writing():
      self._mirror = mirror.Mirror(self._workdir)
      path = self._mirror.folder / 'metrics.jsonl'
      _repair(path, resume_step)
      self._lines = path.open('a', encoding='utf-8')
      self._events = events.EventFile(
          self._mirror.folder / 'tb',
          purge_step=None if resume_step is None else resume_step + 1,
          max_bytes=_EVENT_BYTES if files.is_bucket(self._workdir) else None,
      )
    self._others = others
    self._sinks = (self._events, *others)

  def write_scalars(
      self, step: int, scalars: Mapping[str, Any], *, split: str = 'train'
  ) -> None:
    """Writes one line; values are numbers or arrays of one number."""
    values = {name: np.asarray(x).item() for name, x in scalars.items()}
    line = {'step': step, 'split': split}
    line |= {k: x if math.isfinite(x) else None for k, x in values.items()}
    with self._writing():
      self._lines.write(json.dumps(line, allow_nan=False) + '\n')
      for sink in self._sinks:
        for name, x in values.items():
          sink.add_scalar(step, f'{split}/{name}', x)
      self.flush()

  def write_image(
      self, step: int, name: str, image: UInt8[np.ndarray, 'h w 3']
  ) -> files.Path:
    """Writes an RGB image and returns its path, see `image_path`."""
    encoded = grid.encode_png(image)
    with self._writing():
      files.write(image_path(self._mirror.folder, step, name), encoded)
      for sink in self._sinks:
        sink.add_png(step, f'plots/{name}', image, encoded)
        sink.flush()
    return image_path(self._workdir, step, name)

  def write_histograms(
      self, step: int, found: Mapping[str, histograms.Histogram]
  ) -> None:
    """Writes histograms by name, as NumPy arrays; metrics.jsonl has none."""
    with self._writing():
      for sink in self._sinks:
        for name, histogram in found.items():
          sink.add_histogram(step, name, histogram)
        sink.flush()

  def flush(self) -> None:
    """Writes all buffered data to disk."""
    with self._writing():
      self._lines.flush()
      for sink in self._sinks:
        sink.flush()

  def upload(self) -> None:
    """Writes all data to a bucket; does nothing for a local workdir."""
    with self._writing():
      self._mirror.upload()

  def close(self) -> None:
    """Flushes and closes both files."""
    with self._writing(), contextlib.ExitStack() as stack:
      # The last one is closed first; others may wait for a network.
      for part in (*self._others, self._mirror, self._events, self._lines):
        stack.callback(part.close)

  def _writing(self):
    """Returns a context that turns a full disk into an InputError."""
    return storage_errors.writing(self._workdir, 'the metrics')

  def __enter__(self) -> Writer:
    """Returns the writer itself."""
    return self

  def __exit__(self, *exc_info: object) -> None:
    """Closes the writer."""
    self.close()


class NullWriter:
  """A `Writer` that writes nothing, for every process but the first."""

  def __init__(self, workdir: os.PathLike | str):
    """Keeps the workdir for the paths of pictures."""
    self._workdir = files.path(workdir)

  def write_scalars(
      self, step: int, scalars: Mapping[str, Any], *, split: str = 'train'
  ) -> None:
    """Does nothing."""

  def write_image(
      self, step: int, name: str, image: UInt8[np.ndarray, 'h w 3']
  ) -> files.Path:
    """Returns the path of the picture."""
    return image_path(self._workdir, step, name)

  def write_histograms(
      self, step: int, found: Mapping[str, histograms.Histogram]
  ) -> None:
    """Does nothing."""

  def upload(self) -> None:
    """Does nothing."""

  def close(self) -> None:
    """Does nothing."""


def image_path(workdir: files.Path, step: int, name: str) -> files.Path:
  """Returns the path of a picture, `<workdir>/plots/<name>_<step>.png`."""
  return workdir / 'plots' / f'{name}_{step}.png'


def read_lines(path: files.Path) -> list[dict[str, Any]]:
  """Returns the lines of a metrics.jsonl, without an incomplete last line.

  A missing file has no lines.

  Raises:
    InputError: a line is not a JSON object with a step.
  """
  if not path.exists():
    return []
  text = path.read_bytes().decode(errors='replace')
  # Text after the last newline is an incomplete write.
  *texts, _incomplete = text.split('\n')
  lines = []
  for number, text in enumerate(texts, start=1):
    try:
      line = json.loads(text)
      line['step'], line['split']
    except (json.JSONDecodeError, KeyError, TypeError) as e:
      raise errors.InputError(
          f'{path}:{number}: expected a JSON object with a "step" and a "split";'
          ' remove the line or the file'
      ) from e
    lines.append(line)
  return lines


def _repair(path: files.Path, last_step: int | None) -> None:
  """Drops an incomplete last line, and lines after `last_step` if given."""
  if not path.exists():
    return
  kept = [
      json.dumps(line) + '\n'
      for line in read_lines(path)
      if last_step is None or _is_kept(line, last_step)
  ]
  files.write(path, ''.join(kept))


def _is_kept(line: Mapping[str, Any], last_step: int) -> bool:
  """Returns whether a line is valid for a run that resumes at `last_step`."""
  if line['split'] == 'goodput':
    return line['step'] < last_step  # the resumed run starts with its own
  return line['step'] <= last_step
