"""The workdir, which is the folder of one run, and its config.

Content: `config.json`, `data.json` (the fingerprints of its datasets),
`metrics.jsonl`, `tb/`, `plots/`, `checkpoints/<step>/`, `predictions/`,
`untrained.json` and, after the end of training, `DONE`.
"""

from collections.abc import Mapping
import json
import math
import os
import time
from typing import Any

from abaw_jax.checkpoints import stored_config
from abaw_jax.core import config_ranges, errors, files, fingerprint
from abaw_jax.data import sources
from abaw_jax.porting import weight_files

# Sections that cannot change when a run resumes.
FIXED = ('model', 'data', 'seed')
# Keys that may differ between the machines of a run.
PER_MACHINE = (
    'data.dir', 'data.cache_dir', 'data.num_workers', 'data.read_threads',
)  # fmt: skip
# Keys of fixed sections that may change, because they have no effect on
# results.
CHANGEABLE = (*PER_MACHINE, 'data.in_memory', 'model.remat', 'model.scan')
# Keys that older versions lack, with the values that have the same effect.
ADDED = {
    'model.lora_rank': 0,
    'model.lora_alpha': 16.0,
    'model.lora_targets': 'qkv,proj,fc1,fc2',
    'optim.name': 'adamw',
    'data.pseudo_labels': '',
    'loss.pseudo_weight': 1.0,
}
_DATA = 'data.json'
_PSEUDO_LABELS = 'pseudo_labels'  # its entry that is no dataset


def read_config(workdir: files.Path) -> dict[str, Any]:
  """Returns the config of a run or of a folder of weights.

  Raises:
    InputError: the file is missing or is not JSON, or a number is out of its
      range. The sections of the config raise it when a missing key is read.
  """
  path = workdir / 'config.json'
  if not path.is_file():
    raise errors.InputError(
        f'{path}: no such file; give the workdir of a run of '
        '`abaw-jax train`'
    )
  try:
    config = json.loads(path.read_text())
  except json.JSONDecodeError as e:
    raise errors.InputError(f'{path}: is not JSON ({e}); restore it') from e
  config = stored_config.with_features(config, stored_config.located, workdir)
  section = stored_config.Section(path, 'config', config)
  config_ranges.check(section, where=f'{path}: ')
  return section


def absolute(config: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the config with absolute paths: a run can be used from any folder."""
  data = config['data'] | {
      key: _absolute(config['data'][key])
      for key in ('dir', 'cache_dir', 'pseudo_labels')
      if key in config['data']
  }
  if 'features' in data:  # names of feature sets, and paths of runs
    names = [name.strip() for name in data['features'].split(',')]
    names = [_absolute(name) if '/' in name else name for name in names]
    data['features'] = ','.join(names)
  paths = {'init_from': _absolute(config['init_from'])}
  return {**config, **paths, 'data': data}


def check(workdir: files.Path, config: Mapping[str, Any]) -> list[str]:
  """Compares a config with the stored one; returns one text per change.

  Raises:
    InputError: the workdir belongs to a run with another model, other data or
      another seed; the message lists the differences.
  """
  if workdir.is_file():
    raise errors.InputError(f'--workdir={workdir} is a file; give a folder')
  if not is_claimed(workdir):
    return []
  old, new = flatten(read_config(workdir)), flatten(config)
  old = {key: ADDED[key] for key in ADDED.keys() & new.keys()} | old
  differing = [
      key
      for key in sorted(old | new)
      if old.get(key) != new.get(key) and key not in CHANGEABLE
  ]
  changes = {
      key: f'config.{key} was {old.get(key)!r}, is {new.get(key)!r}'
      for key in differing
  }
  fixed = [changes.pop(key) for key in differing if key.split('.')[0] in FIXED]
  if fixed:
    raise errors.InputError(
        f'{workdir}: belongs to another run: {"; ".join(fixed)}; choose '
        'another --workdir or the settings of that run'
    )
  _check_pseudo_labels(workdir, config)
  return list(changes.values())


def check_data(workdir: files.Path, data_dir: str) -> None:
  """Compares the datasets in `data_dir` with those that a run was trained on.

  Raises:
    InputError: a dataset has changed, or does not exist; the message names the
      difference.
  """
  if not is_claimed(workdir):
    return
  for name, old in read_data(workdir).items():
    changed = fingerprint.difference(old, sources.fingerprint(data_dir, name))
    if changed:
      raise errors.InputError(
          f'{workdir}: was trained on other data: {name}: {changed}; restore these '
          'data, or train again in another --workdir'
      )


def read_data(workdir: files.Path) -> dict[str, fingerprint.Fingerprint]:
  """Returns the fingerprint of each dataset of a run, by name.

  Raises:
    InputError: the file is missing or is not JSON.
  """
  found = _read_data(workdir)
  return {k: v for k, v in found.items() if k != _PSEUDO_LABELS}


def _read_data(workdir: files.Path) -> dict[str, fingerprint.Fingerprint]:
  path = workdir / _DATA
  try:
    found = json.loads(path.read_text())
    return {stored_config.located(k, workdir): v for k, v in found.items()}
  except (OSError, ValueError) as e:
    raise errors.InputError(
        f'{path}: cannot be read, so the data of this run are unknown; restore it'
    ) from e


def shared(config: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the settings that must be the same in all processes of a run."""
  flat = flatten(config)
  same = {f'config.{key}': flat[key] for key in flat if key not in PER_MACHINE}
  return same | flatten(_pseudo_labels(config))


def is_claimed(workdir: files.Path) -> bool:
  """Returns whether the workdir belongs to a run."""
  return (workdir / 'config.json').is_file()


def wait_for_claim(workdir: files.Path, *, timeout_s: float = 60) -> None:
  """Waits until this process sees the `config.json` that process 0 wrote.

  A network file system may need some seconds.

  Raises:
    InputError: the file does not appear.
  """
  end = time.monotonic() + timeout_s
  while not is_claimed(workdir):
    if time.monotonic() > end:
      raise errors.InputError(
          f'{workdir}: config.json of process 0 does not appear here; choose a '
          '--workdir on a file system that all processes share'
      )
    time.sleep(0.5)


def claim(
    workdir: files.Path,
    config: Mapping[str, Any],
    data: Mapping[str, fingerprint.Fingerprint] | None = None,
) -> None:
  """Writes `config.json`: the workdir now belongs to this run.

  Args:
    workdir: folder of the run.
    config: of the run.
    data: fingerprint of each of its datasets, by name.
  """
  stored = {**(data or {}), **_pseudo_labels(config)}
  stored = {stored_config.portable(k, workdir): v for k, v in stored.items()}
  config = stored_config.with_features(config, stored_config.portable, workdir)
  files.write_json(workdir / _DATA, stored)
  files.write_json(workdir / 'config.json', config)


def write_untrained(workdir: files.Path, reasons: Mapping[str, str]) -> None:
  """Stores the outputs that the run does not train, see `Task.untrained`."""
  files.write_json(workdir / 'untrained.json', reasons)


def read_untrained(workdir: files.Path) -> dict[str, str]:
  """Returns the stored outputs; {} for a run of an older version.

  Raises:
    InputError: the file is not JSON.
  """
  path = workdir / 'untrained.json'
  try:
    return json.loads(path.read_text()) if path.is_file() else {}
  except ValueError as e:
    raise errors.InputError(f'{path}: is not JSON ({e}); remove it') from e


def untrained_note(reasons: Mapping[str, str]) -> list[str]:
  """Returns a line about outputs that are not trained; [] without any."""
  if not reasons:
    return []
  names = ', '.join(f'{name} ({reason})' for name, reason in reasons.items())
  return [
      f'not trained: {names}; scores that count these outputs, such as P_MTL, '
      'do not measure the training'
  ]


def _pseudo_labels(
    config: Mapping[str, Any],
) -> dict[str, fingerprint.Fingerprint]:
  """Returns the checksum of the file of pseudo-labels; {} without such a file."""
  path = config.get('data', {}).get(_PSEUDO_LABELS)
  if not path or not files.path(path).is_file():
    return {}
  return {_PSEUDO_LABELS: {'sha256': weight_files.sha256(files.path(path))}}


def _check_pseudo_labels(
    workdir: files.Path, config: Mapping[str, Any]
) -> None:
  """Raises an InputError if a run began with another file of pseudo-labels."""
  old = _read_data(workdir).get(_PSEUDO_LABELS)  # older runs have none
  new = _pseudo_labels(config).get(_PSEUDO_LABELS)
  if old and old != new and (new or not is_done(workdir)):
    raise errors.InputError(
        f'{workdir}: config.data.pseudo_labels={config["data"][_PSEUDO_LABELS]}: '
        'is not the file that this run began with; restore it, or train again in '
        'another --workdir'
    )


def flatten(tree: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
  """Returns `{'data.dir': ...}` for `{'data': {'dir': ...}}`."""
  flat = {}
  for key, value in tree.items():
    if isinstance(value, Mapping):
      flat |= flatten(value, f'{prefix}{key}.')
    else:
      flat[prefix + key] = value
  return flat


def _absolute(path: str) -> str:
  is_local = path and '://' not in path
  return os.path.abspath(path) if is_local else path


def write_scores(path: files.Path, scores: Mapping[str, float | int]) -> None:
  """Writes scores as JSON, which has no NaN: NaN becomes null."""
  files.write_json(
      path, {k: None if math.isnan(v) else v for k, v in scores.items()}
  )


def is_done(workdir: files.Path) -> bool:
  """Returns whether the run of this workdir has finished."""
  return (workdir / 'DONE').is_file()


def choose_workdir(root: files.Path, name: str) -> files.Path:
  """Returns `<root>/<name>-<n>`: the newest run if unfinished, or a new one."""
  numbers = [
      int(path.name.removeprefix(f'{name}-'))
      for path in root.glob(f'{name}-*')
      if path.name.removeprefix(f'{name}-').isdecimal()
  ]
  newest = root / f'{name}-{max(numbers, default=0)}'
  if numbers and not is_done(newest):
    return newest
  return root / f'{name}-{max(numbers, default=0) + 1}'
