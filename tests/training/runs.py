"""Training runs for tests: smoke configs on the tiny corpus."""

from collections.abc import Callable, Mapping
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

from abaw_jax.configs import (
    affectnet,
    convnet,
    emotionet,
    fer_plus,
    frame,
    heads,
    identity,
    mae,
    mt_emotieffnet,
    mtl,
    mtl_fft,
    mtl_gru,
    mtl_lstm,
    mtl_transformer,
    multi,
    raf_db,
    sr,
)

CONFIGS = {
    'mae': mae,
    'frame': frame,
    'convnet': convnet,
    'affectnet': affectnet,
    'mt_emotieffnet': mt_emotieffnet,
    'fer_plus': fer_plus,
    'raf_db': raf_db,
    'emotionet': emotionet,
    'multi': multi,
    'identity': identity,
    'mtl': mtl,
    'mtl_lstm': mtl_lstm,
    'mtl_gru': mtl_gru,
    'mtl_transformer': mtl_transformer,
    'mtl_fft': mtl_fft,
    'heads': heads,
    'sr': sr,
}
ROOT = pathlib.Path(__file__).parents[2]
# Metrics of speed, which differ from run to run.
TIMED = {'items_per_s', 'data_wait', 'tflops_per_s'}


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
) -> subprocess.Popen:
  """Returns a running `python -m module args`."""
  return subprocess.Popen(
      [sys.executable, '-m', module, *args],
      cwd=cwd,
      env=environment(**env),
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
  )


def environment(**env: str) -> dict[str, str]:
  """Returns the environment with our packages on the path, and with `env`."""
  return os.environ | {'PYTHONPATH': str(ROOT)} | env


def finish(process: subprocess.Popen) -> tuple[int, str, str]:
  """Waits for the process; returns (status, stdout, stderr)."""
  out, err = process.communicate(timeout=300)
  return process.returncode, out, err


def finish_all(
    starts: Mapping[Any, Callable[[], subprocess.Popen]],
) -> dict[Any, tuple[int, str, str]]:
  """Returns the result of `finish` by key; three processes run at a time."""
  with concurrent.futures.ThreadPoolExecutor(max_workers=3) as pool:
    ended = pool.map(lambda start: finish(start()), starts.values())
    return dict(zip(starts, ended, strict=True))


def all_at_once(calls: Mapping[Any, tuple[Any, ...]]) -> dict[Any, Any]:
  """Calls each (function, *arguments), three at a time; results by key."""
  with concurrent.futures.ThreadPoolExecutor(max_workers=3) as pool:
    futures = {key: pool.submit(*call) for key, call in calls.items()}
    return {key: future.result() for key, future in futures.items()}
