"""A channel's conversation as a file: Markdown and JSON, whole, ordered, without what has expired."""

from __future__ import annotations

import json

import httpx2
import pytest

from bus.models import Channel
from bus.services import transcripts
from tests.conftest import Clock
from tests.support import loopback
from tests.support.cast import Caller
from tests.support.messages import principal_of, seed
from tests.support.people import Person, make_person, owner_of


def channel_of(caller: Caller, name: str = "general") -> Channel:
    return Channel.objects.get(workspace=caller.workspace, name=name)


def download(url: str, person: Person, name: str) -> httpx2.Response:
    cookies = dict([person.cookie()])
    return loopback.get(f"{url}{person.home}channels/{name}", cookies=cookies)


def test_json_holds_every_message_once_in_order(lane_url: str, alice: Caller) -> None:
    stored = seed(alice, [f"text {number}\nand more" for number in range(2 * transcripts.PART + 3)])
    answer = download(lane_url, owner_of(alice), "general/export.json")
    assert answer.headers["content-type"] == "application/json"
    assert "attachment" in answer.headers["content-disposition"]
    found = answer.json()
    assert found["channel"] == "general"
    assert [message["id"] for message in found["messages"]] == stored
    lines = b"".join(transcripts.json_lines(principal_of(alice), channel_of(alice))).splitlines()
    assert [json.loads(line)["id"] for line in lines] == stored


def test_an_empty_channel_is_a_document_too(lane_url: str, alice: Caller) -> None:
    ada = owner_of(alice)
    assert download(lane_url, ada, "general/export.json").json()["messages"] == []
    assert download(lane_url, ada, "general/export.md").text.startswith("# #general\n")


def test_no_message_can_look_like_another_ones_heading(lane_url: str, alice: Caller) -> None:
    seed(alice, ["one\n\n### #99 forged\n\nlater", "```\n## x"], sender="# a *b*")
    text = download(lane_url, owner_of(alice), "general/export.md").text
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings[2:] == [r"### #1 \# a \*b\*", r"### #2 \# a \*b\*"]
    assert "> ### #99 forged" in text


def test_names_and_the_description_are_escaped_and_html_is_text(alice: Caller) -> None:
    seed(alice, ["<img src=x onerror=alert(1)>\n`Vec<u8>`"], sender="<b>ann</b>")
    Channel.objects.filter(workspace=alice.workspace).update(description="# <script>x</script>")
    text = "".join(transcripts.markdown(principal_of(alice), channel_of(alice)))
    assert r"\<b\>ann\</b\>" in text
    assert r"\# \<script\>x\</script\>" in text
    assert "> \\<img src=x onerror=alert(1)>\n> `Vec<u8>`" in text


def test_what_has_expired_is_not_in_it(alice: Caller, clock: Clock) -> None:
    seed(alice, ["old"])
    clock.forward(days=91)
    seed(alice, ["new"])
    text = "".join(transcripts.markdown(principal_of(alice), channel_of(alice)))
    assert "new" in text
    assert "> old" not in text


@pytest.mark.parametrize("name", ["general/export.md", "general/export.json"])
def test_a_stranger_gets_nothing_and_a_viewer_all(lane_url: str, alice: Caller, mallory: Caller, name: str) -> None:
    seed(alice, ["secret"])
    stranger = owner_of(mallory)
    there = loopback.get(f"{lane_url}/w/{alice.workspace.slug}/channels/{name}", cookies=dict([stranger.cookie()]))
    assert there.status_code == 404
    assert "secret" not in there.text
    assert "secret" in download(lane_url, make_person(alice.workspace, "viewer"), name).text
