"""The web application: the page, and one session at a time."""

import asyncio
from collections.abc import Callable
from concurrent import futures
import time

from starlette import applications, requests, responses, routing, websockets

from abaw_jax.core import errors
from abaw_jax.live_page import access as access_lib
from abaw_jax.live_page import limits as limits_lib
from abaw_jax.live_page import messages, page

# Status codes with which a WebSocket is closed (RFC 6455 and IANA's list).
_UNSUPPORTED, _POLICY, _TRY_LATER = 1003, 1008, 1013


class Application:
  """Serves the page of one model.

  A second client is told that the model is busy, and may try again: two sessions
  that share one model would both be slow.

  Attributes:
    limits: of a session.
  """

  def __init__(
      self,
      make_stream: Callable[[], messages.Stream],
      description: messages.Description,
      access: access_lib.Access,
      limits: limits_lib.Limits | None = None,
  ):
    self._make_stream = make_stream
    self._description = description
    self._access = access
    self.limits = limits or limits_lib.Limits()
    self._is_busy = False
    # One thread: the model is used by one session, and the server stays awake.
    self._thread = futures.ThreadPoolExecutor(1)

  def asgi(self) -> applications.Starlette:
    """Returns the application for a server."""
    return applications.Starlette(
        routes=[
            routing.Route('/', self._page),
            routing.WebSocketRoute('/session', self._session),
        ]
    )

  async def _page(self, request: requests.Request) -> responses.Response:
    nonce = page.make_nonce()
    headers = page.headers(nonce)
    if reason := self._access.refusal(request.headers, request.query_params):
      return responses.PlainTextResponse(reason, 403, headers)
    text = page.render(self._description, nonce)
    return responses.HTMLResponse(text, 200, headers)

  async def _session(self, socket: websockets.WebSocket) -> None:
    if self._access.refusal(socket.headers, socket.query_params):
      await socket.close()  # not accepted yet, so this answers 403
      return
    await socket.accept()
    if self._is_busy:
      await socket.send_text(messages.BUSY)
      await socket.close(_TRY_LATER, 'the model is busy')
      return
    self._is_busy = True
    try:
      await self._talk(socket)
    except websockets.WebSocketDisconnect:
      pass  # the page was closed, or it stopped the session
    finally:
      self._is_busy = False

  async def _talk(self, socket: websockets.WebSocket) -> None:
    """Answers the pictures of one session, one after the other."""
    stream = await self._call(self._make_stream)
    await socket.send_text(messages.READY)
    rate = limits_lib.RateLimit(self.limits.pictures_per_second)
    last = float('-inf')
    while True:
      try:
        async with asyncio.timeout(self.limits.idle_seconds):
          message = await socket.receive()
      except TimeoutError:
        seconds = f'{self.limits.idle_seconds:g}'
        await socket.close(_POLICY, f'no picture for {seconds} seconds')
        return
      if message['type'] == 'websocket.disconnect':
        return
      if not message.get('bytes'):
        await socket.close(_UNSUPPORTED, 'send pictures as binary messages')
        return
      if not rate.take():
        most = f'{self.limits.pictures_per_second:g}'
        await socket.close(_POLICY, f'more than {most} pictures per second')
        return
      start = time.perf_counter()
      try:
        picture = messages.decode(message['bytes'], self.limits)
        if picture.timestamp <= last:
          raise errors.InputError(
              f'time {picture.timestamp:g} s is not after {last:g} s; start a new '
              'session to go back'
          )
        last = picture.timestamp
        found = await self._call(stream.push, picture.image, picture.timestamp)
      except errors.InputError as e:
        answer = messages.error(str(e))
      else:
        seconds = time.perf_counter() - start
        answer = messages.rows(found, picture, seconds)
      await socket.send_text(answer)

  async def _call(self, function: Callable, *arguments):
    """Returns the result of a function that runs in the thread of the model."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(self._thread, function, *arguments)
