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

import numpy as np

from abaw_jax import errors


class Writer:
  """Appends to `<workdir>/metrics.jsonl` and to event files in `<workdir>/tb`.

  One line holds one step of one split, such as
  `{"step": 100, "split": "train", "loss": 0.5}`. It is on disk when
  `write_scalars` returns. JSON knows no NaN and no infinity: both are `null`.
  """

  def __init__(self, workdir: os.PathLike | str, *, resume_step: int | None):
    """Opens both files and forgets what a resumed run will do again.

    Args:
      workdir: folder of the run, created if it does not exist.
      resume_step: number of updates done by the state the run goes on from;
        lines of later steps are dropped, and TensorBoard hides them. -1 drops
        all of them, for a run that starts over. None keeps all of them.

    Raises:
      InputError: a line of metrics.jsonl, not merely its torn end, is not JSON.
    """
    workdir = pathlib.Path(workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    path = workdir / 'metrics.jsonl'
    _repair(path, resume_step)
    self._lines = path.open('a', encoding='utf-8')
    self._events = _tensorboardx().SummaryWriter(
        str(workdir / 'tb'),
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


def _repair(path: pathlib.Path, last_step: int | None) -> None:
  """Keeps lines of steps up to `last_step` (None: all), but no torn last line.

  The new file replaces the old one in one move: a kill leaves either.
  """
  if not path.exists():
    return
  text = path.read_text(encoding='utf-8', errors='replace')
  # A write that was cut off is what follows the last newline.
  *lines, _torn = text.split('\n')
  kept = []
  for number, line in enumerate(lines, start=1):
    try:
      step = json.loads(line)['step']
    except (json.JSONDecodeError, KeyError, TypeError) as e:
      raise errors.InputError(
          f'{path}:{number}: expected a JSON object with a "step"; remove the'
          ' line or the file'
      ) from e
    if last_step is None or step <= last_step:
      kept.append(line + '\n')
  new = ''.join(kept)
  if new != text:
    part = path.with_name(path.name + '.part')
    part.write_text(new, encoding='utf-8')
    os.replace(part, path)
