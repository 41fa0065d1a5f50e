"""The server of `live` lets one page of its own address in, within limits."""

import contextlib
import json
import struct
import urllib.error
import urllib.request

import cv2
import numpy as np
import pytest

from abaw_jax.core import errors
from tests.live_page import fakes

client = pytest.importorskip('websockets.sync.client')
exceptions = pytest.importorskip('websockets.exceptions')
pytest.importorskip('starlette')
pytest.importorskip('uvicorn')


@pytest.fixture(scope='module')
def server():
  with fakes.Server(pictures_per_second=20, pixels=10_000).running() as found:
    yield found


@contextlib.contextmanager
def session(server, **options):
  """Opens a session and skips its first message."""
  url = server.access.address.replace('http', 'ws').replace('/?', '/session?')
  with client.connect(url, **options) as socket:
    assert json.loads(socket.recv()) == {'type': 'ready'}
    yield socket


def jpeg(height: int, width: int, colour=(0, 0, 255)) -> bytes:
  """Returns a picture of one BGR colour."""
  picture = np.full([height, width, 3], colour, np.uint8)
  return cv2.imencode('.jpg', picture)[1].tobytes()


def ask(socket, time: float, picture: bytes) -> dict:
  socket.send(struct.pack('>d', time) + picture)
  return json.loads(socket.recv())


def status(url: str, **headers: str) -> int:
  try:
    with urllib.request.urlopen(
        urllib.request.Request(url, headers=headers)
    ) as answer:
      return answer.status
  except urllib.error.HTTPError as e:
    return e.code


def test_only_the_address_with_the_token_answers(server):
  url = server.access.address
  port = server.port
  assert status(url) == 200
  assert status(url.replace('127.0.0.1', 'localhost')) == 200
  assert status(url[:-1] + ('A' if url[-1] != 'A' else 'B')) == 403
  assert status(url.partition('?')[0]) == 403
  assert status(url + '%C3%A9') == 403
  assert status(url, Host=f'evil.example:{port}') == 403
  assert status(url, Origin='http://evil.example') == 403
  assert status(url, Origin=f'http://127.0.0.1:{port}') == 200


@pytest.mark.parametrize(
    ('query', 'origin'), [('token=wrong', None), (None, 'http://evil.example')]
)
def test_no_session_for_strangers(server, query, origin):
  url = f'ws://127.0.0.1:{server.port}/session?'
  query = query or server.access.address.partition('?')[2]
  with (
      pytest.raises(exceptions.InvalidStatus) as e,
      client.connect(url + query, origin=origin),
  ):
    pass
  assert e.value.response.status_code == 403


def test_the_page_lets_nothing_else_in(server):
  with urllib.request.urlopen(server.access.address) as answer:
    policy = dict(
        part.split(' ', 1)
        for part in answer.headers['Content-Security-Policy'].split('; ')
    )
    assert answer.headers['Referrer-Policy'] == 'no-referrer'
    assert answer.headers['Cache-Control'] == 'no-store'
  assert policy['default-src'] == "'none'"
  assert policy['frame-ancestors'] == "'none'"
  assert 'unsafe' not in str(policy)
  assert 'http' not in str(policy)


def test_wrong_pictures_are_explained_and_the_session_continues(server):
  with session(server) as socket:
    good = jpeg(60, 90)
    for time, picture, reason in (
        (0.0, b'', 'no picture'),
        (0.0, b'no JPEG', 'no valid JPEG'),
        (0.0, good[:-200], 'no valid JPEG'),
        (0.0, jpeg(101, 100), '100 x 101 pixels'),
        (0.0, jpeg(8, 100), 'at least 16 x 16'),
        (float('nan'), good, 'send seconds'),
    ):
      answer = ask(socket, time, picture)
      assert answer['type'] == 'error'
      assert reason in answer['message']
    answer = ask(socket, 2.5, good)
    assert (answer['type'], answer['height'], answer['width']) == (
        'rows',
        60,
        90,
    )
    assert 'is not after' in ask(socket, 2.5, good)['message']
    assert ask(socket, 2.6, good)['rows'][0]['timestamp'] == 2.6
  (image, _), *_ = server.streams[-1].pushed
  red = np.full([60, 90, 3], (255, 0, 0))  # RGB, where the JPEG was made of BGR
  assert abs(image - red).max() <= 4


def test_each_session_has_its_own_state(server):
  for _ in range(2):
    with session(server) as socket:
      rows = [ask(socket, i, jpeg(20, 20))['rows'] for i in range(3)]
    assert [row[0]['frame'] for row in rows] == [0, 1, 2]
    expected = server.streams[-1].rows[-1]
    assert rows[-1][-1] == pytest.approx(expected, abs=1e-5)


def test_a_second_client_is_told_that_the_model_is_busy(server):
  url = server.access.address.replace('http', 'ws').replace('/?', '/session?')
  with session(server) as first:
    with client.connect(url) as second:
      assert json.loads(second.recv()) == {'type': 'busy'}
      with pytest.raises(exceptions.ConnectionClosed) as e:
        second.recv()
      assert e.value.rcvd.code == 1013
    assert ask(first, 0.0, jpeg(20, 20))['type'] == 'rows'


def send_all(socket, messages) -> None:
  """Sends messages and reads answers until the session ends."""
  for message in messages:
    socket.send(message)
  while True:
    socket.recv()


@pytest.mark.parametrize(
    ('messages', 'code', 'reason'),
    [
        (
            [bytes(fakes.MESSAGE_BYTES + 1)],
            1009,
            'at most 262,144 are read',
        ),
        (['text'], 1003, 'send pictures as binary messages'),
        ([bytes(20)] * 100, 1008, 'more than 20 pictures per second'),
    ],
)
def test_a_session_that_breaks_the_rules_ends(server, messages, code, reason):
  with session(server) as socket:
    with pytest.raises(exceptions.ConnectionClosed) as e:
      send_all(socket, messages)
    assert (e.value.rcvd.code, reason in e.value.rcvd.reason) == (code, True)
  with session(server) as socket:  # the model is free again
    assert ask(socket, 0.0, jpeg(20, 20))['type'] == 'rows'


def test_a_session_without_pictures_ends():
  with (
      fakes.Server(idle_seconds=0.05).running() as server,
      session(server) as socket,
      pytest.raises(exceptions.ConnectionClosed) as e,
  ):
    socket.recv(timeout=5)
  assert e.value.rcvd.reason == 'no picture for 0.05 seconds'


def test_a_port_that_is_taken_is_one_line(server):
  from abaw_jax.live_page import serving

  with pytest.raises(
      errors.InputError, match=f'--port={server.port}: .*in use'
  ):
    serving.listen(server.port)
