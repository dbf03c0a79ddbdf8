"""The socket of an open channel page: what it tells, to whom, and when it ends."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from accounts import principals, services
from accounts.models import Member, User
from bus import consumers, rooms, streams, waiting
from bus.services import claims, messages, moderation
from crosswire.lib import hub
from tests.bus.waiters import unheard, until
from tests.conftest import Serve
from tests.support.cast import Caller, in_thread
from tests.support.messages import principal_of, seed
from tests.support.people import Person, make_person, owner_of
from tests.support.rooms import enter, room
from tests.support.servers import manage

SOON = 20.0


def send(caller: Caller, text: str, **fields: Any) -> int:
    """Send a message as an agent would."""
    wanted = {"channel": "general", "sender": "ann", **fields}
    return in_thread(lambda: messages.send(principal_of(caller), content=text, **wanted)["id"])


def me(person: Person) -> principals.Principal:
    return principals.of_member(Member.objects.select_related("workspace", "user").get(pk=person.member.pk))


async def within[T](seconds: float, work: Any) -> T:
    async with asyncio.timeout(seconds):
        found: T = await work
        return found


# --- what is told -----------------------------------------------------------------------------------------------


async def test_a_new_message_comes_as_the_pages_own_html(lane_url: str, alice: Caller) -> None:
    ada = owner_of(alice)
    async with room(lane_url, ada) as opened:
        await opened.frame()
        number = send(alice, "**hello** <script>alert(1)</script>")
        await opened.until(number)
    assert opened.seen == [number]
    assert f'id="m{number}"' in opened.html[number]
    assert "<strong>hello</strong> &lt;script&gt;" in opened.html[number]


async def test_what_came_while_nobody_listened_is_told_once_in_order(lane_url: str, alice: Caller) -> None:
    ada = owner_of(alice)
    stored = in_thread(lambda: seed(alice, [f"text {number}" for number in range(130)]))
    async with room(lane_url, ada, after=stored[4]) as opened:
        await opened.until(stored[-1])
    assert opened.seen == stored[5:]


async def test_replies_claims_and_the_state_of_the_room_are_told(lane_url: str, alice: Caller) -> None:
    ada = owner_of(alice)
    asked = send(alice, "who?", message_type="request")
    async with room(lane_url, ada, after=asked) as opened:
        await opened.frame()
        in_thread(lambda: claims.claim(principal_of(alice), message_id=asked, instance_id="bo"))
        await opened.until_state("claimed by bo")
        assert list(opened.state["claims"]) == [str(asked)]
        await opened.until(send(alice, "me", sender="bo", in_reply_to=asked))
        assert opened.replies == {str(asked): "1 reply"}
        await opened.until_state('"claims": {}')
        in_thread(lambda: moderation.describe(me(ada), channel="general", description="what for", actor="ada"))
        await opened.until_state("what for")
        in_thread(lambda: moderation.pause(me(ada), channel="general", actor="ada"))
        await opened.until_state("Paused")
        in_thread(lambda: moderation.archive(me(ada), channel="general", actor="ada"))
        await opened.until_state("Archived")


async def test_who_waits_is_told_and_that_they_wait_no_more(
    lane_url: str, alice: Caller, monkeypatch: pytest.MonkeyPatch, surface: Any
) -> None:
    monkeypatch.setattr(rooms, "BEAT_SECONDS", 0.2)
    ada = owner_of(alice)
    async with room(lane_url, ada) as opened:
        await opened.until_state("Nobody waits here")
        waited = surface("lane").start(alice, "check_messages", channel="general", instance_id="ann", wait=30)
        await opened.until_state("<strong>ann</strong>")
        await opened.until(send(alice, "here you are", sender="bo"))
        await opened.until_state("Nobody waits here")
        assert waited.result(SOON)["messages"]


async def test_a_message_nobody_told_of_is_found_all_the_same(
    lane_url: str, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms, "BEAT_SECONDS", 0.2)
    ada = owner_of(alice)
    async with room(lane_url, ada) as opened:
        await opened.frame()
        with unheard():
            number = send(alice, "unheard")
        await within(SOON, opened.until(number))


async def test_a_quiet_page_is_told_that_it_is_still_heard(
    lane_url: str, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms, "QUIET_SECONDS", 0.05)
    async with room(lane_url, owner_of(alice)) as opened:
        await opened.frame()
        assert set(await opened.frame()) == {"seq"}


async def test_a_page_that_waits_costs_one_statement_now_and_then_and_holds_nothing(
    lane_url: str, alice: Caller, statements: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms, "BEAT_SECONDS", 0.5)
    ada = owner_of(alice)
    async with room(lane_url, ada) as one, room(lane_url, ada) as other:
        for each in (one, other):
            await each.frame()
        key = (ada.workspace.pk, "general")
        await asyncio.to_thread(until, lambda: key in rooms._standing, "nobody looks")
        await asyncio.sleep(0.5)  # for the look that follows
        began = time.monotonic()
        with statements() as ran:
            await asyncio.sleep(2 * rooms.BEAT_SECONDS)
    beats = (time.monotonic() - began) / rooms.BEAT_SECONDS
    assert len([text for text in ran if "bus_" in text]) <= beats + 1, ran


async def test_times_are_the_readers(lane_url: str, alice: Caller) -> None:
    ada = owner_of(alice)
    await User.objects.filter(pk=ada.user.pk).aupdate(time_zone="Pacific/Kiritimati")
    number = send(alice, "x")
    async with room(lane_url, ada) as opened:
        await opened.until(number)
    assert "+14" in opened.html[number]


# --- who may ----------------------------------------------------------------------------------------------------


async def test_a_viewer_sees_and_is_not_offered_to_reply(lane_url: str, alice: Caller) -> None:
    vera = make_person(alice.workspace, "viewer", "Vera")
    number = send(alice, "x")
    async with room(lane_url, vera) as opened:
        await opened.until(number)
    assert "data-reply=" not in opened.html[number]


@pytest.mark.parametrize("origin", [None, "https://evil.example", "http://127.0.0.1:1", "null", "http://[", "file://"])
async def test_only_a_page_of_ours_opens_one(lane_url: str, alice: Caller, origin: str | None) -> None:
    ada = owner_of(alice)
    with pytest.raises(InvalidStatus) as refused:
        async with room(lane_url, ada, origin=origin):
            pass
    assert refused.value.response.status_code == 403


async def test_a_host_that_is_not_ours_opens_none(lane_url: str, alice: Caller) -> None:
    ada = owner_of(alice)
    port = int(lane_url.rpartition(":")[2])
    there = f"http://evil.example:{port}"
    with pytest.raises(InvalidStatus):
        async with enter(there, ada.workspace.slug, "general", ada.cookie(), origin=there, host="127.0.0.1", port=port):
            pass


@pytest.mark.parametrize("path", ["/live", "/w/x/live", "/ws", "/w/x/channels/a/b/live"])
async def test_there_is_no_socket_anywhere_else(lane_url: str, path: str) -> None:
    from websockets.asyncio.client import connect  # noqa: PLC0415 - this test's alone

    with pytest.raises(InvalidStatus):
        async with connect(f"{lane_url.replace('http', 'ws')}{path}", origin=lane_url, proxy=None):  # type: ignore[arg-type] # any text
            pass


@pytest.mark.parametrize("cookie", [None, ("sessionid", ""), ("sessionid", "x" * 32), ("sessionid", "\\;'")])
async def test_nobody_unknown_gets_in(lane_url: str, alice: Caller, cookie: tuple[str, str] | None) -> None:
    async with enter(lane_url, alice.workspace.slug, "general", cookie) as opened:
        assert await opened.closed() == consumers.SIGNED_OUT


async def test_a_stranger_learns_nothing(lane_url: str, alice: Caller, mallory: Caller) -> None:
    mal = owner_of(mallory)
    there, nowhere = alice.workspace.slug, "0" * 16
    send(alice, "secret")
    for slug, channel in (
        (there, "general"),
        (there, "nothing"),
        (nowhere, "general"),
        (mal.workspace.slug, "nothing"),
    ):
        async with enter(lane_url, slug, channel, mal.cookie()) as opened:
            assert await opened.closed() == consumers.ABSENT
            assert opened.seen == []
            assert opened.state == {}


async def test_a_channel_of_the_same_name_elsewhere_is_not_heard(lane_url: str, alice: Caller, mallory: Caller) -> None:
    mal = owner_of(mallory)
    async with room(lane_url, mal) as opened:
        await opened.frame()
        send(alice, "secret")
        await opened.until(send(mallory, "own"))
        assert len(opened.seen) == 1


@pytest.mark.parametrize("after", ["-1", "x", "9" * 30, "1.5", "٣", "%00", ""])
async def test_nonsense_in_the_address_is_taken_for_the_beginning(lane_url: str, alice: Caller, after: Any) -> None:
    number = send(alice, "x")
    async with room(lane_url, owner_of(alice), after=after) as opened:
        opened.last = 0
        await opened.until(number)


# --- when it ends -----------------------------------------------------------------------------------------------


def remove(person: Person) -> None:
    Member.objects.filter(pk=person.member.pk).delete()
    principals.drop_after_commit(person.workspace.pk)


def suspend(person: Person) -> None:
    services.suspend(person.workspace, "unpaid")


def narrow(person: Person) -> None:
    Member.objects.filter(pk=person.member.pk).update(role=Member.Role.VIEWER)
    principals.drop_after_commit(person.workspace.pk)


def sign_out(person: Person) -> None:
    SIGNED_IN[person.user.pk].logout()


def change_password(person: Person) -> None:
    person.user.set_password("another-good-one-7")
    person.user.save()


def deactivate(person: Person) -> None:
    person.user.is_active = False
    person.user.save()


SIGNED_IN: dict[int, Any] = {}
LOSSES: dict[str, tuple[Callable[[Person], None], int]] = {
    "removed": (remove, consumers.SIGNED_OUT),
    "suspended": (suspend, consumers.SUSPENDED),
    "made a viewer": (narrow, consumers.SIGNED_OUT),
    "signed out": (sign_out, consumers.SIGNED_OUT),
    "another password": (change_password, consumers.SIGNED_OUT),
    "deactivated": (deactivate, consumers.SIGNED_OUT),
}


@pytest.mark.parametrize("loss", LOSSES)
async def test_who_may_look_no_longer_is_shown_out_at_the_word(
    lane_url: str, alice: Caller, monkeypatch: pytest.MonkeyPatch, loss: str
) -> None:
    monkeypatch.setattr(streams, "RECHECK_SECONDS", 1_000.0)  # no check but the one that is asked for
    monkeypatch.setattr(streams, "CALM_RECHECK_SECONDS", 1_000.0)
    take_away, code = LOSSES[loss]
    ada = owner_of(alice)
    client = SIGNED_IN[ada.user.pk] = ada.client()
    cookie = "sessionid", client.cookies["sessionid"].value
    other = make_person(alice.workspace, "member", "Bo")
    async with enter(lane_url, ada.workspace.slug, "general", cookie) as opened, room(lane_url, other) as beside:
        for each in (opened, beside):
            await each.frame()
        await asyncio.sleep(0.5)  # the check that follows each opening
        in_thread(lambda: take_away(ada))
        assert await within(SOON, opened.closed()) == code
        if loss != "suspended":
            await beside.until(send(alice, "still here"))
        number = None if loss == "suspended" else send(alice, "not for her")
        assert number not in opened.seen


async def test_who_was_removed_unheard_is_shown_out_all_the_same(
    lane_url: str, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "RECHECK_SECONDS", 0.3)
    monkeypatch.setattr(streams, "CALM_RECHECK_SECONDS", 0.3)
    ada = owner_of(alice)
    async with room(lane_url, ada) as opened:
        await opened.frame()
        with unheard():
            in_thread(lambda: remove(ada))
        assert await within(SOON, opened.closed()) == consumers.SIGNED_OUT


async def test_a_page_that_takes_nothing_in_gets_one_frame_and_is_left(
    lane_url: str, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "TAKEN_IN_SECONDS", 0.5)
    ada = owner_of(alice)
    stored = in_thread(lambda: seed(alice, ["x" * 500] * 200))
    async with room(lane_url, ada) as opened:
        await opened.frame(is_taken_in=False)
        assert await opened.closed() == consumers.SLOW
        assert opened.seen == stored[:50]


async def test_a_frame_that_is_too_large_ends_it(lane_url: str, alice: Caller) -> None:
    async with room(lane_url, owner_of(alice)) as opened:
        await opened.frame()
        await opened.socket.send("x" * 2_000)
        assert await opened.closed() == consumers.TOO_LARGE


@pytest.mark.parametrize("said", ["{", "[]", "1", "null", '{"seq": "x"}', '{"seq": -1}', '{"seq": 1e999}', '"\\ud800"'])
async def test_nonsense_from_a_page_is_passed_over(lane_url: str, alice: Caller, said: str) -> None:
    async with room(lane_url, owner_of(alice)) as opened:
        await opened.frame(is_taken_in=False)
        await opened.socket.send(said)
        await opened.socket.send(json.dumps({"seq": 1}))
        await opened.until(send(alice, "on"))


async def test_a_person_has_so_many_pages_open_and_no_more(
    lane_url: str, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms, "MOST_OF_PERSON", 2)
    ada = owner_of(alice)
    async with room(lane_url, ada) as one, room(lane_url, ada) as two:
        await one.frame()
        await two.frame()
        async with room(lane_url, ada) as third:
            assert await third.closed() == consumers.TOO_MANY
        async with room(lane_url, make_person(alice.workspace, "member", "Bo")) as fourth:
            await fourth.frame()


async def test_nothing_is_left_of_a_page_that_is_gone(lane_url: str, alice: Caller) -> None:
    ada = owner_of(alice)
    async with room(lane_url, ada) as opened:
        await opened.frame()
        assert (ada.workspace.pk, "general") in rooms._pages
        opened.socket.transport.abort()
    key = (ada.workspace.pk, "general")
    await asyncio.to_thread(until, lambda: key not in rooms._pages, "the page is still counted")


async def test_a_deleted_channels_page_is_told_so(lane_url: str, alice: Caller) -> None:
    from bus.models import Channel  # noqa: PLC0415 - this test's alone

    ada = owner_of(alice)
    in_thread(lambda: seed(alice, ["x"], channel="gone"))
    async with room(lane_url, ada, "gone") as opened:
        await opened.frame()
        await Channel.objects.filter(workspace=ada.workspace, name="gone").adelete()
        hub.publish("bus.room", {"workspace": ada.workspace.pk, "channel": "gone"})
        assert await opened.closed() == consumers.ABSENT


def test_the_room_is_open_when_these_tests_begin() -> None:
    assert not waiting.room.is_closed


# --- processes --------------------------------------------------------------------------------------------------

_MAKE = """
import json
from django.test import Client
from accounts.models import Member, User
from accounts.services import create_key, create_workspace
workspace = create_workspace("acme", "pro")
user = User.objects.create_user("ada@example.com", None, name="Ada Jones")
Member.objects.create(workspace=workspace, user=user, role="owner")
client = Client()
client.force_login(user, "django.contrib.auth.backends.ModelBackend")
key = create_key(workspace, "k")[1]
print(json.dumps({"slug": workspace.slug, "session": client.cookies["sessionid"].value, "key": key}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("program", ["uvicorn", "daphne"])
async def test_a_server_that_stops_lets_its_pages_go_and_another_has_them_back(
    serve: Serve, surface_at: Any, program: Any
) -> None:
    first = await asyncio.to_thread(serve, None, program)
    second = await asyncio.to_thread(serve, first.home, "uvicorn")
    made = json.loads((await asyncio.to_thread(manage, first.home, "shell", "-v", "0", "-c", _MAKE)).splitlines()[-1])
    caller, cookie = Caller(made["key"], None), ("sessionid", made["session"])  # type: ignore[arg-type] # its row is elsewhere
    call = surface_at("lane", second.url)

    def say(text: str) -> int:
        return int(call(caller, "send_message", sender="ann", content=text)["id"])

    async with enter(first.url, made["slug"], "general", cookie) as opened:
        await opened.until(await asyncio.to_thread(say, "through another process"))
        stopping = asyncio.create_task(asyncio.to_thread(first.stop, 10))
        assert await opened.closed() in (consumers.RESTART, 1012)  # or uvicorn's own
        assert await stopping < 5
    await asyncio.to_thread(say, "meanwhile")
    async with enter(second.url, made["slug"], "general", cookie, after=opened.last) as back:
        await back.until(opened.last + 1)
    assert opened.seen + back.seen == [1, 2]
