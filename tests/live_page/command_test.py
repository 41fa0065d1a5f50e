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


def test_a_missing_package_is_one_line_of_advice():
  script = "import sys; sys.modules['websockets'] = None" + COMMAND
  done = subprocess.run(
      [sys.executable, '-c', script, '--model=bundle'],
      capture_output=True,
      text=True,
      check=False,
  )
  advice = "error: live needs websockets; pip install 'abaw_jax[live]'\n"
  assert (done.returncode, done.stdout, done.stderr) == (2, '', advice)
