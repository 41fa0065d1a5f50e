"""Starts the server on a port of this machine."""

import logging
import socket

import uvicorn
from uvicorn.protocols.websockets import websockets_sansio_impl

from abaw_jax.core import errors
from abaw_jax.live_page import access, application


def listen(port: int) -> socket.socket:
  """Returns a socket that listens on a port of 127.0.0.1; 0 is any free port.

  Raises:
    InputError: the port is taken or not allowed.
  """
  listener = socket.socket()
  listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
  try:
    listener.bind((access.HOST, port))
    listener.listen()
  except OSError as e:
    listener.close()
    raise errors.InputError(
        f'--port={port}: {e.strerror}; choose another port, or 0 for any free one'
    ) from e
  return listener


def make_server(app: application.Application) -> uvicorn.Server:
  """Returns a server; `run(sockets=[listen(port)])` starts it."""
  config = uvicorn.Config(
      app.asgi(),
      log_config=None,
      access_log=False,  # it would show the token
      lifespan='off',
      server_header=False,
      timeout_graceful_shutdown=1,
      ws=websockets_sansio_impl.WebSocketsSansIOProtocol,
      # Above this size a connection ends in the middle of the message, and a browser
      # may not learn why. The application ends smaller ones with a reason.
      ws_max_size=8 * app.limits.message_bytes,
      # Pictures are compressed already.
      ws_per_message_deflate=False,
  )
  return _Server(config)


class _Server(uvicorn.Server):
  """Says nothing about sessions that end with the server."""

  async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
    logging.getLogger('uvicorn.error').setLevel(logging.CRITICAL)
    await super().shutdown(sockets)
