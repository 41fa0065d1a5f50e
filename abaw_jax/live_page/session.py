"""One session: the pictures of a page, answered one after the other."""

import asyncio
from collections.abc import Awaitable, Callable
import time

from starlette import websockets

from abaw_jax.core import errors
from abaw_jax.live_page import limits as limits_lib
from abaw_jax.live_page import messages

# Status codes with which a WebSocket is closed (RFC 6455).
_UNSUPPORTED, _POLICY, _TOO_BIG = 1003, 1008, 1009

# Calls a function in another thread.
Call = Callable[..., Awaitable]


class _BreachError(Exception):
  """The client broke a rule, given with the status code of the WebSocket."""


class Session:
  """A session with an accepted WebSocket."""

  def __init__(
      self,
      socket: websockets.WebSocket,
      stream: messages.Stream,
      limits: limits_lib.Limits,
      call: Call,
  ):
    self._socket = socket
    self._stream = stream
    self._limits = limits
    self._call = call
    self._rate = limits_lib.RateLimit(limits.pictures_per_second)
    self._last = float('-inf')

  async def run(self) -> None:
    """Answers pictures until the client leaves or breaks a rule.

    Raises:
      WebSocketDisconnect: the client left.
    """
    await self._socket.send_text(messages.READY)
    try:
      while True:
        await self._socket.send_text(await self._answer(await self._receive()))
    except _BreachError as e:
      code, reason = e.args
      await self._socket.close(code, reason)

  async def _receive(self) -> bytes:
    """Returns the next message."""
    limits = self._limits
    try:
      async with asyncio.timeout(limits.idle_seconds):
        message = await self._socket.receive()
    except TimeoutError as e:
      reason = f'no picture for {limits.idle_seconds:g} seconds'
      raise _BreachError(_POLICY, reason) from e
    if message['type'] == 'websocket.disconnect':
      raise websockets.WebSocketDisconnect
    content = message.get('bytes')
    if content is None:
      raise _BreachError(_UNSUPPORTED, 'send pictures as binary messages')
    if len(content) > limits.message_bytes:
      reason = (
          f'a message of {len(content):,} bytes; at most '
          f'{limits.message_bytes:,} are read'
      )
      raise _BreachError(_TOO_BIG, reason)
    if not self._rate.take():
      reason = f'more than {limits.pictures_per_second:g} pictures per second'
      raise _BreachError(_POLICY, reason)
    return content

  async def _answer(self, message: bytes) -> str:
    """Returns the answer to a picture."""
    start = time.perf_counter()
    try:
      picture = messages.decode(message, self._limits)
      if picture.timestamp <= self._last:
        raise errors.InputError(
            f'time {picture.timestamp:g} s is not after {self._last:g} s; start a '
            'new session to go back'
        )
      self._last = picture.timestamp
      found = await self._call(
          self._stream.push, picture.image, picture.timestamp
      )
    except errors.InputError as e:
      return messages.error(str(e))
    return messages.rows(found, picture, time.perf_counter() - start)
