"""The web socket of an open channel page: new messages as the page's own HTML, and how the room stands.

Frames are JSON. Ours: {"seq", "last", "messages": [{"id", "html"}], "replies": {id: text}, "room": {…}}; the page
answers each with {"seq"} before it gets the next, so one that reads slowly holds one frame of ours and no more. Which
message it has last it says in the address (`?after=`): whoever comes back misses nothing and gets nothing twice.
"""

from __future__ import annotations

import asyncio
import logging
import zoneinfo
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import orjson
from channels.generic.websocket import AsyncWebsocketConsumer
from django.http import Http404
from django.utils import timezone

from accounts import here as places
from accounts import sessions
from accounts.models import User
from accounts.principals import Principal
from accounts.roles import Action
from bus import access, callers, conversation, rooms
from bus.params import BIGGEST_ID
from bus.services.rooms import Look
from crosswire.lib import executor, http, logs
from crosswire.lib.errors import CrossWireError, not_found
from crosswire.lib.text import channel_name

logger = logging.getLogger(__name__)

TAKEN_IN_SECONDS = 20.0
"""How long a page has to take in what it was sent."""
CLOSING_SECONDS = 1.0
FRAME_MOST = 1_000
"""Characters of a frame of the page's; it has little to say."""

RESTART, SIGNED_OUT, SUSPENDED, ABSENT, SLOW, TOO_MANY, BROKEN, TOO_LARGE = (
    *(4012, 4401, 4403, 4404, 4408, 4429, 4011, 4009),
)
"""Why a socket is closed (Daphne lets an application choose from 3000 on). A page comes back after the first, 4011 and
4408, and says the others to its reader."""
_WHY = {"restart": RESTART, "revoked": SIGNED_OUT, "suspended": SUSPENDED, "slow": SLOW}
_REFUSED = {
    "unauthorized": SIGNED_OUT,
    "suspended": SUSPENDED,
    "not_found": ABSENT,
    "forbidden": ABSENT,
    "invalid_input": ABSENT,
    "limit_reached": TOO_MANY,
    "unavailable": RESTART,
}


@dataclass(frozen=True)
class Entered:
    """Who opened the page, and what of."""

    principal: Principal
    user: User
    place: conversation.Place


class RoomConsumer(AsyncWebsocketConsumer):  # type: ignore[misc] # Channels ships no types
    """One open page."""

    channel_layer_alias = ""  # none: nothing of a workspace goes through a channel layer

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Take an event. The base class would look after database connections first; here there are none."""
        match message["type"]:
            case "websocket.connect" | "websocket.receive" | "websocket.disconnect" as kind:
                await getattr(self, kind.replace(".", "_"))(message)

    async def connect(self) -> None:
        """Let the page in and begin; who it is is found out beside, so that it can be told why it may not."""
        await self.accept()
        self.sent = 0
        self.taken_in = asyncio.Event()
        self.shown: dict[str, Any] = {}
        self.work = asyncio.create_task(self._serve())

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Hear what the page has taken in."""
        if text_data is None or len(text_data) > FRAME_MOST:
            await self.close(TOO_LARGE)
            return
        with suppress(orjson.JSONDecodeError):
            said = orjson.loads(text_data)
            if isinstance(said, dict) and said.get("seq") == self.sent:
                self.taken_in.set()

    async def disconnect(self, code: int) -> None:
        """Forget the page."""
        self.work.cancel()
        await asyncio.wait([self.work])

    async def _serve(self) -> None:
        code = BROKEN
        try:
            code = await self._follow()
        except CrossWireError as refusal:
            code = _REFUSED.get(refusal.code, BROKEN)
        except TimeoutError:
            code = SLOW
        except asyncio.CancelledError:
            raise
        except Exception as problem:  # noqa: BLE001 - logged there
            callers.unexpected("a channel's page", problem)
        with suppress(TimeoutError, RuntimeError):  # a reader that is stuck, or gone
            async with asyncio.timeout(CLOSING_SECONDS):
                await self.close(code)

    async def _follow(self) -> int:
        """Tell the page what happens until something ends it; return the code it is closed with."""
        after = _after(self.scope)
        route = self.scope["url_route"]["kwargs"]
        key = sessions.key_of(self.scope)
        self.entered = await executor.run(_enter, key, route["workspace"], route["name"])
        principal = self.entered.principal
        logs.note_workspace(principal.workspace_id)
        with rooms.opened(principal, self.entered.place.channel) as page:
            following = asyncio.create_task(rooms.follow(page, principal, after, self._made, self._tell))
            over = asyncio.create_task(page.over.wait())
            try:
                await asyncio.wait({following, over}, return_when=asyncio.FIRST_COMPLETED)
                if following.done():
                    following.result()
                return _WHY.get(page.why, RESTART)
            finally:
                for task in (following, over):
                    task.cancel()
                await asyncio.wait({following, over})

    def _made(self, found: Look) -> dict[str, Any] | None:
        """Return a frame for what a look found, on its thread; None when the page shows all of it already."""
        with timezone.override(_zone(self.entered.user)):
            shown = conversation.lines(found.stretch, found.state.claims)
            html = conversation.render(shown, self.entered.place)
            room = {
                "html": conversation.render_state(found.state),
                "waiting": conversation.render_waiting(found.state),
                "claims": conversation.render_claims(found.state.claims),
                "is_paused": found.state.channel.paused_at is not None,
                "is_archived": found.state.channel.archived_at is not None,
            }
        frame: dict[str, Any] = {} if room == self.shown else {"room": room}
        self.shown = room
        if shown:
            frame["messages"] = [
                {"id": line.message.number, "by": line.who.name, "html": text}
                for line, text in zip(shown, html, strict=True)
            ]
            frame["replies"] = {
                str(number): f"{parent.reply_count:,} repl{'y' if parent.reply_count == 1 else 'ies'}"
                for number, parent in found.stretch.parents.items()
            }
        return frame or None

    async def _tell(self, frame: dict[str, Any] | None) -> None:
        """Send a frame and wait until the page has taken it in. Raises: TimeoutError when it does not."""
        self.sent += 1
        self.taken_in.clear()
        async with asyncio.timeout(TAKEN_IN_SECONDS):
            text = orjson.dumps({"seq": self.sent, **(frame or {})}, option=orjson.OPT_NON_STR_KEYS)
            await self.send(text_data=text.decode())
            await self.taken_in.wait()


def _enter(session: str, workspace: str, name: str) -> Entered:
    """Return who opens a page. Raises: CrossWireError `unauthorized`, `not_found` (a stranger's too), `suspended`."""
    user = sessions.person_of(session)
    if user is None:
        raise CrossWireError("unauthorized", "Sign in first.")
    try:
        here = places.find(user, workspace)
    except Http404:
        raise not_found("There is no such workspace.") from None
    if not here.may(Action.VIEW):
        raise CrossWireError("forbidden", "Your role does not allow that.")
    if here.workspace.suspended_at:
        raise CrossWireError("suspended", "This workspace is suspended.")
    principal = replace(here.principal, session=session)
    channel = access.get_channel(principal, channel_name(name))
    return Entered(principal, user, conversation.Place(workspace, channel.name, may_post=here.may(Action.POST)))


def _after(scope: http.Scope) -> int:
    """Return the number of the last message the page has. Raises: CrossWireError `invalid_input`."""
    given = http.query(scope).get("after", "0")
    return min(int(given), BIGGEST_ID) if given.isdecimal() and given.isascii() and len(given) < 20 else 0


def _zone(user: User) -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo(user.time_zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return zoneinfo.ZoneInfo("UTC")
