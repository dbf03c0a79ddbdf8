"""Search as people use it: words, filters, what was found, what to do when nothing was."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from urllib.parse import urlencode

import pytest

from accounts import services
from bus.services import messages
from bus.views.excerpts import excerpt
from tests.conftest import Clock
from tests.support import hostile, pages
from tests.support.cast import Caller
from tests.support.messages import change_plan, principal_of, seed
from tests.support.pages import text_of
from tests.support.people import Person, make_person, owner_of


def searched(person: Person, **given: str) -> str:
    return pages.shown(person, f"search?{urlencode(given)}")


def numbers(page: str) -> list[int]:
    """Return the numbers of the messages on a page, in their order."""
    return [int(each) for each in re.findall(r'class="found-link[^"]*"[^>]*>(?:#|Message )(\d+)<', page)]


def test_without_words_there_are_hints_and_nothing_is_looked_for(alice: Caller) -> None:
    seed(alice, ["deployed"])
    ada = owner_of(alice)
    for given in ({}, {"q": ""}, {"q": "   "}, {"q": "\0"}):
        page = searched(ada, **given)
        assert "All words have to be there" in page
        assert numbers(page) == []
        assert "errorlist" not in page


def test_a_message_is_found_with_its_words_marked_and_its_surroundings(alice: Caller) -> None:
    found, _ = seed(alice, ["We deployed the Deployment today", "something else"], sender="ann", channel="ops")
    page = searched(owner_of(alice), q="deploy")
    assert numbers(page) == [found]
    assert "We <mark>deploy</mark>ed the <mark>Deploy</mark>ment today" in page
    assert "message ann in #ops" in text_of(page)
    assert "1 message" in text_of(page)


def test_nothing_found_gives_help(alice: Caller) -> None:
    page = text_of(searched(owner_of(alice), q="zebra"))
    assert "Nothing found" in page
    assert "No message has all of zebra" in page
    assert "All words have to be there" in page


def test_filters_narrow_what_is_found(alice: Caller) -> None:
    principal = principal_of(alice)
    sent = {}
    for name, channel, kind in (("ann", "ops", "request"), ("bo", "ops", "response"), ("ann", "qa", "request")):
        sent[name, channel] = messages.send(
            principal, channel=channel, sender=name, content="deploy it", message_type=kind
        )["id"]
    ada = owner_of(alice)
    assert len(numbers(searched(ada, q="deploy"))) == 3
    assert numbers(searched(ada, q="deploy", channel="QA")) == [sent["ann", "qa"]]
    assert numbers(searched(ada, q="deploy", sender="bo")) == [sent["bo", "ops"]]
    assert numbers(searched(ada, q="deploy", type="request", channel="ops")) == [sent["ann", "ops"]]
    assert numbers(searched(ada, q="deploy", channel="nowhere")) == []


def test_days_are_the_persons_own(alice: Caller, clock: Clock) -> None:
    """A message at 20:00 UTC on one day is of the next day in Tokyo."""
    evening = (clock.now() + timedelta(days=1)).replace(hour=20, minute=0)
    clock.forward(seconds=(evening - clock.now()).total_seconds())
    (found,) = seed(alice, ["deploy it"])
    ada = owner_of(alice)
    day, after = evening.date().isoformat(), (evening.date() + timedelta(days=1)).isoformat()
    assert numbers(searched(ada, q="deploy", since=day, until=day)) == [found]
    assert numbers(searched(ada, q="deploy", since=after)) == []
    ada.user.time_zone = "Asia/Tokyo"
    ada.user.save()
    assert numbers(searched(ada, q="deploy", since=day, until=day)) == []
    assert numbers(searched(ada, q="deploy", since=after, until=after)) == [found]


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"since": "2026-02-30"}, "Enter a valid date"),
        ({"since": "2026-02-03", "until": "2026-02-01"}, "The last day lies before the first."),
        ({"type": "rumour"}, "Select a valid choice"),
        ({"channel": "???"}, "at least one letter"),
        ({"channel": "a" * 90}, "at most 80"),
        ({"q": "a" * 501}, "at most 500 characters"),
        ({"sender": "a" * 81}, "at most 80 characters"),
    ],
)
def test_what_no_search_can_mean_is_said_beside_the_field(alice: Caller, given: dict[str, str], complaint: str) -> None:
    page = searched(owner_of(alice), **({"q": "x"} | given))
    assert complaint in unescape(page)
    assert numbers(page) == []


@pytest.mark.parametrize(
    "query",
    [
        *hostile.TEXTS,
        "' OR 1=1 --",
        '"',
        '""',
        "%",
        "_",
        "*",
        "NOT",
        "a OR",
        "((",
        "\\",
        "a\0b",
        "\u202egnp.exe",
        "日本語",
        "e\u0301" * 40,
        "ﬁ",
        "İ",
        "ß",
        "\U0001f600",
        "a " * 250,
        "-" * 500,
    ],
)
def test_any_text_is_legal_and_stays_text(alice: Caller, query: str) -> None:
    seed(alice, [f"before {query.replace(chr(0), ' ')} after", "nothing of it"], sender="ann")
    page = searched(owner_of(alice), q=query)
    hostile.assert_inert(page)


@pytest.mark.parametrize("text", hostile.TEXTS)
def test_what_is_found_is_only_text(alice: Caller, text: str) -> None:
    seed(alice, [f"needle {text}"], sender=text[:80].strip())
    ada = owner_of(alice)
    for query in ("needle", f"needle {text}", text):
        page = searched(ada, q=query, sender=text[:80].strip())
        hostile.assert_inert(page)
        assert len(numbers(page)) == 1


@pytest.mark.parametrize("end", ["0001-01-01", "9999-12-31"])
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/Los_Angeles"])
def test_the_ends_of_the_calendar_are_days_too(alice: Caller, end: str, zone: str) -> None:
    seed(alice, ["deploy"])
    ada = owner_of(alice)
    ada.user.time_zone = zone
    ada.user.save()
    assert len(numbers(searched(ada, q="deploy", since="0001-01-01", until="9999-12-31"))) == 1
    searched(ada, q="deploy", since=end, until=end)


def test_that_not_everything_was_looked_at_is_told(alice: Caller) -> None:
    sent = seed(alice, (f"deploy {index}" for index in range(1_010)))
    page = text_of(searched(owner_of(alice), q="deploy"))
    assert f"Only messages back to #{sent[10]:,} were looked through" in page


def test_more_than_the_first_twenty_can_be_shown(alice: Caller) -> None:
    seed(alice, (f"deploy {index}" for index in range(30)))
    ada = owner_of(alice)
    page = searched(ada, q="deploy", channel="general")
    assert len(numbers(page)) == 20
    more = re.search(r'href="(\?[^"]+)">Show up to 50', page)
    assert more is not None
    page = pages.shown(ada, f"search{unescape(more[1])}")
    assert len(numbers(page)) == 30
    assert "Show up to 50" not in page


def test_long_messages_are_cut_around_what_was_looked_for(alice: Caller) -> None:
    seed(alice, ["word " * 5_000 + "the Needle itself " + "word " * 5_000 for _ in range(20)])
    page = searched(owner_of(alice), q="needle")
    assert page.count("the <mark>Needle</mark> itself") == 20
    assert len(page) < 40_000


def test_a_search_counts_as_a_call_of_the_plan(alice: Caller) -> None:
    change_plan(alice, calls=4)
    ada = owner_of(alice)
    for _ in range(2):
        searched(ada, q="deploy")
    assert "rate_limited" in pages.shown(ada, "search?q=deploy", 429)
    searched(ada)  # the empty form is always there


def test_what_has_expired_is_not_found(alice: Caller, clock: Clock) -> None:
    seed(alice, ["deploy"])
    clock.forward(days=91)
    assert numbers(searched(owner_of(alice), q="deploy")) == []


def test_nobody_finds_what_is_anothers(alice: Caller, mallory: Caller) -> None:
    seed(alice, ["deploy the secret"], channel="hidden")
    page = searched(owner_of(mallory), q="deploy", channel="hidden")
    assert numbers(page) == []
    assert "secret" not in page
    eve = owner_of(mallory)
    assert eve.client().get(f"/w/{alice.workspace.slug}/search?q=deploy").status_code == 404


def test_viewers_search_and_a_suspended_workspace_shows_nothing(alice: Caller) -> None:
    seed(alice, ["deploy"])
    vi = make_person(alice.workspace, "viewer")
    assert len(numbers(searched(vi, q="deploy"))) == 1
    assert vi.client().post(f"{vi.home}search").status_code == 405
    services.suspend(alice.workspace, "unpaid")
    assert numbers(pages.shown(vi, "search?q=deploy", 403)) == []


@pytest.mark.parametrize("query", ["deploy", "/orders", '"not there"', 'deploy "/orders"'])
def test_a_search_costs_few_statements(alice: Caller, query: str) -> None:
    seed(alice, (f"deploy number {index} to /orders" for index in range(1_200)))
    ada = owner_of(alice)
    client, address = ada.client(), f"{ada.home}search?{urlencode({'q': query, 'channel': 'general', 'many': '1'})}"
    client.get(address)
    with pages.counting() as ran:
        page = client.get(address).content
    assert len(ran) < pages.QUERIES, "\n".join(ran)
    assert len(page) < 150_000


# --- the excerpt ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "query", "shown"),
    [
        ("a cat sat", "cat", "a <mark>cat</mark> sat"),
        ("concatenate a cat", "cat", "concatenate a <mark>cat</mark>"),
        ("sendMessage", "message", "send<mark>Message</mark>"),
        ("Der Käse", "kase", "Der <mark>Käse</mark>"),
        ("Der Ka\u0308se ist", "käse", "Der <mark>Ka\u0308se</mark> ist"),
        ("STRASSE, Straße", "strasse", "<mark>STRASSE</mark>, <mark>Straße</mark>"),
        ("see POL-3.", "pol-3", "see <mark>POL-3</mark>."),
        ("これは日本語です", "日本語", "これは<mark>日本語</mark>です"),
        ("x & <y>", "y", "x &amp; &lt;<mark>y</mark>&gt;"),
        ("nothing here", "zebra", "nothing here"),
        ("the quick fox", '"quick fox"', "the <mark>quick fox</mark>"),
        ("İstanbul now", "now", "İstanbul <mark>now</mark>"),
        ("ﬁne day", "fine", "<mark>ﬁne</mark> day"),
        ("a\n\n  b", "b", "a <mark>b</mark>"),
        ("", "x", ""),
    ],
)
def test_hits_are_marked_where_they_are(content: str, query: str, shown: str) -> None:
    assert excerpt(content, query) == shown


def test_an_excerpt_is_short_and_says_what_it_leaves_out() -> None:
    found = excerpt("word " * 1_000 + "needle " + "word " * 1_000, "needle")
    assert found.startswith("… ")
    assert found.endswith(" …")
    assert "<mark>needle</mark>" in found
    assert len(found) < 400


def test_an_excerpt_of_a_huge_text_of_any_script_takes_no_time() -> None:
    for text in ("日" * 64_000, "e\u0301" * 32_000, "a" * 64_000, "\u0301" * 64_000, "<" * 64_000):
        assert len(excerpt(text, "日 é a < \u0301")) < 4_500
