"""The stand-in as an ASGI application: the API, the pages and the controls under one address."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from billing.demo import api, controls, hosted, pages
from billing.demo.api import Answer, Request
from billing.demo.errors import ApiError
from billing.demo.webhooks import Deliverer, Post, poster
from billing.demo.world import World
from crosswire.lib import env

type Scope = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[Any]]
type Send = Callable[[Any], Awaitable[None]]

MOST_BYTES = 200_000
THREADS = 8
SLOW_SECONDS = 30.0


class Server:
    """One account served. `world` is its state, `deliverer` sends its webhooks."""

    def __init__(self, world: World, post: Post | None = None) -> None:
        self.world = world
        self.prefix = urlsplit(world.base_url).path
        self.host = urlsplit(world.base_url).netloc
        self.deliverer = Deliverer(world, post or poster(world.webhook_url or ""))
        # Not the loop's own threads: a page of the product may hold one while it asks us.
        self._threads = ThreadPoolExecutor(THREADS, "demo-payments")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        self.deliverer.start()
        request = await self._read(scope, receive)
        if request is None:
            answer = Answer(413, b"The request is too large.", {"content-type": "text/plain"})
        elif await self._is_cut_off(request, send):
            return
        else:
            loop = asyncio.get_running_loop()
            answer = await loop.run_in_executor(self._threads, self.answer, request)
        await _send(send, answer)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            kind = (await receive())["type"]
            if kind == "lifespan.shutdown":
                await asyncio.to_thread(self.close)
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return

    def close(self) -> None:
        """End the threads."""
        self.deliverer.stop()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _read(self, scope: Scope, receive: Receive) -> Request | None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > MOST_BYTES:
                return None
            if not message.get("more_body"):
                break
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        path = scope["path"].removeprefix(self.prefix) or "/"
        return Request(scope["method"], path, scope["query_string"].decode("latin-1"), headers, body)

    async def _is_cut_off(self, request: Request, send: Send) -> bool:
        """Play the outages that are no answers: break the connection, or take long."""
        if not request.path.startswith("/v1/"):
            return False
        outage = self.world.data["modes"]["outage"]
        if outage == "slow":
            await asyncio.sleep(SLOW_SECONDS)
        if outage == "refuse":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"{", "more_body": True})
        return bool(outage == "refuse")

    def answer(self, request: Request) -> Answer:
        """Answer one request, in a thread of its own."""
        if request.path.startswith("/v1/"):
            return api.answer(self.world, request)
        try:
            self._check_sender(request)
            api.catch_up(self.world)
            if request.path.startswith("/demo"):
                return controls.answer(self.world, self.deliverer, request)
            return hosted.answer(self.world, request)
        except ApiError as refusal:
            return pages.refused(self.world, refusal)

    def _check_sender(self, request: Request) -> None:
        """Raises: ApiError when a browser was sent here by somebody else's page or name (DNS rebinding)."""
        host = request.headers.get("host", "")
        name = urlsplit(f"//{host}").hostname or ""
        if host != self.host and not env.is_loopback(name):
            raise ApiError(400, "invalid_request_error", "This is not the host you named.")
        if request.method == "GET":
            return
        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            raise ApiError(403, "invalid_request_error", "A page of another origin sent this.")
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise ApiError(403, "invalid_request_error", "Another site sent this.")


async def _send(send: Send, answer: Answer) -> None:
    headers = {"content-length": str(len(answer.body)), "cache-control": "no-store", **answer.headers}
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
    await send({"type": "http.response.body", "body": answer.body})


def application(
    state_path: Path | None,
    base_url: str,
    webhook_url: str | None,
    webhook_secret: str = "",
    *,
    key: str = "",
    post: Post | None = None,
) -> Server:
    """Return the stand-in as an ASGI application.

    `state_path`: the file that remembers everything, None for memory alone. `base_url`: where it is reached, without a
    slash at the end; the SDK's `base_addresses={"api": base_url}`. `webhook_url`: where events go, None for nowhere.
    Key and secret are made up and kept with the state when they are not given. `post` replaces how webhooks are sent.
    """
    return Server(World(state_path, base_url, webhook_url, key=key, webhook_secret=webhook_secret), post)
