"""Runs of W&B without a network: their content, their resume, and failures."""

import importlib.util
import json
import pathlib
import struct

import jax
import numpy as np
import pytest
import wandb
from wandb.proto import wandb_internal_pb2

from abaw_jax.core import errors
from abaw_jax.telemetry import histograms, weights_and_biases, writer

CONFIG = {'seed': 3, 'optim': {'lr': 0.5}, 'wandb': {'project': 'faces'}}


def records(path: pathlib.Path) -> list[wandb_internal_pb2.Record]:
  """Returns the records of a .wandb file, which has LevelDB's log format."""
  data = path.read_bytes()
  assert data[:4] == b':W&B'
  found, parts, position = [], [], 7
  while position < len(data):
    if 2**15 - position % 2**15 < 7:  # the padding of a block
      position += 2**15 - position % 2**15
      continue
    _, size, kind = struct.unpack_from('<IHB', data, position)
    parts.append(data[position + 7 : position + 7 + size])
    position += 7 + size
    if kind in (1, 4):  # a full record, or the last part of one
      found.append(wandb_internal_pb2.Record.FromString(b''.join(parts)))
      parts = []
  return found


def open_writer(workdir, resume_step):
  run = weights_and_biases.WandbRun(workdir, project='faces', config=CONFIG)
  return writer.Writer(workdir, resume_step=resume_step, others=[run])


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
  monkeypatch.setenv('WANDB_MODE', 'offline')
  monkeypatch.setenv('WANDB_X_DISABLE_STATS', 'true')
  for name in ('WANDB_CONFIG_DIR', 'WANDB_CACHE_DIR', 'WANDB_DATA_DIR'):
    monkeypatch.setenv(name, str(tmp_path / 'home'))
  yield
  wandb.teardown()  # so that the next test reads its own variables


def test_an_offline_run_has_everything_and_a_resume_continues_it(
    tmp_path, capsys
):
  workdir = tmp_path / 'run'
  workdir.mkdir()
  found = jax.device_get(histograms.count([np.float32([0.5, 2.0])]))
  with open_writer(workdir, None) as log:
    for step in (1, 2):
      log.write_scalars(step, {'loss': 1 / step})
    log.write_scalars(2, {'P_MTL': 1.25}, split='validation')
    log.write_image(2, 'faces', np.zeros([4, 6, 3], np.uint8))
    log.write_histograms(2, {'weights/heads': found})
  # W&B names a folder by the second, and both runs may start in the same one.
  (first,) = (workdir / 'wandb').glob('offline-run-*')
  first.rename(first.with_name('offline-run-0'))
  with open_writer(workdir, 2) as log:
    log.write_scalars(3, {'loss': 0.25})
  wandb.teardown()  # W&B's process writes the last bytes
  paths = sorted((workdir / 'wandb').glob('offline-run-*/run-*.wandb'))
  name = json.loads((workdir / 'wandb.json').read_text())['id']
  assert [path.name for path in paths] == [f'run-{name}.wandb'] * 2
  rows = {}
  for path in paths:
    for record in records(path):
      if record.WhichOneof('record_type') == 'run':
        assert (record.run.project, record.run.run_id) == ('faces', name)
        shown = {
            x.key: json.loads(x.value_json) for x in record.run.config.update
        }
        assert {k: shown[k] for k in CONFIG} == CONFIG
      elif record.WhichOneof('record_type') == 'history':
        row = {
            '/'.join(x.nested_key) or x.key: json.loads(x.value_json)
            for x in record.history.item
        }
        rows[row['_step']] = row
  assert [rows[step]['train/loss'] for step in (1, 2, 3)] == [1.0, 0.5, 0.25]
  assert rows[2]['validation/P_MTL'] == 1.25
  assert [rows[2][f'plots/faces/{x}'] for x in ('height', 'width')] == [4, 6]
  assert rows[2]['weights/heads/values'] == found.counts.tolist()
  lines = capsys.readouterr().out.splitlines()
  assert len(lines) == 2
  assert all(line.startswith('W&B: offline; `wandb sync ') for line in lines)


@pytest.mark.parametrize('moment', ['start', 'log', 'end'])
def test_a_failure_is_one_line_and_the_files_are_complete(
    tmp_path, capsys, monkeypatch, moment
):
  class Run:

    def __init__(self, **_):
      self.settings = wandb.Settings()
      if moment == 'start':
        raise wandb.errors.CommError('no network\nand more')

    def log(self, *_, **__):
      if moment == 'log':
        raise ValueError('no network')

    def finish(self):
      if moment == 'end':
        raise BrokenPipeError('no network')

  monkeypatch.setattr(wandb, 'init', Run)
  with open_writer(tmp_path, None) as log:
    for step in (1, 2):
      log.write_scalars(step, {'loss': 0.5})
  lines = writer.read_lines(tmp_path / 'metrics.jsonl')
  assert [line['step'] for line in lines] == [1, 2]
  printed = [x for x in capsys.readouterr().out.splitlines() if 'fails' in x]
  assert printed == [
      'W&B fails (no network); the training continues without it, and '
      'metrics.jsonl and tb/ have everything'
  ]


@pytest.mark.parametrize(
    ('has_login', 'modes', 'reason'),
    [
        (False, ['offline'], 'no login: set WANDB_API_KEY or run wandb login'),
        (True, ['online', 'offline'], 'no server'),
    ],
)
def test_without_a_login_or_a_server_the_run_is_offline(
    tmp_path, capsys, monkeypatch, has_login, modes, reason
):
  wandb.teardown()
  monkeypatch.setenv('WANDB_MODE', 'online')
  tried = []

  class Run:
    settings = wandb.Settings()

    def __init__(self, *, mode, **_):
      tried.append(mode)
      if mode == 'online':
        raise wandb.errors.CommError('no server')

    def finish(self):
      pass

  monkeypatch.setattr(wandb, 'login', lambda **_: has_login)
  monkeypatch.setattr(wandb, 'init', Run)
  open_writer(tmp_path, None).close()
  assert tried == modes
  assert f'W&B: offline ({reason}); ' in capsys.readouterr().out


@pytest.mark.parametrize('is_folder', [False, True])
def test_a_missing_package_is_one_line(monkeypatch, is_folder):
  # A folder `wandb`, such as W&B's own, looks like a package without an origin.
  spec = importlib.util.spec_from_loader('wandb', None) if is_folder else None
  monkeypatch.setattr(importlib.util, 'find_spec', lambda _: spec)
  weights_and_biases.check('')
  with pytest.raises(
      errors.InputError, match=r"pip install 'abaw_jax\[wandb\]"
  ):
    weights_and_biases.check('faces')
