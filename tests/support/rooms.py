"""The web socket of an open channel page, as its script uses it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.support.people import Person

SOON = 20.0


@dataclass
class Room:
    """An open page. `seen` are the numbers of the messages it was told, in order; `state` what it knows of the room."""

    socket: ClientConnection
    last: int
    seen: list[int] = field(default_factory=list)
    html: dict[int, str] = field(default_factory=dict)
    replies: dict[str, str] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)

    async def frame(self, *, is_taken_in: bool = True) -> dict[str, Any]:
        """Return the next frame, and answer it. Raises: ConnectionClosed."""
        said: dict[str, Any] = json.loads(await asyncio.wait_for(self.socket.recv(), SOON))
        for message in said.get("messages", ()):
            self.seen.append(message["id"])
            self.html[message["id"]] = message["html"]
            self.last = message["id"]
        self.replies |= said.get("replies", {})
        self.state = said.get("room", self.state)
        if is_taken_in:
            await self.socket.send(json.dumps({"seq": said["seq"]}))
        return said

    async def until(self, number: int) -> None:
        """Read on until a message was told."""
        while self.last < number:
            await self.frame()

    async def until_state(self, word: str) -> None:
        """Read on until what stands around the messages has a word in it."""
        while word not in re.sub(r"\s+", " ", json.dumps(self.state)):
            await self.frame()

    async def closed(self) -> int | None:
        """Read on until the server closes; return its code."""
        try:
            while True:
                await self.frame()
        except ConnectionClosed as end:
            return end.rcvd.code if end.rcvd else None


def address(url: str, workspace: str, channel: str, after: int = 0) -> str:
    """Return where the socket of a channel is."""
    return f"{url.replace('http', 'ws')}/w/{workspace}/channels/{channel}/live?after={after}"


@asynccontextmanager
async def enter(
    url: str,
    workspace: str,
    channel: str,
    cookie: tuple[str, str] | None,
    *,
    after: int = 0,
    origin: str | None = "",
    **options: Any,
) -> AsyncIterator[Room]:
    """Open a channel's socket; `origin` "" is the page's own."""
    headers = {"Cookie": "=".join(cookie)} if cookie else {}
    where = address(url, workspace, channel, after)
    sent = url if origin == "" else origin
    async with connect(where, origin=sent, additional_headers=headers, proxy=None, **options) as socket:  # type: ignore[arg-type] # any text, for this is a test
        yield Room(socket, after)


@asynccontextmanager
async def room(url: str, person: Person, channel: str = "general", **options: Any) -> AsyncIterator[Room]:
    """Open a channel's socket as one of the people in it."""
    async with enter(url, person.workspace.slug, channel, person.cookie(), **options) as opened:
        yield opened
