"""How pages write times, sizes and numbers."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.template import Context, Template
from django.utils import timezone

from accounts.plans import upgrade_url
from accounts.templatetags.pages import readable
from crosswire.lib import clock


def shown(value: Any, name: str) -> str:
    return Template(f"{{% load pages %}}{{{{ value|{name} }}}}").render(Context({"value": value}))


def words(value: Any, name: str) -> str:
    text = shown(value, name)
    return text[text.index(">") + 1 : text.rindex("<")]


@pytest.mark.parametrize(
    ("passed", "said"),
    [
        (timedelta(seconds=0), "just now"),
        (timedelta(seconds=-3), "just now"),
        (timedelta(seconds=12), "12 seconds ago"),
        (timedelta(seconds=60), "1 minute ago"),
        (timedelta(minutes=59), "59 minutes ago"),
        (timedelta(hours=1), "1 hour ago"),
        (timedelta(hours=47), "1 day ago"),
        (timedelta(days=90), "90 days ago"),
        (timedelta(days=130), "4 months ago"),
        (timedelta(days=900), "2 years ago"),
        (timedelta(minutes=-2, seconds=-30), "in 2 minutes"),
        (timedelta(days=-3, seconds=-30), "in 3 days"),
    ],
)
def test_a_time_is_told_in_its_largest_unit(passed: timedelta, said: str) -> None:
    assert words(clock.now() - passed, "ago") == said


def test_a_time_names_itself_for_machines_and_in_full_for_people() -> None:
    with timezone.override(zoneinfo.ZoneInfo("Europe/Berlin")):
        tag = shown("2020-01-31T12:00:00.000Z", "ago")
    assert 'datetime="2020-01-31T12:00:00.000Z"' in tag
    assert 'title="31 Jan 2020, 13:00:00 CET"' in tag


def test_a_moment_stands_in_the_readers_zone_and_names_the_year_only_where_it_is_another() -> None:
    now = clock.now().astimezone(UTC).replace(month=6, day=5, hour=23, minute=30)
    with timezone.override(zoneinfo.ZoneInfo("Asia/Tokyo")):
        assert words(now, "moment") == "6 Jun, 08:30"
        assert words(now.replace(year=2020), "moment") == "6 Jun 2020, 08:30"


def test_a_day_stays_a_day() -> None:
    assert shown(date(2020, 2, 3), "moment") == '<time datetime="2020-02-03">3 Feb 2020</time>'


@pytest.mark.parametrize("name", ["ago", "lasting", "moment"])
@pytest.mark.parametrize(
    "end", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), "9999-12-31T23:59:59-12:00"]
)
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/Los_Angeles"])
def test_the_ends_of_the_calendar_break_nothing(name: str, end: Any, zone: str) -> None:
    with timezone.override(zoneinfo.ZoneInfo(zone)):
        assert shown(end, name).startswith("<time ")


@pytest.mark.parametrize("name", ["ago", "lasting", "moment", "bytes", "number"])
def test_nothing_is_shown_as_nothing(name: str) -> None:
    assert shown(None, name) == ""


@pytest.mark.parametrize("name", ["ago", "lasting", "moment"])
def test_what_is_no_time_is_shown_as_text(name: str) -> None:
    assert shown("<b>soon</b>", name) == "&lt;b&gt;soon&lt;/b&gt;"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1_000, "1 kB"),
        (1_234, "1.2 kB"),
        (99_960, "100 kB"),
        (999_400, "999 kB"),
        (999_600, "1 MB"),
        (1_000_000, "1 MB"),
        (100_000_000, "100 MB"),
        (5 * 10**16, "50,000 TB"),
    ],
)
def test_a_size_is_told_in_its_largest_unit(value: int, said: str) -> None:
    assert shown(value, "bytes") == said


def test_thousands_are_parted() -> None:
    assert shown(1_234_567, "number") == "1,234,567"


def test_how_long_something_has_lasted_is_told_without_ago() -> None:
    assert words(clock.now() - timedelta(minutes=3), "lasting") == "3 minutes"


def test_the_address_of_the_plans_is_a_link_and_nothing_else_is() -> None:
    for address in (upgrade_url(), upgrade_url("0a1b2c")):
        told = shown(f"<b> www.example.com is full. Upgrade at {address}.", "linked")
        link = f'<a href="{address}">the billing page</a>'
        assert told == f"&lt;b&gt; www.example.com is full. Upgrade at {link}."
    assert shown("<b>", "linked") == "&lt;b&gt;"


def test_a_time_in_a_refusal_is_told_in_the_readers_zone() -> None:
    with timezone.override(zoneinfo.ZoneInfo("Asia/Tokyo")):
        told = shown("Used; the count starts anew at 2020-12-01T00:00:00.000Z. <b>", "linked")
        assert "anew at <time" in told
        assert ">1 Dec 2020, 09:00</time>. &lt;b&gt;" in told
        assert readable("anew at 2020-12-01T00:00:00.000Z.") == "anew at 1 Dec 2020, 09:00."
