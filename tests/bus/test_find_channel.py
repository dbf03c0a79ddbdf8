from __future__ import annotations

import pytest

from bus.models import Channel
from crosswire.lib import clock as product_clock
from tests.conftest import Clock
from tests.support.cast import Caller
from tests.support.messages import seed
from tests.support.surfaces import Surface

FIND = "find_channel"


def found(call: Surface, caller: Caller, query: str) -> list[str]:
    return [each["name"] for each in call.ok(caller, FIND, query=query)["channels"]]


@pytest.fixture
def channels(alice: Caller) -> None:
    described = {
        "api-design": "How the REST interface looks",
        "frontend": "",
        "ops": "100% uptime, under_scored",
        "bug-reports": "",
        "cafe": "Où est l'ÉCOLE? In der Straße",
    }
    for name, description in described.items():
        Channel.objects.create(workspace=alice.workspace, name=name, description=description)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("api", ["api-design"]),
        ("API", ["api-design"]),
        ("rest interface", ["api-design"]),
        ("en", ["frontend", "general"]),
        ("#ops", ["ops"]),
        ("Bug Reports", ["bug-reports"]),
        ("bug_reports", ["bug-reports"]),
        ("école", ["cafe"]),
        ("STRASSE", ["cafe"]),
        ("%", ["ops"]),
        ("_", ["bug-reports", "api-design", "ops"]),
        ("o%s", []),
        ("fr_ntend", []),
        ("'; DROP TABLE", []),
        ('"', []),
        ("\\", []),
        ("nothing of the kind", []),
    ],
)
@pytest.mark.usefixtures("channels")
def test_the_text_is_looked_for_in_name_and_description_as_it_is(
    call: Surface, alice: Caller, query: str, names: list[str]
) -> None:
    assert sorted(found(call, alice, query)) == sorted(names)


@pytest.mark.usefixtures("channels")
def test_what_is_found_is_told_as_in_the_list_in_its_order(call: Surface, alice: Caller, clock: Clock) -> None:
    for name in ("frontend", "general"):
        clock.forward(seconds=1)
        seed(alice, ["x"], channel=name)
    answer = call.ok(alice, FIND, query="en")
    assert [each["name"] for each in answer["channels"]] == ["general", "frontend"]
    assert answer["channels"] == [
        each for each in call.ok(alice, "list_channels")["channels"] if each["name"] in ("general", "frontend")
    ]
    assert answer["channels"][0]["message_count"] == 1


def test_none_is_no_error_and_says_what_to_do(call: Surface, alice: Caller) -> None:
    answer = call.ok(alice, FIND, query="nothing")
    assert answer.data == {"channels": []}
    if answer.text is not None:
        assert "create_channel" in answer.text


def test_without_a_text_it_is_refused(call: Surface, alice: Caller) -> None:
    name = "query" if call.is_mcp else "q"
    assert call.refused(alice, FIND, "invalid_input").message == f"{name} is missing."
    other = call.refused(alice, FIND, "invalid_input", query="x", colour="blue").message
    assert other == f'there is no argument "colour"; arguments are {name}.'
    call.refused(alice, FIND, "invalid_input", query="")
    call.refused(alice, FIND, "invalid_input", query="x" * 501)
    call.refused(alice, FIND, "invalid_input", query="a\x00b")


def test_an_archived_channel_is_not_found(call: Surface, alice: Caller) -> None:
    Channel.objects.create(workspace=alice.workspace, name="old", archived_at=product_clock.now())
    assert found(call, alice, "old") == []


def test_a_strangers_channels_are_not_found(call: Surface, alice: Caller, mallory: Caller) -> None:
    Channel.objects.create(workspace=alice.workspace, name="secret", description="plans")
    assert found(call, alice, "secret") == ["secret"]
    assert (
        call.ok(mallory, FIND, query="secret").data == call.ok(mallory, FIND, query="nothing").data == {"channels": []}
    )
    assert found(call, mallory, "plans") == []


def test_a_read_only_key_may_look(call: Surface, alice: Caller) -> None:
    assert found(call, alice.with_key(read_only=True), "gen") == ["general"]
