"""After a smaller plan: nothing goes for thirty days, then all that is past the new figure, wherever one looks."""

from __future__ import annotations

import io
import zipfile
from typing import Any

from accounts import exports
from accounts.plan_changes import set_plan
from bus import pruning
from bus.operations import OPERATIONS
from tests.conftest import Clock, MakeWorkspace
from tests.support.cast import Caller, in_thread
from tests.support.messages import principal_of
from tests.support.people import owner_of
from tests.support.rooms import room
from tests.support.surfaces import Refusal, Surface

SAID, SHARED = "lies here", "of the pin"

CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "newest": ("check_messages", {}),
    "after": ("check_messages", {"after_id": 0}),
    "as an instance": ("check_messages", {"instance_id": "reader", "after_id": 0}),
    "thread": ("get_replies", {"channel": "general", "message_id": 1}),
    "receipts": ("message_status", {"message_id": 1}),
    "claim": ("claim_message", {"message_id": 1, "instance_id": "reader", "release": True}),
    "search": ("search_messages", {"query": "needle"}),
    "literal search": ("search_messages", {"query": "ee"}),
    "channels": ("list_channels", {}),
    "found channel": ("find_channel", {"query": "general"}),
    "registration": ("register", {"instance_id": "reader"}),
    "item": ("get_shared_data", {"key": "pin"}),
    "items": ("list_shared_data", {}),
}
"""Where a message or an item is met by calls."""

PAGES = {
    "channel": "channels/general/",
    "message": "channels/general/messages/1/",
    "text of the message": "channels/general/messages/1/text",
    "transcript": "channels/general/export.md",
    "transcript as JSON": "channels/general/export.json",
    "search": "search?q=needle",
    "literal search": "search?q=ee",
    "data": "data/",
    "item": "data/item?key=pin",
}
"""Where they are met by pages."""


def downgraded(make_workspace: MakeWorkspace, clock: Clock) -> Caller:
    """Return a workspace that holds something fifty days old and went from Pro to Free just now."""
    caller = make_workspace("pro")

    def do(operation: str, **arguments: Any) -> None:
        OPERATIONS[operation](principal_of(caller), arguments)

    def begin() -> None:
        for name in ("writer", "reader"):
            do("register", instance_id=name)
        do("send_message", sender="writer", content=f"a needle {SAID}", message_type="request")
        do("share_data", key="pin", content=SHARED, description=SHARED, sender="writer")
        clock.forward(days=50)
        set_plan(caller.workspace, "free")

    in_thread(begin)
    return caller


def prune(caller: Caller) -> int:
    return in_thread(lambda: pruning.prune(caller.workspace.pk)[0]["messages"])


def met_by_calls(call: Surface, caller: Caller) -> set[str]:
    answers = {place: call(caller, operation, **arguments) for place, (operation, arguments) in CALLS.items()}
    return {place for place, answer in answers.items() if not isinstance(answer, Refusal) and _is_met({**answer})}


def _is_met(told: dict[str, Any]) -> bool:
    if "channels" in told:
        return any(
            each["message_count"] or each["last_message_at"] or each["active_senders"] for each in told["channels"]
        )
    return "accepted" in told or "claimed_by" in told or SAID in str(told) or SHARED in str(told)


def test_no_call_shows_it_once_the_hold_is_over(call: Surface, make_workspace: MakeWorkspace, clock: Clock) -> None:
    caller = downgraded(make_workspace, clock)
    assert met_by_calls(call, caller) == set(CALLS)
    clock.forward(days=29, hours=23)
    assert prune(caller) == 0
    assert met_by_calls(call, caller) == set(CALLS)
    clock.forward(hours=2)
    assert met_by_calls(call, caller) == set()
    assert prune(caller) == 1
    assert met_by_calls(call, caller) == set()


async def test_no_page_shows_it_once_the_hold_is_over(
    lane_url: str, make_workspace: MakeWorkspace, clock: Clock
) -> None:
    caller = downgraded(make_workspace, clock)
    everywhere = {*PAGES, "live page", "export of the messages", "export of the data", "export of the channel"}
    clock.forward(days=29, hours=23)
    assert await met_by_pages(lane_url, caller) == everywhere
    clock.forward(hours=2)
    assert await met_by_pages(lane_url, caller) == set()
    assert prune(caller) == 1
    assert await met_by_pages(lane_url, caller) == set()


async def met_by_pages(lane_url: str, caller: Caller) -> set[str]:
    ada = owner_of(caller)

    def look() -> set[str]:
        client = ada.client()
        bodies = {place: client.get(ada.home + path).getvalue().decode() for place, path in PAGES.items()}
        for name, text in _exported(caller).items():
            bodies[f"export of {name}"] = text
        return {place for place, body in bodies.items() if SAID in body or SHARED in body}

    found = in_thread(look)
    async with room(lane_url, ada) as page:
        await page.frame()
    return found | ({"live page"} if page.seen else set())


def _exported(caller: Caller) -> dict[str, str]:
    export = exports.ask(caller.workspace, is_queued=False)
    exports.make(export.pk)
    export.refresh_from_db()
    names = {"messages.jsonl": "the messages", "shared_data.jsonl": "the data", "channels/general.md": "the channel"}
    with zipfile.ZipFile(io.BytesIO((exports.folder() / export.path).read_bytes())) as archive:
        return {said: archive.read(name).decode() for name, said in names.items()}
