"""Several sends in one transaction: `messages.send_many`, and `bus.sending`, which makes the batches."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import DataError, OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from bus import sending, storing
from bus.models import Channel, Message
from bus.results import Sent
from bus.services import messages
from crosswire.lib import clock
from crosswire.lib.errors import CrossWireError
from tests.conftest import MakeWorkspace
from tests.support.cast import Caller
from tests.support.messages import change_plan, ids, principal_of, stored, use_up
from tests.support.surfaces import Surface

SEND = "send_message"


def draft(caller: Caller, content: str = "x", sender: str = "ann", channel: str = "general", **more: Any) -> Any:
    return messages.draft(principal_of(caller), content=content, sender=sender, channel=channel, **more)


def outcomes(drafts: Sequence[messages.Draft]) -> list[int | str]:
    """Store a batch; return the id or the refusal's code of each."""
    return [told(outcome) for outcome in messages.send_many(drafts)]


def told(outcome: Sent | CrossWireError | BaseException) -> int | str:
    if isinstance(outcome, CrossWireError):
        return outcome.code
    assert not isinstance(outcome, BaseException), outcome
    return outcome["id"]


def texts(caller: Caller) -> list[str]:
    return list(Message.objects.filter(workspace=caller.workspace).order_by("number").values_list("content", flat=True))


# --- each is decided in arrival order ---------------------------------------------------------------------------


def test_what_can_be_stored_is_and_what_cannot_is_refused_in_arrival_order(alice: Caller) -> None:
    assert outcomes(
        [
            draft(alice, "one"),
            draft(alice, "no such parent", in_reply_to=9),
            draft(alice, "two", channel="c"),
            draft(alice, "parent elsewhere", channel="c", in_reply_to=1),
            draft(alice, "three", sender="bo"),
        ]
    ) == [1, "not_found", 2, "not_found", 3]
    assert texts(alice) == ["one", "two", "three"]
    assert stored(alice)["counters"][0::2] == (3, 3)
    assert [(name, seq) for name, seq, _ in stored(alice)["channels"]] == [("c", 1), ("general", 2)]


def test_a_batch_of_refusals_leaves_nothing(alice: Caller) -> None:
    before = stored(alice)
    wrong = [draft(alice, sender=f"s{n}", channel=f"c{n}", in_reply_to=9, idempotency_key="k") for n in range(3)]
    assert outcomes(wrong) == ["not_found"] * 3
    assert stored(alice) == before


def test_equal_keys_in_one_batch_store_one_message(alice: Caller) -> None:
    first, again = draft(alice, idempotency_key="k"), draft(alice, idempotency_key="k")
    other, theirs = draft(alice, "other", idempotency_key="k"), draft(alice, sender="bo", idempotency_key="k")
    answers = messages.send_many([first, again, other, theirs])
    assert [told(answer) for answer in answers] == [1, 1, "idempotency_conflict", 2]
    assert [answer["created"] for answer in answers if not isinstance(answer, CrossWireError)] == [True, False, True]
    assert stored(alice)["keys"] == [("ann", "k", 1), ("bo", "k", 2)]


def test_a_key_whose_first_send_was_refused_is_free_for_the_next_of_the_batch(alice: Caller) -> None:
    assert outcomes([draft(alice, in_reply_to=9, idempotency_key="k"), draft(alice, "good", idempotency_key="k")]) == [
        "not_found",
        1,
    ]
    assert stored(alice)["keys"] == [("ann", "k", 1)]


def test_a_reply_may_answer_a_message_of_the_same_batch_and_channel(alice: Caller) -> None:
    assert outcomes(
        [
            draft(alice, "question", channel="new"),
            draft(alice, "answer", sender="bo", channel="new", in_reply_to=1),
            draft(alice, "too early", channel="new", in_reply_to=4),
            draft(alice, "elsewhere", in_reply_to=1),
            draft(alice, "again", sender="bo", channel="new", in_reply_to=1),
        ]
    ) == [1, 2, "not_found", "not_found", 3]
    assert Message.objects.get(workspace=alice.workspace, number=1).reply_count == 2


def test_the_quota_is_exact_inside_a_batch(make_workspace: MakeWorkspace) -> None:
    anna = make_workspace("free")
    use_up(anna, 97)
    keyed = draft(anna, "k", idempotency_key="k")
    batch = [keyed, draft(anna, "r", in_reply_to=9), keyed, draft(anna), draft(anna), draft(anna, channel="c"), keyed]
    assert outcomes(batch) == [1, "not_found", 1, 2, 3, "quota_exceeded", 1]
    assert stored(anna)["counters"][2] == 100
    assert [messages for _, _, messages in stored(anna)["usage"]] == [3]
    assert [name for name, _, _ in stored(anna)["channels"]] == ["general"]


def test_channels_and_places_are_counted_inside_a_batch(make_workspace: MakeWorkspace) -> None:
    anna = make_workspace("free")
    batch = [draft(anna, channel=name) for name in ("two", "two", "three", "four", "two", "three")]
    assert outcomes(batch) == [1, 2, 3, "limit_reached", 4, 5]
    batch = [draft(anna, sender=name) for name in ("bo", "cy", "bo", "ann")]
    assert outcomes(batch) == [6, "limit_reached", 7, 8]
    assert [name for name, _ in stored(anna)["instances"]] == ["ann", "bo"]


def test_an_archived_channel_takes_one_of_the_channels_left_however_many_are_sent_there(
    make_workspace: MakeWorkspace,
) -> None:
    anna = make_workspace("free")
    outcomes([draft(anna, channel="two"), draft(anna, channel="three")])
    Channel.objects.filter(workspace=anna.workspace, name="two").update(archived_at=clock.now())
    assert outcomes([draft(anna, channel=name) for name in ("two", "two", "four")]) == [3, 4, "limit_reached"]


def test_all_of_a_batch_have_one_time_and_sequences_without_a_gap(alice: Caller) -> None:
    outcomes([draft(alice, channel=f"c{number % 2}") for number in range(6)])
    rows = Message.objects.filter(workspace=alice.workspace).order_by("number")
    assert [(row.channel.name, row.channel_seq) for row in rows.select_related("channel")] == [
        ("c0", 1),
        ("c1", 1),
        ("c0", 2),
        ("c1", 2),
        ("c0", 3),
        ("c1", 3),
    ]
    assert len({row.created_at for row in rows}) == 1


def test_a_plan_change_holds_for_a_principal_from_before(make_workspace: MakeWorkspace) -> None:
    anna = make_workspace("free")
    use_up(anna, 100)
    known = draft(anna)
    assert outcomes([known]) == ["quota_exceeded"]
    change_plan(anna, "starter")
    assert outcomes([known]) == [1]


# --- batches of this process ------------------------------------------------------------------------------------


def send_together(caller: Caller, contents: Sequence[str]) -> list[int | str]:
    """Send at the same moment through `bus.sending`; return the id or the refusal's code of each."""
    principal = principal_of(caller)

    async def together() -> list[Any]:
        sends = [sending.send(principal, channel="general", sender="ann", content=content) for content in contents]
        return await asyncio.gather(*sends, return_exceptions=True)

    return [told(outcome) for outcome in asyncio.run(together())]


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the batches that were tried."""
    sizes: list[int] = []
    original = messages.send_many

    def counted(drafts: Sequence[messages.Draft]) -> list[Sent | CrossWireError]:
        sizes.append(len(drafts))
        return original(drafts)

    monkeypatch.setattr(messages, "send_many", counted)
    return sizes


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the database fail, before COMMIT, on every batch with the text `poison`, and be away on one with `away`."""
    original = storing.write

    def failing(*args: Any, **named: Any) -> None:
        original(*args, **named)
        held = Message.objects.filter(workspace=args[0], content__in=["poison", "away"])
        for content in held.values_list("content", flat=True):
            raise {"poison": DataError, "away": OperationalError}[content]("the test wants it so")

    monkeypatch.setattr(storing, "write", failing)


def test_what_is_sent_at_the_same_moment_goes_in_one_batch(alice: Caller, batches: list[int]) -> None:
    assert send_together(alice, [str(number) for number in range(7)]) == list(range(1, 8))
    assert batches == [7]
    assert send_together(alice, ["x"] * (sending.BATCH_MOST + 3)) == list(range(8, 8 + sending.BATCH_MOST + 3))
    assert batches == [7, sending.BATCH_MOST, 3]


def test_an_error_before_the_commit_makes_a_batch_go_again_one_by_one(
    alice: Caller, batches: list[int], poison: None
) -> None:
    assert send_together(alice, ["one", "poison", "two"]) == [1, "unavailable", 2]
    assert batches == [3, 1, 1, 1]
    assert texts(alice) == ["one", "two"]
    assert stored(alice)["counters"][0::2] == (2, 2)


def test_when_the_database_is_away_the_rest_of_a_batch_is_not_tried(
    alice: Caller, batches: list[int], poison: None
) -> None:
    assert send_together(alice, ["one", "away", "two", "three"]) == [1, *["unavailable"] * 3]
    assert batches == [4, 1, 1]
    assert texts(alice) == ["one"]


def test_a_refusal_in_a_batch_is_its_senders_alone(make_workspace: MakeWorkspace, batches: list[int]) -> None:
    anna = make_workspace("free")
    use_up(anna, 98)
    assert send_together(anna, ["one", "two", "three"]) == [1, 2, "quota_exceeded"]
    assert batches == [3]


def fail_one_commit(monkeypatch: pytest.MonkeyPatch, *, is_stored: bool) -> Callable[[], bool]:
    """Have the next COMMIT of a server's thread report an error, after or instead of committing; tell if it did."""
    original: Any = BaseDatabaseWrapper._commit  # type: ignore[attr-defined] # private, not in the stubs
    own_thread = threading.get_ident()
    left = [1]

    def commit(connection: BaseDatabaseWrapper) -> None:
        if threading.get_ident() == own_thread or not left:
            original(connection)
            return
        left.pop()
        if is_stored:
            original(connection)
        raise OperationalError("the answer to COMMIT was lost")

    monkeypatch.setattr(BaseDatabaseWrapper, "_commit", commit)
    return lambda: not left


@pytest.mark.parametrize("is_stored", [True, False], ids=["stored", "not stored"])
def test_an_error_at_the_commit_is_answered_503_and_a_retry_with_the_key_stores_once(
    call: Surface, alice: Caller, monkeypatch: pytest.MonkeyPatch, *, is_stored: bool
) -> None:
    call.ok(alice, "check_messages", instance_id="ann")  # the key is known: the next commit is the send's
    failed = fail_one_commit(monkeypatch, is_stored=is_stored)
    refusal = call.refused(alice, SEND, "unavailable", sender="ann", content="x", idempotency_key="k")
    assert failed()
    assert "may have been stored" in refusal.message
    assert "idempotency_key" in refusal.message
    assert refusal.details["retry_after"] > 0
    if not call.is_mcp:
        assert refusal.status == 503
        assert int(refusal.headers["retry-after"]) > 0
    sent = call.ok(alice, SEND, sender="ann", content="x", idempotency_key="k")
    assert (sent["id"], sent["created"]) == (1, not is_stored)
    assert ids(call.ok(alice, "check_messages")) == [1]


def test_after_an_error_at_the_commit_every_sender_of_the_batch_is_told_and_nothing_goes_again(
    alice: Caller, batches: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = fail_one_commit(monkeypatch, is_stored=True)
    assert send_together(alice, ["one", "two", "three"]) == ["unavailable"] * 3
    assert failed()
    assert batches == [3]
    assert texts(alice) == ["one", "two", "three"]


@pytest.mark.parametrize("content", ["poison", "away"])
def test_an_error_before_the_commit_is_answered_503_and_says_that_nothing_was_stored(
    call: Surface, alice: Caller, poison: None, content: str
) -> None:
    before = stored(alice)
    refusal = call.refused(alice, SEND, "unavailable", sender="ann", content=content, channel="new")
    assert "not stored" in refusal.message
    assert refusal.details["retry_after"] > 0
    assert refusal.status in (503, None)
    assert stored(alice) == before
    assert call.ok(alice, SEND, sender="ann", content="x")["id"] == 1


def test_a_batch_whose_senders_all_left_is_stored_all_the_same(alice: Caller) -> None:
    principal = principal_of(alice)

    async def leave() -> None:
        send = asyncio.ensure_future(sending.send(principal, channel="general", sender="ann", content="x"))
        await asyncio.sleep(0)  # lets the send queue, and no more
        send.cancel()
        await asyncio.gather(send, return_exceptions=True)
        await asyncio.gather(*sending._batches._tasks)

    asyncio.run(leave())
    assert texts(alice) == ["x"]
