"""Writes what a run measures: JSON lines always, TensorBoard event files too."""

from __future__ import annotations

from collections.abc import Mapping
import json
import math
import os
import pathlib
import sys
import types
from typing import Any

from jaxtyping import UInt8
import numpy as np

from abaw_jax import errors
from abaw_jax.training import grid


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
      InputError: a line of metrics.jsonl, not merely its torn end, is not JSON.
    """
    self._workdir = pathlib.Path(workdir)
    self._workdir.mkdir(parents=True, exist_ok=True)
    path = self._workdir / 'metrics.jsonl'
    _repair(path, resume_step)
    self._lines = path.open('a', encoding='utf-8')
    self._events = _tensorboardx().SummaryWriter(
        str(self._workdir / 'tb'),
        purge_step=None if resume_step is None else resume_step + 1,
    )

  def write_scalars(
      self, step: int, scalars: Mapping[str, Any], *, split: str = 'train'
  ) -> None:
    """Writes one line; values are numbers, or arrays that hold one number."""
    values = {name: np.asarray(x).item() for name, x in scalars.items()}
    line = {'step': step, 'split': split}
    for name, x in values.items():
      line[name] = x if math.isfinite(x) else None
      self._events.add_scalar(f'{split}/{name}', x, step)
    self._lines.write(json.dumps(line, allow_nan=False) + '\n')
    self._lines.flush()

  def write_image(
      self, step: int, name: str, image: UInt8[np.ndarray, 'h w 3']
  ) -> pathlib.Path:
    """Writes an RGB image; returns its path, `<workdir>/plots/<name>_<step>.png`."""
    encoded = grid.encode_png(image)
    path = self._workdir / 'plots' / f'{name}_{step}.png'
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(encoded)
    # Not with `add_image`, which needs Pillow. Imported here because it brings
    # in the rest of tensorboardX.
    from tensorboardX.proto import summary_pb2

    height, width, channels = image.shape
    picture = summary_pb2.Summary.Image(
        height=height,
        width=width,
        colorspace=channels,
        encoded_image_string=encoded,
    )
    value = summary_pb2.Summary.Value(tag=f'plots/{name}', image=picture)
    self._events.file_writer.add_summary(
        summary_pb2.Summary(value=[value]), step
    )
    return path

  def flush(self) -> None:
    """Forces everything written so far to disk."""
    self._lines.flush()
    self._events.flush()

  def close(self) -> None:
    """Flushes and closes both files."""
    self._lines.close()
    self._events.close()

  def __enter__(self) -> Writer:
    """Returns the writer itself."""
    return self

  def __exit__(self, *exc_info: object) -> None:
    """Closes the writer, whatever happened."""
    self.close()


def _tensorboardx() -> types.ModuleType:
  """Returns tensorboardX, without the PyTorch that it loads where there is one.

  Nothing here needs PyTorch, which takes seconds to import.
  """
  hide = 'torch' not in sys.modules
  if hide:
    sys.modules['torch'] = None  # makes `import torch` an ImportError
  try:
    import tensorboardX
  finally:
    if hide:
      del sys.modules['torch']
  return tensorboardX


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
  part = path.with_name(path.name + '.part')
  part.write_text(''.join(kept), encoding='utf-8')
  os.replace(part, path)


def _still_holds(line: Mapping[str, Any], last_step: int) -> bool:
  """Returns whether a line is about the updates that a run goes on from."""
  if line['split'] == 'goodput':
    return line['step'] < last_step  # the resumed run begins with its own
  return line['step'] <= last_step
