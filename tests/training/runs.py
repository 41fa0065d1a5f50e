"""Training runs for tests: smoke configs on the tiny corpus."""

from collections.abc import Callable, Mapping
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import jax

from abaw_jax.configs import (
    affectnet,
    convnet,
    emotionet,
    fer_plus,
    frame,
    heads,
    identity,
    joint,
    lsd,
    mae,
    mt_emotieffnet,
    mtl,
    mtl_fft,
    mtl_gru,
    mtl_lstm,
    mtl_tcn,
    mtl_transformer,
    multi,
    raf_db,
    sr,
)
from tests import forked

CONFIGS = {
    'mae': mae,
    'frame': frame,
    'convnet': convnet,
    'affectnet': affectnet,
    'mt_emotieffnet': mt_emotieffnet,
    'fer_plus': fer_plus,
    'raf_db': raf_db,
    'lsd': lsd,
    'emotionet': emotionet,
    'multi': multi,
    'identity': identity,
    'mtl': mtl,
    'mtl_lstm': mtl_lstm,
    'mtl_gru': mtl_gru,
    'mtl_transformer': mtl_transformer,
    'mtl_fft': mtl_fft,
    'mtl_tcn': mtl_tcn,
    'joint': joint,
    'heads': heads,
    'sr': sr,
}
ROOT = pathlib.Path(__file__).parents[2]
# Metrics of speed, which differ from run to run.
TIMED = {'items_per_s', 'data_wait', 'tflops_per_s'}
# Environment of a process that may be killed: it reads the compilation cache, but
# adds nothing, because JAX writes entries in place.
KILLED = {'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '1e9'}


def smoke(name: str, data_dir: pathlib.Path, **overrides: Any) -> dict:
  """Returns the smoke config of an experiment as a plain dict.

  `overrides` maps keys to values, with `__` for a dot: `data__window=8`.
  """
  config = CONFIGS[name].get_config('smoke').to_dict()
  config['data'] |= {'name': 's_aff_wild2', 'dir': str(data_dir)}
  for key, value in overrides.items():
    *sections, last = key.split('__')
    section = config
    for part in sections:
      section = section[part]
    assert last in section, key
    section[last] = value
  return config


def metrics(workdir: pathlib.PurePath, split: str = 'train') -> dict[int, dict]:
  """Returns the lines of one split in metrics.jsonl, by step."""
  text = (workdir / 'metrics.jsonl').read_text()
  lines = map(json.loads, text.splitlines())
  lines = [line for line in lines if line['split'] == split]
  by_step = {line['step']: line for line in lines}
  assert len(by_step) == len(lines), 'a step was written twice'
  return by_step


def start(
    module: str, *args: str, cwd: pathlib.Path = ROOT, **env: str
) -> forked.Process:
  """Returns a running `python -m module args`, as a fork."""
  return forked.start('-m', module, *args, cwd=cwd, env=environment(**env))


def start_code(
    code: str, *args: str, cwd: pathlib.Path = ROOT, **env: str
) -> forked.Process:
  """Returns a running `python -c code args`, as a fork."""
  return forked.start('-c', code, *args, cwd=cwd, env=environment(**env))


def start_interpreter(
    module: str, *args: str, cwd: pathlib.Path = ROOT, **env: str
) -> subprocess.Popen:
  """Returns a running `python -m module args` that imports all by itself."""
  return subprocess.Popen(
      [sys.executable, '-m', module, *args],
      cwd=cwd,
      env=environment(**env),
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
  )


def environment(**env: str) -> dict[str, str]:
  """Returns the environment of a child process, with `env`.

  Our packages are on the path, and the compilation cache is that of the tests.
  """
  names = (
      'jax_compilation_cache_dir',
      'jax_persistent_cache_min_compile_time_secs',
  )
  cache = {name.upper(): str(getattr(jax.config, name)) for name in names}
  if jax.config.jax_compilation_cache_dir is None:
    cache = {}
  return os.environ | {'PYTHONPATH': str(ROOT)} | cache | env


def finish(
    process: forked.Process | subprocess.Popen,
) -> tuple[int, str, str]:
  """Waits for the process; returns (status, stdout, stderr)."""
  out, err = process.communicate(timeout=300)
  return process.returncode, out, err


def finish_all(
    starts: Mapping[Any, Callable[[], forked.Process | subprocess.Popen]],
) -> dict[Any, tuple[int, str, str]]:
  """Returns the result of `finish` by key; three processes run at a time."""
  with concurrent.futures.ThreadPoolExecutor(max_workers=3) as pool:
    ended = pool.map(lambda start: finish(start()), starts.values())
    return dict(zip(starts, ended, strict=True))
