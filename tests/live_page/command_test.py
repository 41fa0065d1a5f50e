"""The command `live` starts and ends in a few lines."""

import json
import signal
import struct
import subprocess
import sys
import time
import urllib.request

import cv2
import numpy as np
import pytest

from abaw_jax import live
from abaw_jax.core import errors
from tests.clips import fakes as clips_fakes

client = pytest.importorskip('websockets.sync.client')
pytest.importorskip('starlette')
pytest.importorskip('uvicorn')

# The command with the real path of a stream, and a model without JAX. It needs half
# a minute for each frame but the first one.
COMMAND = """
import time
import abaw_jax
from abaw_jax import live
from abaw_jax.clips import model
from abaw_jax.core import cli
from tests.clips import fakes
class Slow(fakes.Predictor):
  def push_all(self, pushes):
    time.sleep(30 * int(pushes[0][2][0]))
    return super().push_all(pushes)
abaw_jax.load = lambda folder: model.Model(Slow())
cli.run(live.main, live.__doc__)
"""


def test_ctrl_c_ends_it_in_one_line_during_a_prediction():
  with subprocess.Popen(
      [
          sys.executable,
          '-c',
          COMMAND,
          '--model=bundle',
          '--port=0',
          '--detector=none',
      ],
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
      picture = cv2.imencode('.jpg', np.zeros([20, 30, 3], np.uint8))[1]
      socket.send(struct.pack('>d', 0.5) + picture.tobytes())
      answer = json.loads(socket.recv())
      socket.send(struct.pack('>d', 0.6) + picture.tobytes())
      time.sleep(0.1)
      process.send_signal(signal.SIGINT)
      out, err = process.communicate(timeout=20)
  assert (process.returncode, out, err) == (130, '', 'interrupted\n')
  (row,) = answer['rows']
  assert (row['timestamp'], row['right'], row['bottom']) == (0.5, 30, 20)
  expected = clips_fakes.expected(0, 0)
  assert row['valence'] == expected.valence
  assert [row[name] for name in clips_fakes.AUS] == expected.au.tolist()


@pytest.mark.parametrize('package', ['starlette', 'uvicorn', 'websockets'])
def test_a_missing_package_is_one_line_of_advice(monkeypatch, package):
  for name in list(sys.modules):  # as if nothing of it had been imported
    parent, _, child = name.rpartition('.')
    if name.startswith(('abaw_jax.live_page.', 'uvicorn.protocols.')):
      monkeypatch.delitem(sys.modules, name)
      monkeypatch.delattr(f'{parent}.{child}', raising=False)
  monkeypatch.setitem(sys.modules, package, None)
  with pytest.raises(
      errors.InputError, match=r"pip install 'abaw_jax\[live\]'"
  ):
    live.main()
