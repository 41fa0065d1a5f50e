"""Writes what a run measures: JSON lines always, TensorBoard event files too."""

from __future__ import annotations

from collections.abc import Mapping
import contextlib
import json
import math
import os
import pathlib
from typing import Any

from jaxtyping import UInt8
import numpy as np

from abaw_jax.core import errors, files, storage_errors
from abaw_jax.telemetry import events, grid


class Writer:
  """Appends to `<workdir>/metrics.jsonl` and to event files in `<workdir>/tb`.

  One line holds one step of one split, such as
  `{"step": 100, "split": "train", "loss": 0.5}`. It is on disk when
  `write_scalars` returns. JSON knows no NaN and no infinity: both are `null`.
  Pictures are files in `<workdir>/plots`, and in the event files too.
  """

  def __init__(self, workdir: os.PathLike | str, *, resume_step: int | None):
    """Opens both files and forgets what a resumed run will do again.

    Args:
      workdir: folder of the run, created if it does not exist.
      resume_step: number of updates done by the state the run goes on from;
        lines of later steps are dropped, and TensorBoard hides them. So is the
        goodput of that very step, which a resumed run begins with. -1 drops
        all of them, for a run that starts over. None keeps all of them.

    Raises:
      InputError: a line of metrics.jsonl, not merely its torn end, is not JSON,
        or nothing can be written, for want of room, say; so do all methods.
    """
    self._workdir = pathlib.Path(workdir)
    self._workdir.mkdir(parents=True, exist_ok=True)
    path = self._workdir / 'metrics.jsonl'
    with self._writing():
      _repair(path, resume_step)
      self._lines = path.open('a', encoding='utf-8')
      self._events = events.EventFile(
          self._workdir / 'tb',
          purge_step=None if resume_step is None else resume_step + 1,
      )

  def write_scalars(
      self, step: int, scalars: Mapping[str, Any], *, split: str = 'train'
  ) -> None:
    """Writes one line; values are numbers, or arrays that hold one number."""
    values = {name: np.asarray(x).item() for name, x in scalars.items()}
    line = {'step': step, 'split': split}
    line |= {k: x if math.isfinite(x) else None for k, x in values.items()}
    with self._writing():
      self._lines.write(json.dumps(line, allow_nan=False) + '\n')
      for name, x in values.items():
        self._events.add_scalar(step, f'{split}/{name}', x)
      self.flush()

  def write_image(
      self, step: int, name: str, image: UInt8[np.ndarray, 'h w 3']
  ) -> pathlib.Path:
    """Writes an RGB image; returns its path, `<workdir>/plots/<name>_<step>.png`."""
    encoded = grid.encode_png(image)
    path = image_path(self._workdir, step, name)
    with self._writing():
      files.write(path, encoded)
      self._events.add_png(step, f'plots/{name}', image, encoded)
      self._events.flush()
    return path

  def flush(self) -> None:
    """Forces everything written so far to disk."""
    with self._writing():
      self._lines.flush()
      self._events.flush()

  def close(self) -> None:
    """Flushes and closes both files."""
    with (
        self._writing(),
        contextlib.closing(self._events),
        contextlib.closing(self._lines),
    ):
      pass

  def _writing(self):
    """Returns a context in which a full disk is one line."""
    return storage_errors.writing(self._workdir, 'the metrics')

  def __enter__(self) -> Writer:
    """Returns the writer itself."""
    return self

  def __exit__(self, *exc_info: object) -> None:
    """Closes the writer, whatever happened."""
    self.close()


class Silence:
  """Takes what a `Writer` takes and writes nothing, beside the one that does."""

  def __init__(self, workdir: os.PathLike | str):
    """Touches no file of the workdir."""
    self._workdir = pathlib.Path(workdir)

  def write_scalars(
      self, step: int, scalars: Mapping[str, Any], *, split: str = 'train'
  ) -> None:
    """Does nothing."""

  def write_image(
      self, step: int, name: str, image: UInt8[np.ndarray, 'h w 3']
  ) -> pathlib.Path:
    """Returns the path that the picture has."""
    return image_path(self._workdir, step, name)

  def close(self) -> None:
    """Does nothing."""


def image_path(workdir: pathlib.Path, step: int, name: str) -> pathlib.Path:
  """Returns where a picture of a run lies."""
  return workdir / 'plots' / f'{name}_{step}.png'


def read_lines(path: pathlib.Path) -> list[dict[str, Any]]:
  """Returns the lines of a metrics.jsonl; none if there is no such file.

  A last line that was cut off is left out.

  Raises:
    InputError: another line is not a JSON object with a step.
  """
  if not path.exists():
    return []
  text = path.read_text(encoding='utf-8', errors='replace')
  # A write that was cut off is what follows the last newline.
  *texts, _torn = text.split('\n')
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


def _repair(path: pathlib.Path, last_step: int | None) -> None:
  """Keeps lines of steps up to `last_step` (None: all), but no torn last line.

  The new file replaces the old one in one move: a kill leaves either.
  """
  if not path.exists():
    return
  kept = [
      json.dumps(line) + '\n'
      for line in read_lines(path)
      if last_step is None or _still_holds(line, last_step)
  ]
  files.write(path, ''.join(kept))


def _still_holds(line: Mapping[str, Any], last_step: int) -> bool:
  """Returns whether a line is about the updates that a run goes on from."""
  if line['split'] == 'goodput':
    return line['step'] < last_step  # the resumed run begins with its own
  return line['step'] <= last_step
