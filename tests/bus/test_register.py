from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from accounts.models import AuditEvent
from bus.models import Instance, Wait
from tests.conftest import Clock, MakeWorkspace
from tests.support.cast import Caller
from tests.support.messages import change_plan, seed
from tests.support.processes import wait_until
from tests.support.surfaces import Refusal, Result, Surface, SurfaceName

REGISTER = "register"


def names(caller: Caller) -> list[str]:
    return sorted(Instance.objects.filter(workspace=caller.workspace).values_list("name", flat=True))


def test_a_newcomer_learns_the_channels_who_is_here_and_what_is_unread(call: Surface, alice: Caller) -> None:
    answer = call.ok(alice, REGISTER, instance_id="api-expert", description="knows the API", client="codex/1.2")
    assert set(answer) == {"ok", "instance_id", "is_new", "channels", "instances", "unread"}
    assert (answer["ok"], answer["instance_id"], answer["is_new"], answer["unread"]) == (True, "api-expert", True, {})
    assert [channel["name"] for channel in answer["channels"]] == ["general"]
    (me,) = answer["instances"]
    assert (me["instance_id"], me["description"], me["status"], me["client"]) == (
        "api-expert",
        "knows the API",
        "online",
        "codex/1.2",
    )
    if answer.text is not None:
        assert 'Registered as "api-expert"' in answer.text
        assert "#general" in answer.text


def test_coming_back_keeps_what_is_not_said_anew(call: Surface, alice: Caller) -> None:
    call.ok(alice, REGISTER, instance_id="a", description="first", client="codex/1")
    again = call.ok(alice, REGISTER, instance_id="a", client="codex/2")
    assert again["is_new"] is False
    assert [(each["description"], each["client"]) for each in again["instances"]] == [("first", "codex/2")]
    assert call.ok(alice, REGISTER, instance_id="a", description="second")["instances"][0]["description"] == "second"
    assert names(alice) == ["a"]


def test_the_client_is_known_without_being_named(call: Surface, alice: Caller) -> None:
    (me,) = call.ok(alice, REGISTER, instance_id="a")["instances"]
    assert me["client"] == "crosswire-tests/1" if call.is_mcp else me["client"].startswith("python-httpx2/")


def test_what_was_written_before_one_came_is_history_and_later_messages_are_unread(
    call: Surface, alice: Caller
) -> None:
    seed(alice, ["before"])
    assert call.ok(alice, REGISTER, instance_id="reader")["unread"] == {}
    seed(alice, ["after", "and again"])
    seed(alice, ["elsewhere"], channel="new-one")
    back = call.ok(alice, REGISTER, instance_id="reader")
    assert back["unread"] == {"general": 2, "new-one": 1}
    if back.text is not None:
        assert "2 in #general" in back.text
    assert call.ok(alice, REGISTER, instance_id="writer")["unread"] == {}, "its own messages"


@pytest.mark.parametrize(
    "name", ["", " a", "a ", "a\nb", "a\tb", "a\x00b", "x" * 81, "a\u2028b", "a\u202eb", "human", "System", "ALL"]
)
def test_a_malformed_or_reserved_name_is_refused(surface: Callable[[SurfaceName], Surface], name: str) -> None:
    from tests.support.cast import make_workspace  # noqa: PLC0415
