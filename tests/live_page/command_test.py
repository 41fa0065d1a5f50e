"""The command `live` starts and ends in a few lines."""

import signal
import subprocess
import sys
import urllib.request

import pytest

from abaw_jax import live
from abaw_jax.core import errors

client = pytest.importorskip('websockets.sync.client')
pytest.importorskip('starlette')
pytest.importorskip('uvicorn')

# The command with a model without JAX.
COMMAND = """
import abaw_jax
from abaw_jax import live
from abaw_jax.core import cli
from tests.live_page import fakes
abaw_jax.load = lambda folder: fakes.Model()
cli.run(live.main, live.__doc__)
"""


def test_ctrl_c_ends_it_in_one_line_while_a_page_is_open():
  with subprocess.Popen(
      [sys.executable, '-c', COMMAND, '--model=bundle', '--port=0'],
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
  ) as process:
    url = process.stdout.readline().strip()
    assert 'Open this address' in process.stdout.readline()
    with urllib.request.urlopen(url) as answer:
      assert b'abaw_jax live' in answer.read()
    session = url.replace('http', 'ws').replace('/?', '/session?')
    with client.connect(session) as socket:
      socket.recv()
      process.send_signal(signal.SIGINT)
      out, err = process.communicate(timeout=20)
  assert (process.returncode, out, err) == (130, '', 'interrupted\n')


def test_a_missing_package_is_one_line_of_advice(monkeypatch):
  monkeypatch.setitem(sys.modules, 'uvicorn', None)
  monkeypatch.delitem(sys.modules, 'abaw_jax.live_page.serving', raising=False)
  with pytest.raises(
      errors.InputError, match=r"pip install 'abaw_jax\[live\]'"
  ):
    live.main()
