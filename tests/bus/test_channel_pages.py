"""The pages of channels: what they show, to whom, and what a form does without any script."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts import principals, services
from accounts.models import Member, User
from bus.models import Channel, Message
from bus.services import claims, messages, moderation, people
from tests.conftest import Clock
from tests.support.cast import Caller
from tests.support.hostile import HOSTILE, MARKDOWN, Looked
from tests.support.messages import change_plan, principal_of, seed, use_up
from tests.support.people import Person, make_person, owner_of

QUERIES_MOST = 19
PAGE_BYTES_MOST = 200_000


def me(person: Person) -> principals.Principal:
    return principals.of_member(Member.objects.select_related("workspace", "user").get(pk=person.member.pk))


def page(person: Person, path: str, status: int = 200) -> str:
    answer = person.client().get(person.home + path)
    assert answer.status_code == status, answer.content[:500]
    assert len(answer.content) < PAGE_BYTES_MOST
    return answer.content.decode()


def shown(text: str) -> list[int]:
    """Return the numbers of the messages on a page, in order."""
    return [int(number) for number in re.findall(r'data-id="(\d+)"', text)]


def field(text: str, name: str) -> str:
    found = re.search(rf'<input[^>]*name="{name}"[^>]*value="([^"]*)"', text)
    assert found, name
    return html.unescape(found[1])


def write(person: Person, content: str, channel: str = "general", **fields: Any) -> Any:
    """Send the form as a browser without scripts does."""
    client = person.client()
    path = f"{person.home}channels/{channel}/"
    given = {"key": "k1", "message_type": "message", "in_reply_to": "", "content": content, **fields}
    return client.post(path, given)


# --- the list ---------------------------------------------------------------------------------------------------


def test_the_list_shows_the_latest_first_with_figures_and_archived_ones_apart(alice: Caller) -> None:
    ada = owner_of(alice)
    seed(alice, ["x"] * 3, channel="older")
    seed(alice, ["x"], channel="newer", sender="bo")
    seed(alice, ["x"], channel="put-away")
    people.post(me(ada), channel="newer", content="x")
    moderation.archive(me(ada), channel="put-away", actor="ada")
    text = page(ada, "channels/")
    assert text.index("#newer") < text.index("#older") < text.index("#general") < text.index("Archived (1)")
    assert text.index("#put-away") > text.index("Archived (1)")
    assert "3 messages" in text
    assert "Ada Jones, bo" in " ".join(text.split())


def test_a_channel_is_made_under_its_normal_name(alice: Caller) -> None:
    ada = owner_of(alice)
    answer = ada.client().post(f"{ada.home}channels/", {"name": " My_New  Channel! ", "description": "what for"})
    assert (answer.status_code, answer["location"]) == (302, f"{ada.home}channels/my-new-channel/")
    assert Channel.objects.get(workspace=alice.workspace, name="my-new-channel").description == "what for"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": "!!!"}, "at least one letter"),
        ({"name": ""}, "required"),
        ({"name": "x" * 201}, "at most 200"),
        ({"name": "x" * 90}, "at most 80"),
        ({"name": "x", "description": "a\nb\x00"}, "Null characters"),
        ({"name": "x", "description": "d" * 501}, "at most 500"),
    ],
)
def test_what_cannot_be_made_is_said_beside_the_form(alice: Caller, given: dict[str, str], said: str) -> None:
    ada = owner_of(alice)
    answer = ada.client().post(f"{ada.home}channels/", given)
    assert answer.status_code == 400
    assert said in answer.content.decode()


def test_the_plans_limit_is_said_in_words(alice: Caller) -> None:
    ada = owner_of(alice)
    change_plan(alice, "free", channels=1)
    answer = ada.client().post(f"{ada.home}channels/", {"name": "two"})
    assert answer.status_code == 429
    assert "Plan Free has 1 channels and 1 exist; archived ones do not count." in answer.content.decode()
    assert "1 of 1 in use" in answer.content.decode()


def test_a_viewer_makes_no_channel(alice: Caller) -> None:
    vera = make_person(alice.workspace, "viewer")
    assert "Make a channel" not in page(vera, "channels/")
    assert vera.client().post(f"{vera.home}channels/", {"name": "two"}).status_code == 403


@pytest.mark.parametrize(
    "query", ["q=ord", "q=ORD", "q=bill+of", "q=%00", "q=%25", "start=-1", "start=x", "start=99999999999"]
)
def test_channels_are_found_and_nonsense_is_harmless(alice: Caller, query: str) -> None:
    ada = owner_of(alice)
    seed(alice, ["x"], channel="orders")
    moderation.describe(me(ada), channel="orders", description="Bill of sale", actor="ada")
    text = page(ada, f"channels/?{query}")
    assert ("#orders" in text) == (query != "q=%25")


# --- a conversation ---------------------------------------------------------------------------------------------


def test_a_page_shows_the_newest_and_leads_to_older_and_newer_ones(alice: Caller) -> None:
    ada = owner_of(alice)
    stored = seed(alice, [f"text {number}" for number in range(120)])
    newest = page(ada, "channels/general/")
    assert shown(newest) == stored[-50:]
    older = page(ada, f"channels/general/?before={stored[-50]}")
    assert shown(older) == stored[-100:-50]
    assert f"?after={stored[-51]}" in older
    assert shown(page(ada, f"channels/general/?before={stored[20]}")) == stored[:20]
    around = page(ada, f"channels/general/?around={stored[60]}")
    assert shown(around) == stored[35:85]
    newer = page(ada, f"channels/general/?after={stored[84]}")
    assert shown(newer) == stored[85:]
    assert 'data-newer="false"' in newer
    assert 'data-newer="true"' in around


@pytest.mark.parametrize(
    "query", ["before=x", "before=0", "around=99999999999999999999", "after=-1", "around=%00", "reply=٣"]
)
def test_nonsense_in_the_address_is_harmless(alice: Caller, query: str) -> None:
    seed(alice, ["x"])
    page(owner_of(alice), f"channels/general/?{query}")


def test_a_name_in_another_form_leads_to_the_channel(alice: Caller) -> None:
    ada = owner_of(alice)
    answer = ada.client().get(f"{ada.home}channels/GENERAL/")
    assert (answer.status_code, answer["location"]) == (302, f"{ada.home}channels/general/")
    assert ada.client().get(f"{ada.home}channels/!!/").status_code == 404
    assert ada.client().get(f"{ada.home}channels/nothing/").status_code == 404


def test_agents_people_and_the_system_are_told_apart(alice: Caller) -> None:
    ada = owner_of(alice)
    seed(alice, ["x"], sender="Ada Jones")
    seed(alice.with_key("builder"), ["x"], sender="builder")
    people.post(me(ada), channel="general", content="x")
    moderation.pause(me(ada), channel="general", actor="ada")
    text = page(ada, "channels/general/")
    assert re.findall(r'class="line is-(\w+)"', text) == ["agent", "agent", "person", "system"]
    assert text.count(">verified<") == 1
    assert text.count(">person<") == 1


def test_replies_stand_with_what_they_answer_and_claims_with_their_message(alice: Caller) -> None:
    ada = owner_of(alice)
    call = principal_of(alice)
    asked = messages.send(call, channel="general", sender="ann", content="who?", message_type="request")["id"]
    messages.send(call, channel="general", sender="bo", content="me", in_reply_to=asked)
    claims.claim(call, message_id=asked, instance_id="cy")
    text = " ".join(page(ada, "channels/general/").split())
    assert f'<span class="quote-who">ann #{asked}</span> who?' in text
    assert "1 reply" in text
    assert "claimed by cy until" in text


def test_a_reply_outlives_what_it_answers(alice: Caller, clock: Clock) -> None:
    ada = owner_of(alice)
    seed(alice, ["old"])
    clock.forward(days=80)
    reply = messages.send(principal_of(alice), channel="general", sender="bo", content="new", in_reply_to=1)["id"]
    clock.forward(days=15)
    assert "In reply to #1, which has expired" in page(ada, "channels/general/")
    assert "has expired. Its replies are still here" in page(ada, "channels/general/messages/1/")
    assert shown(page(ada, f"channels/general/messages/{reply}/")) == [reply]


def test_a_message_has_a_page_with_its_replies_and_receipts(alice: Caller, call_lane: Any) -> None:
    ada = owner_of(alice)
    asked = call_lane(alice, "send_message", sender="ann", content="who?", message_type="request")["id"]
    call_lane(alice, "check_messages", instance_id="bo")
    reply = call_lane(alice, "send_message", sender="bo", content="me", in_reply_to=asked)["id"]
    text = " ".join(page(ada, f"channels/general/messages/{asked}/").split())
    assert shown(text) == [asked, reply]
    assert "<strong>bo</strong>" in text
    assert f'bo <a href="#m{reply}">' in text


@pytest.fixture
def call_lane(surface: Any) -> Any:
    return surface("lane")


@pytest.mark.parametrize("number", ["99", "0", "99999999999999999999", "9223372036854775808"])
def test_a_message_that_is_not_there_is_not_found(alice: Caller, number: str) -> None:
    ada = owner_of(alice)
    for end in ("", "text"):
        assert ada.client().get(f"{ada.home}channels/general/messages/{number}/{end}").status_code == 404


def test_a_message_of_another_channel_is_not_found_here(alice: Caller) -> None:
    ada = owner_of(alice)
    number = seed(alice, ["x"], channel="orders")[0]
    assert ada.client().get(f"{ada.home}channels/general/messages/{number}/").status_code == 404


@pytest.mark.parametrize(
    "text", ["x" * 64_000, "&" * 64_000, "word\n" * 12_000, "**b** " * 600, "- a\n" * 700, "é" * 9_000]
)
def test_a_page_of_long_messages_stays_small_and_all_of_them_can_be_read(alice: Caller, text: str) -> None:
    ada = owner_of(alice)
    seed(alice, [text] * 50)
    page(ada, "channels/general/")
    page(ada, "channels/general/messages/50/")
    file = ada.client().get(f"{ada.home}channels/general/messages/50/text")
    assert file.content.decode() == text
    assert file["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("text", [*HOSTILE, *MARKDOWN])
def test_hostile_text_is_text_on_every_page(alice: Caller, text: str) -> None:
    ada = owner_of(alice)
    line = " ".join(text.split())[:80]
    User.objects.filter(pk=ada.user.pk).update(name=line)
    number = seed(alice, [text], sender=line[:70].strip())[0]
    people.post(me(ada), channel="general", content=text, in_reply_to=number)
    moderation.describe(me(ada), channel="general", description=line, actor="ada")
    moderation.pause(me(ada), channel="general", actor="ada")
    for path in ("channels/", "channels/general/", f"channels/general/messages/{number}/", f"channels/?q={line[:20]}"):
        looked = Looked(page(ada, path).partition("<main")[2])
        assert not looked.tags & {"script", "img", "svg", "iframe", "style", "b", "object"}, path
        for name, value in looked.attributes:
            assert not name.startswith("on"), path
            assert name not in ("href", "action") or not value.lower().startswith(("javascript", "data", "vb")), path
        assert "{{ 7*7 }}" not in text or "{{ 7*7 }}" in looked.text


@pytest.mark.parametrize(
    "path", ["channels/", "channels/general/", "channels/general/messages/30/", "channels/general/?around=30"]
)
def test_a_page_takes_few_queries_whatever_is_in_the_channel(alice: Caller, path: str) -> None:
    ada = owner_of(alice)
    call = principal_of(alice)
    for number in range(60):
        reply = number if number % 3 == 0 and number else None
        messages.send(call, channel="general", sender=f"a{number % 9}", content="**x**", in_reply_to=reply)
    for number in range(12):
        seed(alice, ["x"], channel=f"c{number}")
    client = ada.client()
    client.get(ada.home + path)
    with CaptureQueriesContext(connection) as ran:
        assert client.get(ada.home + path).status_code == 200
    asked = [query["sql"] for query in ran if not query["sql"].startswith(("BEGIN", "COMMIT"))]
    assert len(asked) <= QUERIES_MOST, "\n".join(asked)


# --- writing ----------------------------------------------------------------------------------------------------


def test_a_form_sent_stores_the_message_and_leads_to_it(alice: Caller) -> None:
    ada = owner_of(alice)
    answer = write(ada, "hello\r\nthere", message_type="request")
    number = Message.objects.get(workspace=alice.workspace).number
    assert (answer.status_code, answer["location"]) == (302, f"{ada.home}channels/general/#m{number}")
    message = Message.objects.get(workspace=alice.workspace)
    assert (message.content, message.message_type, message.sender_kind) == ("hello\nthere", "request", "human")


def test_a_form_sent_twice_stores_one_message(alice: Caller) -> None:
    ada = owner_of(alice)
    key = field(page(ada, "channels/general/"), "key")
    first, second = write(ada, "once", key=key), write(ada, "once", key=key)
    assert first["location"] == second["location"]
    assert Message.objects.filter(workspace=alice.workspace).count() == 1
    other = write(ada, "another text", key=key)
    assert other.status_code == 409
    assert "another text" in other.content.decode()
    assert field(other.content.decode(), "key") != key


def test_a_reply_without_any_script(alice: Caller) -> None:
    ada = owner_of(alice)
    number = seed(alice, ["what?"], sender="ann")[0]
    text = page(ada, f"channels/general/?around={number}&reply={number}")
    assert f"Reply to #{number} by ann" in text
    assert field(text, "in_reply_to") == str(number)
    write(ada, "this", in_reply_to=str(number))
    assert Message.objects.get(workspace=alice.workspace, number=number).reply_count == 1


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"content": ""}, 400, "Write something first"),
        ({"content": " \n "}, 400, "Write something first"),
        ({"content": "a\x00b"}, 400, "Null characters"),
        ({"content": "x" * 64_001}, 400, "has 64,001 characters, and a message holds at most 64,000"),
        ({"message_type": "shout"}, 400, "valid choice"),
        ({"in_reply_to": "99"}, 404, "no message #99"),
        ({"in_reply_to": "x"}, 400, "whole number"),
        ({"in_reply_to": "9" * 30}, 400, "less than or equal"),
        ({"key": ""}, 400, "required"),
        ({"key": "k" * 65}, 400, "at most 64"),
    ],
)
def test_what_is_refused_says_why_and_keeps_the_text(
    alice: Caller, fields: dict[str, str], status: int, said: str
) -> None:
    ada = owner_of(alice)
    answer = write(ada, **{"content": "kept text", **fields})
    text = answer.content.decode()
    assert answer.status_code == status
    assert said in text
    assert "content" in fields or "kept text</textarea>" in text
    assert not Message.objects.filter(workspace=alice.workspace).exists()


def test_a_text_that_is_too_long_is_kept_whole_and_one_that_just_fits_is_stored(alice: Caller) -> None:
    ada = owner_of(alice)
    assert "maxlength" not in page(ada, "channels/general/").partition("<textarea")[2].partition(">")[0]
    assert f"{'x' * 64_001}</textarea>" in write(ada, "x" * 64_001).content.decode()
    assert write(ada, "x" * 63_999 + "\r\n").status_code == 302  # the line's end is one
    assert len(Message.objects.get(workspace=alice.workspace).content) == 64_000


def test_a_paused_channel_says_so_in_its_head_and_where_one_writes(alice: Caller) -> None:
    ada, vera = owner_of(alice), make_person(alice.workspace, "viewer")
    seed(alice, ["x"])
    assert re.search(r'id="paused-note"\s+hidden', page(ada, "channels/general/"))
    moderation.pause(me(ada), channel="general", actor="ada")
    for path in ("channels/general/", "channels/general/messages/1/"):
        text = page(ada, path)
        assert not re.search(r'id="paused-(head|note)"\s+hidden', text)
        assert "Paused: agents cannot write; you can." in text
    assert "Paused: agents cannot write." in page(vera, "channels/general/")


def test_a_link_leads_past_the_conversation_to_writing(alice: Caller) -> None:
    text = page(owner_of(alice), "channels/general/")
    assert '<a class="skip" href="#id_content">Skip to writing</a>' in text
    assert "Skip to writing" not in page(make_person(alice.workspace, "viewer"), "channels/general/")


def test_a_script_is_answered_in_json(alice: Caller) -> None:
    ada = owner_of(alice)
    client = ada.client()
    given = {"key": "k", "message_type": "message", "content": "x"}
    stored = client.post(f"{ada.home}channels/general/", given, headers={"accept": "application/json"}).json()
    assert stored["id"] == 1
    assert stored["key"] != "k"
    refused = client.post(
        f"{ada.home}channels/general/", {**given, "content": ""}, headers={"accept": "application/json"}
    )
    assert (refused.status_code, refused.json()["code"], refused.json()["key"]) == (400, "invalid_input", "k")


def test_the_quota_is_said_in_words(alice: Caller) -> None:
    ada = owner_of(alice)
    change_plan(alice, "free", messages=5)
    use_up(alice, 5)
    answer = write(ada, "kept text")
    assert answer.status_code == 429
    assert "Plan Free has 5 messages a month and 5 are used" in answer.content.decode()
    assert "kept text</textarea>" in answer.content.decode()


def test_who_writes_very_often_is_held_back(alice: Caller) -> None:
    ada = owner_of(alice)
    change_plan(alice, "free", calls=4)
    told = [write(ada, "x", key=f"k{number}").status_code for number in range(4)]
    assert told == [302, 302, 429, 429]


def test_who_pauses_and_resumes_very_often_is_held_back(alice: Caller) -> None:
    ada = owner_of(alice)
    client = ada.client()
    change_plan(alice, "free", calls=4)
    deeds = [client.post(f"{ada.home}channels/general/moderate/", {"do": do}) for do in ("pause", "resume") * 2]
    assert [each.status_code for each in deeds] == [302, 302, 429, 429]


# --- who may ----------------------------------------------------------------------------------------------------


PAGES = ("channels/", "channels/general/", "channels/general/messages/1/", "channels/general/messages/1/text")


@pytest.mark.parametrize("path", [*PAGES, "channels/general/export.md", "channels/general/export.json"])
def test_strangers_find_no_page_and_a_suspended_workspace_shows_none(alice: Caller, mallory: Caller, path: str) -> None:
    seed(alice, ["secret"])
    ada, mal = owner_of(alice), owner_of(mallory)
    there = mal.client().get(ada.home + path)
    assert there.status_code == 404
    assert b"secret" not in there.content
    assert Client(HTTP_HOST="localhost").get(ada.home + path).status_code == 302
    services.suspend(alice.workspace, "unpaid")
    shut = ada.client().get(ada.home + path)
    assert shut.status_code == 403
    assert b"secret" not in shut.content


@pytest.mark.parametrize("do", ["pause", "resume", "archive", "unarchive", "describe"])
def test_only_who_may_moderates(alice: Caller, mallory: Caller, do: str) -> None:
    vera, mal, bo = make_person(alice.workspace, "viewer"), owner_of(mallory), make_person(alice.workspace, "member")
    path = f"{vera.home}channels/general/moderate/"
    assert vera.client().post(path, {"do": do}).status_code == 403
    assert mal.client().post(path, {"do": do}).status_code == 404
    assert bo.client().get(path).status_code == 405
    assert bo.client().post(path, {"do": do, "description": "new"}).status_code == 302
    assert bo.client().post(path, {"do": "delete"}).status_code == 302
    checked = Client(enforce_csrf_checks=True, HTTP_HOST="localhost")
    checked.force_login(bo.user, "django.contrib.auth.backends.ModelBackend")
    assert checked.post(path, {"do": do}).status_code == 403


def test_a_viewer_reads_and_is_told_that_members_write(alice: Caller) -> None:
    seed(alice, ["hello"])
    vera = make_person(alice.workspace, "viewer")
    text = page(vera, "channels/general/")
    assert "you can read; members can write" in text
    assert "<textarea" not in text
    assert "Pause:" not in text
    assert write(vera, "x").status_code == 403


def test_who_was_removed_with_the_page_open_writes_nothing(alice: Caller) -> None:
    bo = make_person(alice.workspace, "member")
    client = bo.client()
    client.get(f"{bo.home}channels/general/")
    bo.member.delete()
    given = {"key": "k", "message_type": "message", "content": "x"}
    assert client.post(f"{bo.home}channels/general/", given).status_code == 404
    assert not Message.objects.filter(workspace=alice.workspace).exists()
