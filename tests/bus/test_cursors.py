"""The arithmetic of `bus/cursors.py`; that nothing is lost by it is shown in test_nothing_is_silently_read.py."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus import cursors
from bus.cursors import OPEN, STRICT, TASK
from bus.hot import Place

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER, EARLIER = NOON + timedelta(seconds=1), NOON - timedelta(seconds=1)


def place(shown_to: int | None = 0, read_to: int = 0, **more: Any) -> Place:
    facts: dict[str, Any] = {
        "handed_to": 0,
        "pending_from": None,
        "pending_shown": None,
        "pending_read": None,
        "pending_again": None,
        "pending_how": "",
        "pending_at": None,
    }
    return Place(channel_id=1, channel="c", newest=0, shown_to=shown_to, read_to=read_to, unread=0, **(facts | more))


def handed(start: int, *numbers: int, before: Place | None = None, is_alone: bool = True) -> Place:
    return cursors.hold(before or place(), start, numbers, NOON, how=OPEN if is_alone else STRICT)


def stands(at: Place) -> tuple[int | None, int, int | None]:
    """Return the two numbers, and up to where an answer is pending."""
    return at.shown_to, at.read_to, at.pending_shown


# --- handing out ------------------------------------------------------------------------------------------------


def test_handing_out_moves_nothing() -> None:
    assert stands(handed(0, 1, 2, 3)) == (0, 0, 3)


def test_the_first_answer_of_all_says_where_showing_began() -> None:
    assert stands(handed(7, 8, 9, before=place(shown_to=None, read_to=5))) == (7, 5, 9)


@pytest.mark.parametrize(("read_to", "start", "then"), [(0, 0, (3, 3)), (5, 0, (3, 5)), (2, 2, (3, 3)), (0, 2, (3, 0))])
def test_only_an_answer_that_begins_at_or_below_the_read_moves_it(
    read_to: int, start: int, then: tuple[int, int]
) -> None:
    arrived = cursors.confirm(handed(start, 3, before=place(read_to=read_to)), 3)
    assert stands(arrived) == (*then, None)


def test_confirming_a_part_leaves_the_rest_pending() -> None:
    half = cursors.confirm(handed(0, 1, 2, 3), 2)
    assert stands(half) == (2, 2, 3)
    assert [cursors.is_again(half, number) for number in (1, 2, 3, 4)] == [False, False, True, False]


def test_what_was_handed_out_and_not_confirmed_is_again() -> None:
    held = handed(4, 5, 7)
    assert [cursors.is_again(held, number) for number in (4, 5, 6, 7, 8)] == [False, True, True, True, False]


def test_an_earlier_answer_that_was_passed_over_is_remembered_as_handed_out() -> None:
    held = handed(0, 1, 2, before=handed(100, 101, 120))
    assert (held.handed_to, held.pending_shown) == (120, 2)
    assert cursors.may_be_earlier(held, 101)
    assert not cursors.may_be_earlier(held, 2)
    assert not cursors.may_be_earlier(held, 121)


# --- what a read says of the answer before it -------------------------------------------------------------------


@pytest.mark.parametrize("how", [OPEN, STRICT, TASK])
def test_an_id_of_the_answer_confirms_it_up_to_there(how: str) -> None:
    held = handed(0, 1, 2, 3)._replace(pending_how=how)
    assert stands(cursors.settle(held, 2)) == (2, 2, 3)
    assert stands(cursors.settle(held, 3)) == (3, 3, None)


@pytest.mark.parametrize(("how", "then"), [(OPEN, (0, 0, 3)), (STRICT, (0, 0, 3)), (TASK, (3, 3, None))])
def test_silence_confirms_a_tasks_answer_alone(how: str, then: tuple[int, int, int | None]) -> None:
    assert stands(cursors.settle(handed(0, 1, 2, 3)._replace(pending_how=how), None)) == then


def test_silence_confirms_what_was_repeated_and_nothing_newer() -> None:
    repeated = handed(0, 1, 2, 3, before=handed(0, 1, 2))
    settled = cursors.settle(repeated, None)
    assert stands(settled) == (2, 2, 3)
    assert stands(cursors.settle(settled, None)) == (2, 2, 3)


def test_a_repeat_whose_stream_broke_is_repeated_once_more() -> None:
    broken = handed(0, 1, 2, before=handed(0, 1, 2))._replace(pending_how=STRICT)
    assert stands(cursors.settle(broken, None)) == (0, 0, 2)
    whole = handed(0, 1, 2, before=broken)
    assert stands(cursors.settle(whole, None)) == (2, 2, None)


def test_a_repeat_of_a_part_is_a_repeat_up_to_there() -> None:
    part = handed(0, 1, 2, before=handed(0, 1, 2, 3))
    assert stands(cursors.settle(part, None)) == (2, 2, 3)


def test_what_the_repeat_left_out_is_not_read_by_it() -> None:
    newest = handed(10, *range(11, 31), before=handed(0, *range(1, 21)))
    assert stands(cursors.settle(newest, None)) == (20, 0, 30)
    assert stands(cursors.settle(newest, 30)) == (30, 0, None)


def test_messages_handed_out_for_the_first_time_between_repeated_ones_are_no_repeat() -> None:
    unread = handed(0, *range(1, 6), before=handed(4, 5, before=place(shown_to=4)))
    assert stands(cursors.settle(unread, None)) == (4, 0, 5)


def test_what_was_skipped_is_read_once_its_answer_is_named() -> None:
    skipped = handed(0, 1, 2, before=place(shown_to=120))
    assert stands(cursors.settle(skipped, 2)) == (120, 2, None)


def test_an_id_known_from_elsewhere_does_not_confirm_an_answer_whose_stream_broke() -> None:
    broken = handed(0, *range(1, 6), before=handed(3, 4, 5))._replace(pending_how=STRICT)
    assert cursors.needs_proof(broken)
    assert stands(cursors.settle(broken, 5, [(4, 5), (1, 5)])) == (0, 0, 5)
    assert stands(cursors.settle(broken, 5, [(1, 5)])) == (5, 5, None)


def test_an_id_of_an_answer_that_was_passed_over_confirms_that_it_was_shown() -> None:
    held = handed(0, 1, 2, before=handed(100, 101, 120))
    assert stands(cursors.settle(held, 110, [(101, 120)])) == (110, 0, 2)
    assert stands(cursors.settle(held, 110)) == (0, 0, 2)


# --- what a send or an ack says ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "begun_at", "answers", "is_alone", "confirms"),
    [
        (OPEN, LATER, None, True, True),
        (OPEN, NOON, None, True, True),
        (OPEN, EARLIER, None, True, False),
        (OPEN, None, None, True, False),
        (OPEN, EARLIER, 2, True, True),
        (OPEN, EARLIER, 9, True, False),
        (OPEN, LATER, 2, False, False),
        (STRICT, LATER, 2, True, False),
        (TASK, EARLIER, None, True, True),
    ],
)
def test_a_send_confirms_what_was_complete_before_it(
    how: str, begun_at: datetime | None, answers: int | None, is_alone: bool, confirms: bool
) -> None:
    held = handed(0, 1, 2, 3)._replace(pending_how=how)
    after = cursors.confirm_by_send(held, begun_at, answers=answers, is_alone=is_alone)
    assert stands(after) == ((3, 3, None) if confirms else (0, 0, 3))


def test_an_answer_beside_another_call_is_strict_from_the_start() -> None:
    assert handed(0, 1, is_alone=False).pending_how == STRICT
    assert handed(0, 1).pending_how == OPEN


@pytest.mark.parametrize(("up_to", "then"), [(2, (2, 2, 3)), (3, (3, 3, None)), (7, (7, 7, None))])
def test_an_ack_moves_both_numbers_whatever_was_shown(up_to: int, then: tuple[int, int, int | None]) -> None:
    assert stands(cursors.acknowledge(handed(0, 1, 2, 3), up_to)) == then


# --- where a read starts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shown_to", "read_to", "after_id", "floor"),
    [
        (None, 4, None, 4),
        (None, 4, 9, 9),
        (None, 4, 0, 0),
        (6, 4, None, 6),
        (6, 4, 9, 6),
        (6, 4, 2, 2),
        (2, 4, None, 2),
    ],
)
def test_a_read_starts_at_the_smaller_of_what_is_named_and_what_was_shown(
    shown_to: int | None, read_to: int, after_id: int | None, floor: int
) -> None:
    assert cursors.floor_of(place(shown_to, read_to), after_id) == floor


# --- laws -------------------------------------------------------------------------------------------------------

NUMBERS = st.integers(0, 40)


@st.composite
def places(draw: st.DrawFn) -> Place:
    """Return a place that reading can lead to, or nearly."""
    at = place(draw(st.one_of(st.none(), NUMBERS)), draw(NUMBERS))
    for _ in range(draw(st.integers(0, 3))):
        numbers = draw(st.sets(st.integers(1, 40), min_size=1))
        at = cursors.hold(
            at, draw(st.integers(0, min(numbers) - 1)), sorted(numbers), NOON, how=draw(st.sampled_from((OPEN, STRICT)))
        )
        at = cursors.confirm(at, draw(NUMBERS)) if draw(st.booleans()) else at
    return at


@given(
    at=places(),
    number=NUMBERS,
    known=st.lists(st.tuples(NUMBERS, NUMBERS)),
    numbers=st.sets(st.integers(1, 40), min_size=1),
)
@settings(database=None)
def test_the_numbers_never_go_back_nor_past_what_was_handed_out(
    at: Place, number: int, known: list[tuple[int, int]], numbers: set[int]
) -> None:
    later = [
        cursors.confirm(at, number),
        cursors.settle(at, None),
        cursors.confirm_by_send(at, LATER, answers=number, is_alone=True),
        cursors.hold(at, min(numbers) - 1, sorted(numbers), NOON),
    ]
    if cursors.is_again(at, number):
        later.append(cursors.settle(at, number, known))
    for after in later:
        assert (at.shown_to or 0) <= (after.shown_to or 0) <= max(at.shown_to or 0, at.handed_to, min(numbers) - 1)
        assert at.read_to <= after.read_to <= max(at.read_to, at.handed_to)
    assert cursors.acknowledge(at, number).read_to == max(at.read_to, number)


@given(at=places())
@settings(database=None)
def test_a_pending_answer_is_all_there_or_not_at_all(at: Place) -> None:
    pending = (at.pending_from, at.pending_shown, at.pending_at)
    assert all(each is None for each in pending) or all(each is not None for each in pending)
    if at.pending_shown is None:
        assert (at.pending_read, at.pending_again, at.pending_how) == (None, None, "")
    else:
        assert at.pending_read in (None, at.pending_shown)
        assert (at.pending_from or 0) <= at.pending_shown <= at.handed_to
        assert at.pending_again is None or at.pending_again <= at.pending_shown
