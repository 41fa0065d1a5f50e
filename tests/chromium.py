"""Drives a headless Chromium over its DevTools protocol."""

from collections.abc import Iterator
import contextlib
import json
import pathlib
import shutil
import subprocess
import time
from typing import Any

import pytest

NAMES = ('chromium', 'chromium-browser', 'google-chrome')


class Page:
  """A tab.

  Attributes:
    problems: messages of its console, exceptions, and refused requests.
    requests: addresses that it asked for.
  """

  def __init__(self, socket: Any):
    self.problems: list[str] = []
    self.requests: list[str] = []
    self._socket = socket
    self._number = 0
    for domain in ('Page', 'Runtime', 'Log', 'Network'):
      self.call(f'{domain}.enable')

  def call(self, method: str, **params: Any) -> dict[str, Any]:
    """Calls a method of the DevTools protocol."""
    self._number += 1
    message = {'id': self._number, 'method': method, 'params': params}
    self._socket.send(json.dumps(message))
    while True:
      answer = json.loads(self._socket.recv(timeout=20))
      if answer.get('id') == self._number:
        assert 'error' not in answer, (method, answer)
        return answer['result']
      self._note(answer)

  def js(self, expression: str) -> Any:
    """Returns the value of a JavaScript expression."""
    result = self.call(
        'Runtime.evaluate',
        expression=expression,
        awaitPromise=True,
        returnByValue=True,
        userGesture=True,
    )
    assert 'exceptionDetails' not in result, result
    return result['result'].get('value')

  def wait(self, expression: str, seconds: float = 15) -> Any:
    """Returns the value of an expression as soon as it is true."""
    end = time.monotonic() + seconds
    while not (value := self.js(expression)):
      text = 'document.body.innerText'
      assert time.monotonic() < end, (expression, self.js(text), self.problems)
      time.sleep(0.05)
    return value

  def open(self, url: str) -> None:
    """Loads a page."""
    self.call('Page.navigate', url=url)
    self.wait(f'location.href == {url!r} && document.readyState == "complete"')

  def show_as(self, width: int, height: int, *, scheme: str = 'light') -> None:
    """Sets the size of the window, and the colour scheme."""
    self.call(
        'Emulation.setDeviceMetricsOverride',
        width=width,
        height=height,
        deviceScaleFactor=1,
        mobile=width < 500,
    )
    feature = {'name': 'prefers-color-scheme', 'value': scheme}
    self.call('Emulation.setEmulatedMedia', features=[feature])

  def _note(self, event: dict[str, Any]) -> None:
    params = event.get('params', {})
    match event.get('method'):
      case 'Runtime.consoleAPICalled':
        self.problems.append(str(params['args']))
      case 'Runtime.exceptionThrown':
        self.problems.append(str(params['exceptionDetails']))
      case 'Log.entryAdded':
        self.problems.append(str(params['entry']))
      case 'Network.requestWillBeSent':
        self.requests.append(params['request']['url'])
      case 'Network.webSocketCreated':
        self.requests.append(params['url'])


@contextlib.contextmanager
def start(
    profile: pathlib.Path, camera: pathlib.Path | None = None
) -> Iterator[Page]:
  """Starts Chromium with an empty profile; skips the test if there is none.

  Args:
    profile: folder of the profile.
    camera: MJPEG file that the camera shows; None = no camera.
  """
  client = pytest.importorskip('websockets.sync.client')
  program = next(filter(None, map(shutil.which, NAMES)), None)
  if program is None:
    pytest.skip('Chromium is not installed')
  flags = [
      'headless=new', 'no-sandbox', 'disable-gpu', 'no-first-run',
      'disable-dev-shm-usage', 'disable-extensions', 'mute-audio',
      'disable-background-networking', 'disable-component-update',
      'hide-scrollbars', f'user-data-dir={profile}', 'remote-debugging-port=0',
  ]  # fmt: skip
  if camera is not None:
    flags += [
        'use-fake-ui-for-media-stream',
        'use-fake-device-for-media-stream',
        f'use-file-for-fake-video-capture={camera}',
    ]
  with subprocess.Popen(
      [program, *(f'--{flag}' for flag in flags), 'about:blank'],
      stderr=subprocess.DEVNULL,
  ) as process:
    try:
      url = _debugging_url(profile, process)
      with client.connect(
          url, max_size=None, ping_interval=None, compression=None
      ) as socket:
        yield Page(socket)
    finally:
      process.terminate()


def _debugging_url(profile: pathlib.Path, process: subprocess.Popen) -> str:
  """Returns the address of the first tab."""
  import urllib.request

  port_file = profile / 'DevToolsActivePort'
  for _ in range(600):
    assert process.poll() is None
    with contextlib.suppress(OSError, IndexError, StopIteration):
      port = port_file.read_text().split()[0]
      with urllib.request.urlopen(f'http://127.0.0.1:{port}/json') as answer:
        tabs = json.load(answer)
      return next(
          tab['webSocketDebuggerUrl'] for tab in tabs if tab['type'] == 'page'
      )
    time.sleep(0.05)
  raise AssertionError('Chromium does not start')
