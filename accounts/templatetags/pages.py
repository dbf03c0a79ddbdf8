"""How pages write times, sizes and numbers: `{% load pages %}`, then `{{ key.last_used_at|ago }}`."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from django import template
from django.conf import settings
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeData

from accounts import once as forms_once
from crosswire.lib import clock

register = template.Library()

type Moment = datetime | date | str | None
"""What the filters take: a time, a day, or a time as RFC 3339 writes it."""

_UNITS = ((365 * 86_400, "year"), (30 * 86_400, "month"), (86_400, "day"), (3_600, "hour"), (60, "minute"))
_MONTHS_FROM = 100 * 86_400
"""What is shorter is told in days: 90 of them are a plan's retention."""
_SIZES = ("kB", "MB", "GB", "TB")
_JUST_NOW = 5
_STAMP = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
"""Times as refusals name them."""
BILLING_PAGE = "the billing page"
"""What the address of the plans is called where it is a link."""


@register.filter
def ago(value: Moment) -> str:
    """Return how long ago a time was, or how far ahead it lies, as a `<time>`: `3 minutes ago`, `in 2 days`."""
    at = _moment(value)
    if at is None:
        return _as_it_is(value)
    passed = (clock.now() - at).total_seconds()
    if abs(passed) < _JUST_NOW:
        said = "just now"
    else:
        said = f"{in_words(passed)} ago" if passed > 0 else f"in {in_words(-passed)}"
    return _tag(at, said, _written(at, is_full=True))


@register.filter
def lasting(value: Moment) -> str:
    """Return how long something has lasted that began then, as a `<time>`: `3 minutes`."""
    at = _moment(value)
    if at is None:
        return _as_it_is(value)
    return _tag(at, in_words((clock.now() - at).total_seconds()), f"since {_written(at, is_full=True)}")


@register.filter
def moment(value: Moment) -> str:
    """Return a time as a `<time>` in the reader's zone: `27 Nov, 08:15`, with the year where it is another one.

    A day alone stays a day: `27 Nov`.
    """
    if isinstance(value, date) and not isinstance(value, datetime):
        return format_html('<time datetime="{}">{}</time>', value.isoformat(), day_in_words(value))
    at = _moment(value)
    return _as_it_is(value) if at is None else _tag(at, _written(at), _written(at, is_full=True))


@register.filter
def linked(value: object) -> str:
    """Return a refusal's sentence for people: the address of the plans is a link, times are in the reader's zone."""
    text = str(value)
    if isinstance(text, SafeData):
        return text
    plans = re.compile(rf"{re.escape(settings.PUBLIC_URL)}/(?:w/[\w-]+/)?billing\b")
    found = plans.search(text)
    if found is None:
        return _timed(text)
    link = format_html('<a href="{}">{}</a>', found[0], BILLING_PAGE)
    return format_html("{}{}{}", _timed(text[: found.start()]), link, _timed(text[found.end() :]))


def readable(sentence: str) -> str:
    """Return a refusal's sentence with its times in the reader's zone, as plain text."""
    return _STAMP.sub(lambda found: _written(datetime.fromisoformat(found[0])), sentence)


def _timed(text: str) -> str:
    between = zip(_STAMP.split(text), [*map(moment, _STAMP.findall(text)), ""], strict=True)
    return format_html_join("", "{}{}", between)


@register.simple_tag
def once() -> str:
    """Return the field that has a form do its work once, however often it is sent."""
    return format_html('<input type="hidden" name="{}" value="{}" />', forms_once.FIELD, forms_once.token())


@register.filter(name="bytes")
def size(value: float | None) -> str:
    """Return a number of bytes as people write it: `840 bytes`, `1.2 MB`."""
    if value is None:
        return ""
    if abs(value) < 1_000:
        return "1 byte" if value == 1 else f"{value:.0f} bytes"
    figure = float(value)
    for unit in _SIZES:
        figure /= 1_000
        if abs(figure) < 999.5 or unit == _SIZES[-1]:
            break
    written = f"{figure:,.1f}".removesuffix(".0") if abs(figure) < 99.95 else f"{figure:,.0f}"
    return f"{written} {unit}"


@register.filter
def number(value: float | None) -> str:
    """Return a number with its thousands parted: `12,345`."""
    return "" if value is None else f"{value:,}"


def in_words(seconds: float) -> str:
    """Return a length of time in its largest unit: `1 hour`, `3 minutes`, `12 seconds`."""
    whole = max(0, int(seconds))
    for length, unit in _UNITS:
        if whole >= (_MONTHS_FROM if unit == "month" else length):
            return _counted(whole // length, unit)
    return _counted(whole, "second")


def day_in_words(day: date) -> str:
    """Return a day: `27 Nov`, with the year where it is another one."""
    year = "" if day.year == timezone.localtime(clock.now()).year else f" {day.year:04}"
    return f"{day.day} {day:%b}{year}"


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def _moment(value: Moment) -> datetime | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _as_it_is(value: Moment) -> str:
    return "" if value is None else format_html("{}", value)


def _written(at: datetime, *, is_full: bool = False) -> str:
    """Return a time in the reader's zone; in full with year, seconds and the zone's name."""
    try:
        here = timezone.localtime(at)
    except OverflowError:  # at the ends of the calendar
        here = at.astimezone(UTC) if at.utcoffset() == timedelta(0) else at
    if is_full:
        return f"{here.day} {here:%b} {here.year:04}, {here:%H:%M:%S} {here.tzname() or ''}".strip()
    return f"{day_in_words(here.date())}, {here:%H:%M}"


def _tag(at: datetime, said: str, title: str) -> str:
    try:
        stamp = clock.iso(at)
    except OverflowError:
        stamp = at.isoformat()
    return format_html('<time datetime="{}" title="{}">{}</time>', stamp, title, said)
