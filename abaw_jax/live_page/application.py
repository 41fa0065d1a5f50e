"""The web application: the page, and one session at a time."""

import asyncio
from collections.abc import Callable
from concurrent import futures

from starlette import applications, requests, responses, routing, websockets

from abaw_jax.live_page import access as access_lib
from abaw_jax.live_page import limits as limits_lib
from abaw_jax.live_page import messages, page, session

# Status code with which a WebSocket is closed (IANA's list).
_TRY_LATER = 1013


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
    headers = page.headers(nonce, self._access.hosts)
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
      stream = await self._call(self._make_stream)
      await session.Session(socket, stream, self.limits, self._call).run()
    except websockets.WebSocketDisconnect:
      pass  # the page was closed, or it stopped the session
    finally:
      self._is_busy = False

  async def _call(self, function: Callable, *arguments):
    """Returns the result of a function that runs in the thread of the model."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(self._thread, function, *arguments)
