"""A workdir: the folder that holds one run, and what it remembers of it.

Layout: `config.json`, `metrics.jsonl`, `tb/`, `plots/`, `checkpoints/<step>/`,
`predictions/` and, once training has ended, `DONE`.
"""

from collections.abc import Mapping
import json
import math
import pathlib
import time
from typing import Any

from abaw_jax.core import errors, files
from abaw_jax.training import old_configs

# Sections that make a run what it is: they cannot change under a checkpoint.
FIXED = ('model', 'data', 'seed')
# What each machine may have of its own.
OWN = ('data.dir', 'data.num_workers', 'data.read_threads')
# How a run is carried out may change: where data lies, how many processes and
# threads read it, and what XLA saves or loops over.
FREE = (*OWN, 'model.remat', 'model.scan')


def read_config(workdir: pathlib.Path) -> dict[str, Any]:
  """Returns the config of a run; keys that it is too old for are completed.

  Raises:
    InputError: if there is none, or it is no config; later, if a key is read
      that it lacks.
  """
  path = workdir / 'config.json'
  if not path.is_file():
    raise errors.InputError(
        f'{path}: no such file; name the workdir of a run of '
        '`python -m abaw_jax.train`'
    )
  try:
    config = json.loads(path.read_text())
  except json.JSONDecodeError as e:
    raise errors.InputError(f'{path}: is not JSON ({e}); restore it') from e
  return old_configs.complete(path, config)


def check(workdir: pathlib.Path, config: Mapping[str, Any]) -> list[str]:
  """Returns how the config differs from the one this workdir's run began with.

  Raises:
    InputError: if the workdir is another run's, with another model, other data
      or another seed; the differences are listed.
  """
  if workdir.is_file():
    raise errors.InputError(f'--workdir={workdir} is a file; name a folder')
  if not is_claimed(workdir):
    return []
  old, new = flatten(read_config(workdir)), flatten(config)
  differing = [
      key
      for key in sorted(old | new)
      if old.get(key) != new.get(key) and key not in FREE
  ]
  changes = {
      key: f'config.{key} was {old.get(key)!r}, is {new.get(key)!r}'
      for key in differing
  }
  fixed = [changes.pop(key) for key in differing if key.split('.')[0] in FIXED]
  if fixed:
    raise errors.InputError(
        f'{workdir}: belongs to another run: {"; ".join(fixed)}; choose another '
        '--workdir or these settings'
    )
  return list(changes.values())


def shared(config: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the settings that all processes of a run must have in common."""
  flat = flatten(config)
  return {f'config.{key}': flat[key] for key in flat if key not in OWN}


def is_claimed(workdir: pathlib.Path) -> bool:
  """Returns whether this workdir is some run's."""
  return (workdir / 'config.json').is_file()


def find_claim(workdir: pathlib.Path, *, timeout_s: float = 60) -> None:
  """Returns once the workdir's `config.json` is seen, which a process wrote.

  Raises:
    InputError: it never is. Network file systems may take a while.
  """
  end = time.monotonic() + timeout_s
  while not is_claimed(workdir):
    if time.monotonic() > end:
      raise errors.InputError(
          f'{workdir}: has no config.json here, though process 0 wrote it; name '
          'a --workdir on a file system that all processes share'
      )
    time.sleep(0.5)


def claim(workdir: pathlib.Path, config: Mapping[str, Any]) -> None:
  """Makes the workdir this run's own by writing its `config.json`."""
  files.write_json(workdir / 'config.json', config)


def flatten(tree: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
  """Returns `{'data.dir': ...}` for `{'data': {'dir': ...}}`."""
  flat = {}
  for key, value in tree.items():
    if isinstance(value, Mapping):
      flat |= flatten(value, f'{prefix}{key}.')
    else:
      flat[prefix + key] = value
  return flat


def write_scores(path: pathlib.Path, scores: Mapping[str, float | int]) -> None:
  """Writes scores as JSON, which knows no NaN: that becomes null."""
  files.write_json(
      path, {k: None if math.isnan(v) else v for k, v in scores.items()}
  )


def is_done(workdir: pathlib.Path) -> bool:
  """Returns whether the run of this workdir has ended."""
  return (workdir / 'DONE').is_file()


def choose_workdir(root: pathlib.Path, name: str) -> pathlib.Path:
  """Returns `<root>/<name>-<n>`: the newest run that has not ended, or a new one."""
  numbers = [
      int(path.name.removeprefix(f'{name}-'))
      for path in root.glob(f'{name}-*')
      if path.name.removeprefix(f'{name}-').isdecimal()
  ]
  newest = root / f'{name}-{max(numbers, default=0)}'
  if numbers and not is_done(newest):
    return newest
  return root / f'{name}-{max(numbers, default=0) + 1}'
