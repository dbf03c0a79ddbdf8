from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import pytest

from bus import pruning
from bus.models import Claim, Cursor
from bus.services import claims
from crosswire.lib import clock as product_clock
from tests.bus.test_get_replies import reply
from tests.conftest import Clock, MakeWorkspace
from tests.support.cast import Caller
from tests.support.messages import change_plan, ids, seed, stored
from tests.support.surfaces import Refusal, Surface

CLAIM = "claim_message"


@pytest.fixture
def crew(call: Surface, alice: Caller) -> Caller:
    """Alice, after `ann` asked for something (#1) and `bo` and `cy` came to work."""
    for name in ("ann", "bo", "cy"):
        call.ok(alice, "register", instance_id=name)
    request(call, alice)
    return alice


def request(call: Surface, caller: Caller, message_type: str = "request", channel: str = "general") -> int:
    """Have `ann` ask for something; return its id."""
    sent = call.ok(caller, "send_message", sender="ann", content="x", message_type=message_type, channel=channel)
    return int(sent["id"])


def holder(call: Surface, caller: Caller, message_id: int = 1) -> str | None:
    """Return who holds a message of `general`, as its receipts say."""
    claimed = call.ok(caller, "message_status", message_id=message_id)["claimed"]
    return claimed["by"] if claimed else None


@pytest.mark.parametrize("message_type", ["request", "handoff"])
def test_who_claims_first_has_it_for_ten_minutes_and_others_are_told_so(
    call: Surface, crew: Caller, clock: Clock, message_type: str
) -> None:
    number = request(call, crew, message_type, "team-room")
    before = product_clock.iso(clock.now() + timedelta(minutes=10))
    answer = call.ok(crew, CLAIM, message_id=number, instance_id="bo", channel="Team Room")
    assert before <= answer["until"] <= product_clock.iso(clock.now() + timedelta(minutes=10))
    unread = {"general": 1, "team-room": 1}
    assert answer.data == {
        "ok": True,
        "id": number,
        "channel": "team-room",
        "claimed_by": "bo",
        "until": answer["until"],
        "reply_count": 0,
        "unread": unread,
    }
    refusal = call.refused(crew, CLAIM, "claimed", message_id=number, instance_id="cy", channel="team-room")
    assert refusal.status in (409, None)
    assert refusal.details == {"claimed_by": "bo", "until": answer["until"]}
    assert '"bo"' in refusal.message
    assert answer["until"] in refusal.message
    assert call.ok(crew, "message_status", message_id=number, channel="team-room")["claimed"] == {
        "by": "bo",
        "until": answer["until"],
    }
    if call.is_mcp:
        assert answer.text is not None
        assert f'#{number} is yours, "bo", until {answer["until"]}' in answer.text
        assert f'channel="team-room" with in_reply_to={number}' in answer.text


# --- how a claim ends -------------------------------------------------------------------------------------------


def test_its_answer_ends_a_claim_and_nobody_elses_does(call: Surface, crew: Caller) -> None:
    call.ok(crew, CLAIM, message_id=1, instance_id="bo")
    other = request(call, crew)
    call.ok(crew, CLAIM, message_id=other, instance_id="bo")
    for sender, target in (("cy", {"in_reply_to": 1}), ("ann", {"in_reply_to": 1}), ("bo", {})):
        call.ok(crew, "send_message", sender=sender, content="x", **target)
        assert holder(call, crew) == "bo"
    call.ok(crew, "send_message", sender="bo", content="done", in_reply_to=1)
    assert (holder(call, crew), holder(call, crew, other)) == (None, "bo")
    answer = call.ok(crew, CLAIM, message_id=1, instance_id="cy")
    assert (answer["claimed_by"], answer["reply_count"]) == ("cy", 3)
    if call.is_mcp:
        assert answer.text is not None
        assert "3 replies already" in answer.text


def test_who_claims_just_as_the_holder_answers_is_told_of_the_answer(
    call: Surface, crew: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    call.ok(crew, CLAIM, message_id=1, instance_id="bo")
    require_claimable = claims._require_claimable

    def answered_meanwhile(*args: Any, **more: Any) -> None:
        call.ok(crew, "send_message", sender="bo", content="done", in_reply_to=1)
        require_claimable(*args, **more)

    monkeypatch.setattr(claims, "_require_claimable", answered_meanwhile)
    answer = call.ok(crew, CLAIM, message_id=1, instance_id="cy")
    assert (answer["claimed_by"], answer["reply_count"]) == ("cy", 1)


def test_a_refused_answer_ends_nothing(call: Surface, crew: Caller) -> None:
    call.ok(crew, CLAIM, message_id=1, instance_id="bo")
    call.refused(crew, "send_message", "not_found", sender="bo", content="x", in_reply_to=1, channel="elsewhere")
    assert holder(call, crew) == "bo"


def test_the_holder_gives_it_back_and_nobody_else_does(call: Surface, crew: Caller) -> None:
    nothing = call.ok(crew, CLAIM, message_id=1, instance_id="bo", release=True)
    assert (nothing["ok"], nothing["claimed_by"], nothing["until"]) == (True, None, None)
    call.ok(crew, CLAIM, message_id=1, instance_id="bo")
    refusal = call.refused(crew, CLAIM, "claimed", message_id=1, instance_id="cy", release=True)
    assert refusal.details["claimed_by"] == "bo"
    for _ in range(2):
        given_back = call.ok(crew, CLAIM, message_id=1, instance_id="bo", release=True)
        assert (given_back["claimed_by"], given_back["until"]) == (None, None)
    assert holder(call, crew) is None
    call.ok(crew, CLAIM, message_id=1, instance_id="cy")
    if call.is_mcp:
        assert given_back.text is not None
        assert "claimed by nobody" in given_back.text


def test_the_lease_ends_it_and_claiming_again_makes_it_longer(call: Surface, crew: Caller, clock: Clock) -> None:
    first = call.ok(crew, CLAIM, message_id=1, instance_id="bo", lease_seconds=100)
    clock.forward(seconds=60)
    again = call.ok(crew, CLAIM, message_id=1, instance_id="bo", lease_seconds=100)
    assert again["until"] > first["until"]
    clock.forward(seconds=60)
    call.refused(crew, CLAIM, "claimed", message_id=1, instance_id="cy")
    clock.forward(seconds=60)
    assert holder(call, crew) is None
    assert call.ok(crew, CLAIM, message_id=1, instance_id="cy")["claimed_by"] == "cy"
    call.refused(crew, CLAIM, "claimed", message_id=1, instance_id="bo")


def test_leaving_ends_the_claims_of_who_leaves_and_no_others(call: Surface, crew: Caller) -> None:
    other = request(call, crew)
    call.ok(crew, CLAIM, message_id=1, instance_id="bo")
    call.ok(crew, CLAIM, message_id=other, instance_id="cy")
    call.ok(crew, "unregister", instance_id="bo")
    assert (holder(call, crew), holder(call, crew, other)) == (None, "cy")


def test_what_has_expired_cannot_be_claimed_and_old_claims_are_pruned(
    call: Surface, crew: Caller, clock: Clock
) -> None:
    change_plan(crew, retention_days=1)
    crew = crew.with_key()
    clock.forward(hours=23)
    number = request(call, crew)
    for message_id, seconds in ((1, 86_400), (number, 60)):
        call.ok(crew, CLAIM, message_id=message_id, instance_id="bo", lease_seconds=seconds)
    clock.forward(hours=2)
    call.refused(crew, CLAIM, "not_found", message_id=1, instance_id="bo")
    call.refused(crew, CLAIM, "not_found", message_id=1, instance_id="bo", release=True)
    pruning.prune(crew.workspace.pk)
    assert list(Claim.objects.filter(workspace=crew.workspace).values_list("number", flat=True)) == [1]
    clock.forward(days=1)
    pruning.prune(crew.workspace.pk)
    assert not Claim.objects.filter(workspace=crew.workspace).exists()


@pytest.mark.parametrize(("asked", "given"), [(0, 1), (-5, 1), (1.5, 1.5), (86_400, 86_400), (10**9, 86_400)])
def test_the_lease_is_brought_into_its_range(
    call: Surface, crew: Caller, clock: Clock, asked: float, given: float
) -> None:
    before = clock.now()
    until = call.ok(crew, CLAIM, message_id=1, instance_id="bo", lease_seconds=asked)["until"]
    assert (
        before <= datetime.fromisoformat(until) - timedelta(seconds=given - 0.001) <= clock.now() + timedelta(seconds=1)
    )


# --- what cannot be claimed, and by whom ------------------------------------------------------------------------


@pytest.mark.parametrize("message_type", ["message", "response", "status", "done"])
def test_nothing_but_a_request_or_handoff_is_claimed(call: Surface, crew: Caller, message_type: str) -> None:
    number = request(call, crew, message_type)
    refusal = call.refused(crew, CLAIM, "not_claimable", message_id=number, instance_id="bo")
    assert "Only a request or a handoff" in refusal.message
    assert message_type in refusal.message
    assert refusal.status in (409, None)


def test_nobody_claims_what_it_asked_for_itself(call: Surface, crew: Caller) -> None:
    refusal = call.refused(crew, CLAIM, "not_claimable", message_id=1, instance_id="ann")
    assert "your own request" in refusal.message
    assert holder(call, crew) is None


@pytest.mark.parametrize("number", [0, 2, 2**63 - 1])
def test_a_message_that_is_not_there_is_not_found(call: Surface, crew: Caller, mallory: Caller, number: int) -> None:
    seed(mallory, ["hers"] * 3)
    before = stored(crew)
    refusal = call.refused(crew, CLAIM, "not_found", message_id=number, instance_id="newcomer")
    assert refusal.status in (404, None)
    assert stored(crew) == before


def test_a_strangers_request_looks_absent_and_so_does_one_of_another_channel(
    call: Surface, crew: Caller, mallory: Caller
) -> None:
    theirs = call.refused(mallory, CLAIM, "not_found", message_id=1, instance_id="bo", channel="general")
    nobodys = call.refused(mallory, CLAIM, "not_found", message_id=2, instance_id="bo", channel="general")
    assert theirs.message.replace("#1", "#2") == nobodys.message
    call.refused(crew, CLAIM, "not_found", message_id=1, instance_id="bo", channel="elsewhere")
    assert holder(call, crew) is None


def test_keys_claim_for_whom_they_speak(call: Surface, crew: Caller) -> None:
    worker = crew.with_key("worker")
    call.refused(worker, CLAIM, "wrong_instance", message_id=1, instance_id="bo")
    call.refused(crew, CLAIM, "wrong_instance", message_id=1, instance_id="worker")
    call.refused(crew.with_key(read_only=True), CLAIM, "read_only_key", message_id=1, instance_id="bo")
    assert holder(call, crew) is None
    assert call.ok(worker, CLAIM, message_id=1)["claimed_by"] == "worker"


def test_a_newcomer_takes_a_place_if_one_is_free(call: Surface, make_workspace: MakeWorkspace) -> None:
    anna = make_workspace("free")
    request(call, anna)
    assert call.ok(anna, CLAIM, message_id=1, instance_id="bo")["claimed_by"] == "bo"
    refusal = call.refused(anna, CLAIM, "limit_reached", message_id=1, instance_id="cy")
    assert set(refusal.details["places"]) == {"ann", "bo"}
    assert [name for name, _ in stored(anna)["instances"]] == ["ann", "bo"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"message_id": "first"},
        {"message_id": 1.5},
        {"message_id": -1},
        {"instance_id": None},
        {"instance_id": " bo"},
        {"instance_id": "operator"},
        {"channel": "!!!"},
        {"lease_seconds": "long"},
        {"lease_seconds": True},
        {"release": "yes"},
        {"release": 1},
        {"force": True},
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_by_name(call: Surface, crew: Caller, wrong: dict[str, Any]) -> None:
    refusal = call.refused(crew, CLAIM, "invalid_input", **{"message_id": 1, "instance_id": "bo"} | wrong)
    named = next(iter(wrong))
    assert re.search(rf"\b{'id' if named == 'message_id' and not call.is_mcp else named}\b", refusal.message)
    assert holder(call, crew) is None


# --- what a claim says of the answer before it ------------------------------------------------------------------


@pytest.mark.parametrize("is_taken", [False, True], ids=["granted", "refused"])
def test_a_claim_shows_that_the_answer_with_the_message_arrived(call: Surface, crew: Caller, *, is_taken: bool) -> None:
    if is_taken:
        call.ok(crew, CLAIM, message_id=1, instance_id="cy")
    seed(crew, ["beside it"])
    assert ids(call.ok(crew, "inbox", instance_id="bo")) == [1, 2]
    assert isinstance(call(crew, CLAIM, message_id=1, instance_id="bo"), Refusal) == is_taken
    assert call.ok(crew, "inbox", instance_id="bo")["messages"] == []


def test_a_claim_of_another_message_shows_nothing(call: Surface, crew: Caller) -> None:
    assert ids(call.ok(crew, "inbox", instance_id="bo")) == [1]
    number = request(call, crew)
    call.ok(crew, CLAIM, message_id=number, instance_id="bo")
    again = call.ok(crew, "inbox", instance_id="bo")
    assert [(each["id"], each.get("again", False)) for each in again["messages"]] == [(1, True), (number, False)]


def test_a_claim_after_a_broken_answer_shows_nothing(call: Surface, crew: Caller) -> None:
    call.ok(crew, "inbox", instance_id="bo")
    Cursor.objects.filter(workspace=crew.workspace).update(pending_how=Cursor.Pending.STRICT)
    call.ok(crew, CLAIM, message_id=1, instance_id="bo")
    assert ids(call.ok(crew, "inbox", instance_id="bo")) == [1]


def test_a_reply_made_by_a_seed_is_one_too(call: Surface, crew: Caller) -> None:
    call.ok(crew, CLAIM, message_id=1, instance_id="bo")
    reply(crew, 1, ["a", "b"])
    assert holder(call, crew) is None
