"""An inbox that waits on one server, and what happens on another."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest

from bus.models import Wait
from tests.conftest import SurfaceAt
from tests.support.cast import Caller
from tests.support.messages import ids
from tests.support.processes import wait_until
from tests.support.surfaces import Refusal, Result, Surface

pytestmark = pytest.mark.slow

SOON = 30.0
SURFACES = ("lane", "mcp-2026-07-28")

type Waited = Future[Result | Refusal]


@pytest.fixture(params=SURFACES)
def here(request: pytest.FixtureRequest, pair: list[str], surface_at: SurfaceAt) -> Surface:
    """Where the inbox waits."""
    return surface_at(request.param, pair[0])


@pytest.fixture
def there(here: Surface, pair: list[str], surface_at: SurfaceAt) -> Surface:
    """The other server."""
    return surface_at(here.name, pair[1])


@pytest.fixture
def ann(here: Surface, alice: Caller) -> Caller:
    """Alice, after an instance `ann` has registered: whatever comes now is new to it."""
    here.ok(alice, "register", instance_id="ann")
    return alice


def waits_of(caller: Caller) -> int:
    return Wait.objects.filter(workspace=caller.workspace, ended_at=None).count()


def begin(surface: Surface, caller: Caller, **arguments: Any) -> Waited:
    """Begin to wait in the inbox; return once the wait is open."""
    before = set(Wait.objects.filter(workspace=caller.workspace).values_list("pk", flat=True))
    waiting = surface.start(caller, "inbox", instance_id="ann", wait=40, **arguments)
    rows = Wait.objects.filter(workspace=caller.workspace, ended_at=None)
    wait_until(lambda: waiting.done() or rows.exclude(pk__in=before).exists(), SOON, lambda: "the wait does not begin")
    assert not waiting.done(), waiting.result(0)
    return waiting


def answered(waiting: Waited) -> Result:
    answer = waiting.result(SOON)
    assert isinstance(answer, Result), answer
    return answer


def send(surface: Surface, caller: Caller, channel: str, sender: str = "bo") -> int:
    return int(surface.ok(caller, "send_message", channel=channel, sender=sender, content="x")["id"])


def test_the_first_message_anywhere_ends_the_wait(here: Surface, there: Surface, ann: Caller) -> None:
    waiting = begin(here, ann)
    send(there, ann, "general", sender="ann")  # its own is nothing new to it
    number = send(there, ann, "a-new-channel")
    answer = answered(waiting)
    assert (ids(answer), answer["ended"], answer["unread"]) == ([number], "message", {})
    wait_until(lambda: waits_of(ann) == 0, SOON, lambda: "its row stays")


def test_it_answers_at_once_while_anything_is_unread(here: Surface, there: Surface, ann: Caller) -> None:
    numbers = [send(there, ann, channel) for channel in ("red", "blue")]
    first = here.ok(ann, "inbox", instance_id="ann", wait=40, limit=1)
    assert (ids(first), first["ended"], first["unread"]) == (numbers[:1], "message", {"blue": 1})
    again = there.ok(ann, "inbox", instance_id="ann", wait=40)
    assert [(each["id"], each.get("again", False)) for each in again["messages"]] == [
        (numbers[0], True),
        (numbers[1], False),
    ]
    repeated = here.ok(ann, "inbox", instance_id="ann", wait=40)
    assert [(each["id"], each["again"]) for each in repeated["messages"]] == [(numbers[1], True)]
    number = send(there, ann, "red")
    assert ids(here.ok(ann, "inbox", instance_id="ann", wait=40)) == [number]


def test_a_newer_one_ends_the_older_wherever_it_is(here: Surface, there: Surface, ann: Caller) -> None:
    older = begin(here, ann)
    newer = begin(there, ann)
    assert (answered(older)["ended"], answered(older)["messages"]) == ("superseded", [])
    number = send(here, ann, "red")
    assert ids(answered(newer)) == [number]


def test_one_that_is_answered_at_once_ends_the_older_too(here: Surface, there: Surface, ann: Caller) -> None:
    older = begin(here, ann)
    number = send(there, ann, "red")
    newer = there.ok(ann, "inbox", instance_id="ann", wait=40)
    assert ids(newer) == [number]
    met = answered(older)  # it may have been woken first
    assert (met["ended"], ids(met)) in (("superseded", []), ("message", [number]))


def test_a_wait_on_a_channel_and_one_in_the_inbox_stand_beside_each_other(
    here: Surface, there: Surface, ann: Caller
) -> None:
    inbox = begin(here, ann)
    channel = (
        there.start(ann, "wait_for_reply", instance_id="ann", channel="red")
        if there.is_mcp
        else there.start(ann, "check_messages", instance_id="ann", channel="red", after_id=0, wait=40)
    )
    wait_until(lambda: waits_of(ann) == 2, SOON, lambda: "one of the waits is not open")
    number = send(there, ann, "red")
    for each in (inbox, channel):
        assert (ids(answered(each)), answered(each)["ended"]) == ([number], "message")


def test_what_was_acknowledged_on_one_server_is_not_given_on_the_other(
    here: Surface, there: Surface, ann: Caller
) -> None:
    red, blue = send(there, ann, "red"), send(there, ann, "blue")
    later = send(there, ann, "red")
    assert ids(here.ok(ann, "inbox", instance_id="ann", limit=1)) == [red]
    if here.is_mcp:
        rest = there.ok(ann, "inbox", instance_id="ann", wait=40, ack={"red": later})
    else:
        there.ok(ann, "ack_inbox", instance_id="ann", channel="red", up_to=later)
        rest = there.ok(ann, "inbox", instance_id="ann", wait=40)
    assert (ids(rest), rest["unread"]) == ([blue], {})
    if here.is_mcp:  # everything is waved away, and so it waits
        waiting = begin(here, ann, ack={"blue": blue})
    else:
        here.ok(ann, "ack_inbox", instance_id="ann", channel="blue", up_to=blue)
        waiting = begin(here, ann)
    number = send(there, ann, "blue")
    assert ids(answered(waiting)) == [number]
