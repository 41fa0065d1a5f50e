"""The command line: names of configs, and arguments for other commands."""

import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
SCRIPT = """
import json
from absl import flags
from abaw_jax.core import cli

def main():
  config = flags.FLAGS.config
  print(json.dumps([cli.config_arguments(), cli.config_name(), config.to_dict()]))

cli.define_config()
cli.run(main, 'Prints the config.')
"""
# The same values, in every form that the command line accepts.
FORMS = (
    [
        '--config=mtl:smoke',
        '--config.optim.lr=0.5',
        '--config.data.name=a b',
        '--config.model.mask_padding=False',
        '--config.keep_task_bests=True',
    ],
    [
        '--config', 'configs/mtl.py:smoke',
        '--config.optim.lr', '0.5',
        '--config.data.name', 'a b',
        '--noconfig.model.mask_padding',
        '--config.keep_task_bests',
    ],
    [
        '-config', f'{ROOT}/configs/mtl.py:smoke',
        '-config.optim.lr', '5e-1',
        '-config.data.name', 'a b',
        '-noconfig.model.mask_padding',
        '-config.keep_task_bests',
    ],
)  # fmt: skip


def parse(arguments: list[str]) -> list:
  done = subprocess.run(
      [sys.executable, '-c', SCRIPT, *arguments],
      cwd=ROOT,
      capture_output=True,
      text=True,
      check=False,
  )
  assert done.returncode == 0, done.stderr
  return json.loads(done.stdout)


@pytest.mark.parametrize('form', FORMS)
def test_another_command_gets_the_same_config(form):
  arguments, name, config = parse(form)
  assert name == 'mtl_smoke'
  assert config['optim']['lr'] == 0.5
  assert config['data']['name'] == 'a b'
  assert not config['model']['mask_padding']
  assert config['keep_task_bests']
  assert parse(arguments) == [arguments, name, config]


def test_help_through_head_ends_quietly():
  command = f'{sys.executable} -m abaw_jax train --help | head -1'
  done = subprocess.run(
      ['bash', '-c', f'{command}; echo ${{PIPESTATUS[0]}}'],
      cwd=ROOT,
      capture_output=True,
      text=True,
      check=True,
  )
  assert done.stdout.splitlines()[1:] == ['0']
  assert done.stderr == ''
