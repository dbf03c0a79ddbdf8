from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from crosswire.lib import clock
from tests.support.homes import ROOT
from tests.support.processes import finish


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_now_is_utc_in_whole_milliseconds() -> None:
    now = clock.now()
    assert now.tzinfo is UTC
    assert now.microsecond % 1000 == 0
    assert abs(now - datetime.now(UTC)) < timedelta(minutes=1)


def test_shifts_add_up_and_can_be_undone() -> None:
    before = datetime.now(UTC)
    clock.shift(timedelta(days=3))
    clock.shift(timedelta(days=-1))
    assert timedelta(days=2) <= clock.now() + timedelta(milliseconds=1) - before < timedelta(days=2, minutes=1)
    clock.reset()
    assert clock.now() - before < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        ("2026-11-22T10:20:30+00:00", "2026-11-22T10:20:30.000Z"),
        ("2026-11-22T10:20:30.987654+00:00", "2026-11-22T10:20:30.987Z"),
        ("2026-11-22T00:20:30.5+02:00", "2026-11-21T22:20:30.500Z"),
        ("0001-01-01T00:00:00+00:00", "0001-01-01T00:00:00.000Z"),
    ],
)
def test_times_are_told_in_utc_with_milliseconds_and_z(moment: str, text: str) -> None:
    assert clock.iso(at(moment)) == text


def test_told_times_sort_as_the_moments_do() -> None:
    moments = [at("2026-01-01T00:00:00+00:00") + timedelta(milliseconds=step) for step in (0, 1, 10, 999, 1000, 10**9)]
    assert sorted(map(clock.iso, moments)) == [clock.iso(moment) for moment in moments]


@pytest.mark.parametrize(
    ("moment", "month", "ends_at"),
    [
        ("2026-11-01T00:00:00+00:00", 202611, "2026-12-01T00:00:00+00:00"),
        ("2026-11-30T23:59:59.999+00:00", 202611, "2026-12-01T00:00:00+00:00"),
        ("2026-12-31T12:00:00+00:00", 202612, "2027-01-01T00:00:00+00:00"),
        ("2028-02-29T12:00:00+00:00", 202802, "2028-03-01T00:00:00+00:00"),
        ("2026-12-01T00:30:00+01:00", 202611, "2026-12-01T00:00:00+00:00"),
        ("2026-12-31T20:00:00-05:00", 202701, "2027-02-01T00:00:00+00:00"),
    ],
)
def test_months_are_those_of_utc(moment: str, month: int, ends_at: str) -> None:
    assert clock.month_of(at(moment)) == month
    assert clock.month_ends_at(at(moment)) == at(ends_at)
    assert clock.month_ends_at(at(moment).astimezone(timezone(timedelta(hours=9)))) == at(ends_at)


def test_every_month_ends_where_the_next_begins() -> None:
    moment = at("2026-01-01T00:00:00+00:00")
    for _ in range(25):
        ends_at = clock.month_ends_at(moment)
        assert clock.month_of(ends_at - timedelta(milliseconds=1)) == clock.month_of(moment)
        assert clock.month_of(ends_at) > clock.month_of(moment)
        moment = ends_at


@pytest.mark.parametrize(
    ("content", "seconds"), [("86400", 86400), ("-60.5", -60.5), ("", 0), ("nonsense", 0), (None, 0)]
)
def test_a_file_moves_the_clock_of_a_process_and_what_cannot_be_read_does_not(
    tmp_path: Path, content: str | None, seconds: float
) -> None:
    file = tmp_path / "clock"
    if content is not None:
        file.write_text(content, encoding="ascii")
    told = finish(
        [sys.executable, "-c", "from crosswire.lib import clock; print(clock.now().timestamp())"],
        30,
        env={"CROSSWIRE_CLOCK_FILE": str(file), "PYTHONPATH": str(ROOT)},
    )
    assert told.returncode == 0, told.stderr
    assert abs(float(told.stdout) - datetime.now(UTC).timestamp() - seconds) < 60


def test_the_file_is_read_again_when_it_changes_and_kept_when_it_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "clock"
    monkeypatch.setattr(clock, "_file", str(file))
    monkeypatch.setattr(clock, "_file_state", (0, timedelta(0)))
    for content, hours in (("3600", 1), ("7200", 2), ("0", 0), ("10800", 3)):
        draft = tmp_path / f"draft{hours}"
        draft.write_text(content, encoding="ascii")
        draft.replace(file)
        assert abs(clock.now() - datetime.now(UTC) - timedelta(hours=hours)) < timedelta(minutes=1)
    file.unlink()
    assert clock.now() - datetime.now(UTC) > timedelta(hours=2)
