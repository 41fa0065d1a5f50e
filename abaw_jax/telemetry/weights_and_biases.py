"""A run in Weights & Biases, in addition to the files in the workdir.

No failure of W&B ends a training. It is printed as one line. Without a server at the
start, the run is recorded offline; after a later failure, nothing more is sent until
the run resumes. The files in the workdir are always complete.
"""

from collections.abc import Callable, Mapping
import importlib.util
import io
import json
import secrets
from typing import Any

from jaxtyping import UInt8
import numpy as np
from PIL import Image

from abaw_jax.core import errors, files
from abaw_jax.telemetry import histograms

_FILE = 'wandb.json'
# Seconds that the start and the end of a run may wait for the server.
_START_S = 30
_END_S = 60


def check(project: str) -> None:
  """Raises an InputError if a project is given and the package is missing."""
  # A folder `wandb` with the files of other runs is found, too, without an origin.
  spec = importlib.util.find_spec('wandb') if project else None
  if project and (spec is None or spec.origin is None):
    raise errors.InputError(
        f'config.wandb.project={project}: W&B needs its package; pip install '
        "'abaw_jax[wandb]', or set the project to ''"
    )


class WandbRun:
  """The W&B run of a workdir, with the methods of `events.EventFile`.

  Its id is in `<workdir>/wandb.json`, so a resumed run continues it. W&B ignores the
  steps that it already has.
  """

  def __init__(
      self, workdir: files.Path, *, project: str, config: Mapping[str, Any]
  ):
    """Starts or continues the run, offline without a login or a server.

    Args:
      workdir: folder of the run; a local one also gets W&B's own files.
      project: project of W&B.
      config: of the run; shown by W&B.
    """
    self._pending: dict[str, Any] = {}
    self._step = 0
    self._run: Any = None
    self._run = self._guard(lambda: _start(workdir, project, dict(config)))

  def add_scalar(self, step: int, tag: str, value: float | int) -> None:
    """Adds a number."""
    self._add(step, tag, lambda: value)

  def add_png(
      self,
      step: int,
      tag: str,
      image: UInt8[np.ndarray, 'h w 3'],
      encoded: bytes,
  ) -> None:
    """Adds an image; `encoded` is the same image as PNG."""
    del image
    self._add(
        step,
        tag,
        lambda: _wandb().Image(Image.open(io.BytesIO(encoded))),
    )

  def add_histogram(
      self, step: int, tag: str, found: histograms.Histogram
  ) -> None:
    """Adds a histogram, as NumPy arrays."""
    pair = found.counts, histograms.EDGES
    self._add(step, tag, lambda: _wandb().Histogram(np_histogram=pair))

  def flush(self) -> None:
    """Hands all added values to W&B, which sends them in the background."""
    pending, self._pending = self._pending, {}
    if pending and self._run:
      self._guard(lambda: self._run.log(pending, step=self._step))

  def close(self) -> None:
    """Waits until W&B has all values, at most a minute."""
    self.flush()
    if self._run:
      self._guard(self._run.finish)

  def _add(self, step: int, tag: str, value: Callable[[], Any]) -> None:
    if self._run is None:
      return
    if step != self._step:
      self.flush()
      self._step = step
    self._pending[tag] = self._guard(value)

  def _guard(self, action: Callable[[], Any]) -> Any:
    """Returns the result of an action of W&B; its failure ends the sending."""
    try:
      return action()
    except Exception as e:  # of any kind: the training must not depend on it
      self._run = None
      _say(
          f'W&B fails ({_reason(e)}); the training continues without it, and '
          'metrics.jsonl and tb/ have everything'
      )
      return None


def _start(workdir: files.Path, project: str, config: dict[str, Any]) -> Any:
  """Returns the run, after one line about where it is."""
  wandb = _wandb()
  # W&B's own settings, such as WANDB_MODE.
  mode = wandb.setup(wandb.Settings(silent=True)).settings.mode
  options = {
      'project': project,
      'id': _run_id(workdir, project),
      'name': workdir.name,
      'dir': None if files.is_bucket(workdir) else str(workdir),
      'config': config,
      'reinit': 'create_new',
      'settings': wandb.Settings(
          silent=True,
          console='off',
          disable_git=True,
          save_code=False,
          init_timeout=_START_S,
          finish_timeout=_END_S,
      ),
  }
  reason = ''
  if mode == 'online':
    reason = ' (no login: set WANDB_API_KEY or run wandb login)'
    if wandb.login(prompt=False, verify=False):
      try:
        run = wandb.init(mode='online', resume='allow', **options)
      except Exception as e:  # of any kind, such as no network
        reason = f' ({_reason(e)})'
        wandb.teardown()  # otherwise the id is still in use
      else:
        _say(f'W&B: {run.url}')
        return run
    mode = 'offline'
  run = wandb.init(mode=mode, **options)
  if mode == 'offline':
    _say(f'W&B: offline{reason}; `wandb sync {run.settings.sync_dir}` sends it')
  return run


def _run_id(workdir: files.Path, project: str) -> str:
  """Returns the id of the workdir's run in a project; a new one is stored."""
  path = workdir / _FILE
  stored = json.loads(path.read_text()) if path.exists() else {}
  if stored.get('project') == project:
    return stored['id']
  name = secrets.token_hex(4)
  files.write_json(path, {'project': project, 'id': name})
  return name


def _reason(error: Exception) -> str:
  return str(error).partition('\n')[0] or type(error).__name__


def _say(line: str) -> None:
  print(line, flush=True)


def _wandb() -> Any:
  """Returns the package; its import takes half a second."""
  import wandb

  return wandb
