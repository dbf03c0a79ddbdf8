"""The public pages: there for everybody, light, the same for all, without database and cookies."""

from __future__ import annotations

import gzip
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import brotli
import pytest
from django.conf import settings
from django.contrib import messages
from django.contrib.messages.storage.cookie import CookieStorage
from django.db import connection
from django.http import HttpResponse
from django.test import Client, RequestFactory

from crosswire.site import facts, files, pages, serving, urls
from tests.support import loopback
from tests.support.people import make_person
from tests.support.sites import Parts, inside, page, stranger

PATHS = [f"/{each.path}" for each in pages.PAGES]
FILES = ["/robots.txt", "/sitemap.xml", "/docs/crosswire-skill.md", "/docs/crosswire-skill.zip"]
everywhere = pytest.mark.parametrize("path", PATHS)


@contextmanager
def no_database() -> Iterator[None]:
    """Fail on any statement."""

    def refuse(execute: Any, sql: str, *rest: Any) -> Any:
        raise AssertionError(f"a public page asked the database: {sql}")

    with connection.execute_wrapper(refuse):
        yield


@everywhere
def test_a_page_is_there_for_strangers_and_may_be_kept(path: str) -> None:
    with no_database():
        answer = stranger().get(path)
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/html; charset=utf-8"
    assert answer["Cache-Control"] == "public, max-age=300"
    assert answer["Vary"] == "Cookie, Accept-Encoding"
    assert not answer.cookies
    assert "script-src 'self'" in answer["Content-Security-Policy"]
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert int(answer["Content-Length"]) == len(answer.content)


@everywhere
def test_a_browser_that_has_the_page_is_told_so(path: str) -> None:
    etag = stranger().get(path)["ETag"]
    with no_database():
        again = stranger(if_none_match=etag).get(path)
    assert (again.status_code, again.content) == (304, b"")
    assert again["ETag"] == etag
    assert stranger(if_none_match='"another"').get(path).status_code == 200


@pytest.fixture(scope="module")
def ada(database: None) -> Client:
    """The browser of somebody who is signed in."""
    return make_person().client()


@everywhere
def test_who_is_signed_in_sees_the_way_back_and_no_cache_keeps_that(ada: Client, path: str) -> None:
    with no_database():
        answer = ada.get(path)
    text = answer.content.decode()
    assert ">Your workspace<" in text
    assert "Sign up" not in re.sub(r"(?s)<main.*?</main>", "", text)
    assert answer["Cache-Control"] == "private, no-cache"
    assert not answer.cookies
    assert answer["ETag"] != stranger().get(path)["ETag"]
    assert ">Your workspace<" not in stranger().get(path).content.decode()


def test_a_session_that_is_over_costs_nothing_either() -> None:
    client = stranger()
    client.cookies["sessionid"] = "no such session"
    with no_database():
        assert client.get("/docs/").status_code == 200


@pytest.mark.parametrize("path", [*PATHS, *FILES])
@pytest.mark.parametrize(
    ("accepted", "encoding"), [("gzip, deflate, br", "br"), ("gzip;q=1.0", "gzip"), ("br;q=0", "")]
)
def test_a_page_comes_as_small_as_the_browser_takes_it(path: str, accepted: str, encoding: str) -> None:
    decode: dict[str, Callable[[bytes], bytes]] = {"br": brotli.decompress, "gzip": gzip.decompress, "": bytes}
    answer = stranger(accept_encoding=accepted).get(path)
    assert answer.headers.get("Content-Encoding", "") == encoding
    assert decode[encoding](answer.content) == stranger().get(path).content
    assert encoding == "" or answer["ETag"] != stranger().get(path)["ETag"]


@everywhere
def test_a_page_with_all_it_loads_is_light(path: str) -> None:
    most = 100_000 if path == "/" else 200_000
    weight = len(stranger().get(path).content)
    for asset in set(page(path).assets):
        weight += len((settings.PAGES_DIR / "static" / asset.removeprefix("/static/")).read_bytes())
    assert weight < most, f"{weight:,} bytes, uncompressed"


@everywhere
def test_pages_are_only_read(path: str) -> None:
    assert stranger().head(path).status_code == 200
    answer = stranger().post(path, {"x": "1"})
    assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD")


@everywhere
def test_nothing_a_stranger_sends_is_in_the_page(lane_url: str, path: str) -> None:
    usual = loopback.get(lane_url + path)
    for headers in (
        {"Host": "127.0.0.1:1"},
        {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "Forwarded": "host=evil.example"},
        {"Referer": "https://evil.example/", "User-Agent": "evil.example", "Accept-Language": "evil"},
    ):
        answer = loopback.get(f"{lane_url}{path}?evil=%3Cscript%3E", headers=headers)
        assert (answer.status_code, answer.text) == (200, usual.text)
    refused = loopback.get(lane_url + path, headers={"Host": "evil.example"})
    assert refused.status_code == 421
    assert "evil" not in refused.text


def test_every_link_and_every_anchor_on_every_page_leads_somewhere() -> None:
    known: dict[str, Parts] = {path: page(path) for path in [*PATHS, "/status"]}
    wrong = []
    reached = set()
    for path, parts in known.items():
        assert len(parts.ids) == len(set(parts.ids)), f"{path}: an id stands twice"
        for link in parts.links:
            if (target := inside(path, link, settings.PUBLIC_URL)) is None:
                continue
            to, anchor = target
            reached.add(to)
            if to not in known:
                if to not in _elsewhere():
                    wrong.append(f"{path}: {link}")
            elif anchor and anchor not in known[to].ids:
                wrong.append(f"{path}: {link} has no such anchor")
    assert wrong == []
    assert set(PATHS) <= reached, "a page that nobody links to"


def _elsewhere() -> set[str]:
    """Return the addresses outside these pages that they may link to, each of which has to answer."""
    found = {"/w/", "/health", "/api/", "/openapi.json", "/docs/api/openapi.json", "/.well-known/security.txt", *FILES}
    found |= {"/accounts/login/", "/accounts/signup/"}
    for path in found - {"/health", "/.well-known/security.txt"}:  # answered before Django; only with OPERATOR_EMAIL
        assert stranger(accept="text/html, application/json").get(path).status_code in {200, 302, 401}, path
    return found


@everywhere
def test_a_page_introduces_itself_where_it_is_linked_to(path: str) -> None:
    meta = page(path).meta
    assert meta["og:url"] == settings.PUBLIC_URL + path
    assert meta["og:image"] == f"{settings.PUBLIC_URL}/static/og.png"
    assert (settings.PAGES_DIR / "static" / "og.png").read_bytes().startswith(b"\x89PNG")
    assert 10 < len(meta["description"]) <= 200
    assert meta["og:title"]


def test_titles_and_descriptions_are_each_pages_own() -> None:
    for told in ({each.title for each in pages.PAGES}, {each.description for each in pages.PAGES}):
        assert len(told) == len(pages.PAGES)


def test_somebody_who_is_to_be_told_something_is_told_once() -> None:
    request = RequestFactory().get("/")
    storage = CookieStorage(request)
    storage.add(messages.INFO, "You have signed out & <b>left</b>.")
    kept = HttpResponse()
    storage.update(kept)
    client = stranger()
    client.cookies["messages"] = kept.cookies["messages"].value
    with no_database():
        answer = client.get("/")
    assert "You have signed out &amp; &lt;b&gt;left&lt;/b&gt;." in answer.content.decode()
    assert answer["Cache-Control"] == "private, no-store"
    assert answer.cookies["messages"].value == ""
    assert "signed out" not in stranger().get("/").content.decode()


def test_a_messages_cookie_that_is_nonsense_is_dropped() -> None:
    client = stranger()
    client.cookies["messages"] = "nonsense"
    answer = client.get("/pricing")
    assert answer.status_code == 200
    assert "nonsense" not in answer.content.decode()


def test_crawlers_are_told_what_is_public() -> None:
    robots = stranger().get("/robots.txt").content.decode()
    assert f"Sitemap: {settings.PUBLIC_URL}/sitemap.xml" in robots
    assert {"Disallow: /w/", "Disallow: /accounts/", "Disallow: /api/"} <= set(robots.splitlines())
    sitemap = stranger().get("/sitemap.xml").content.decode()
    assert sorted(re.findall("<loc>(.*?)</loc>", sitemap)) == sorted(settings.PUBLIC_URL + path for path in PATHS)


def test_who_finds_a_fault_learns_whom_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    assert stranger().get("/.well-known/security.txt").status_code == 404
    monkeypatch.setattr(settings, "OPERATOR_EMAIL", "ops@example.com")
    text = stranger().get("/.well-known/security.txt").content.decode()
    assert "Contact: mailto:ops@example.com\n" in text
    assert re.search(r"^Expires: \d{4}-\d\d-\d\dT00:00:00Z$", text, re.MULTILINE)
    assert f"Canonical: {settings.PUBLIC_URL}/.well-known/security.txt" in text


def test_terms_and_privacy_say_that_they_are_templates_until_somebody_stands_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for path in ("/terms", "/privacy"):
        assert "This is a template" in page(path).text
        assert "[name of the operator]" in page(path).text
    operator = {"name": "Wire & Sons", "email": "ops@example.com", "address": "1 Main Street"}
    told = facts.everything() | {"operator": operator, "has_operator": True}
    monkeypatch.setattr(facts, "everything", lambda: told)
    pages.text_of.cache_clear()
    try:
        for each in pages.PAGES:
            if each.name in {"terms", "privacy"}:
                text = pages.html(each, is_signed_in=False)
                assert "template" not in text
                assert "Wire &amp; Sons" in text
                assert "1 Main Street" in text
                assert "mailto:ops@example.com" in text
    finally:
        pages.text_of.cache_clear()


def test_the_skill_is_one_that_claude_code_takes() -> None:
    text = stranger().get("/docs/crosswire-skill.md").content.decode()
    assert text == files.skill_text()
    _, front, body = text.split("---\n", 2)
    told = dict(line.split(": ", 1) for line in front.splitlines())
    assert told.keys() == {"name", "description"}
    assert re.fullmatch(r"[a-z0-9-]{1,64}", told["name"])
    assert 50 < len(told["description"]) <= 1024
    assert not set(told["description"]) & set('<>#"'), "what YAML or Claude Code would not take in a plain line"
    for what in ("register", "inbox", "wait_for_reply", "claim_message", "in_reply_to", "done", "task", "[[peer"):
        assert what in body, what
    archive = zipfile.ZipFile(io.BytesIO(stranger().get("/docs/crosswire-skill.zip").content))
    assert archive.namelist() == ["crosswire/SKILL.md"]
    assert archive.read("crosswire/SKILL.md").decode() == text


def test_an_address_with_nothing_behind_it_helps_on(ada: Client) -> None:
    parts = Parts()
    answer = stranger().get("/docs/nothing/")
    assert answer.status_code == 404
    parts.feed(answer.content.decode())
    assert {"/docs/", "/pricing", "/status", "/accounts/login/"} <= set(parts.links)
    assert 'href="/w/">Your workspace' in ada.get("/nothing").content.decode()


def test_addresses_without_their_slash_are_found() -> None:
    for path in ("/docs", "/docs/skill", "/docs/errors"):
        answer = stranger().get(path)
        assert (answer.status_code, answer["Location"]) == (301, f"{path}/")


def test_every_public_view_is_answered_before_sessions_are_looked_at() -> None:
    assert set(urls.public_views()) == {*PATHS, *FILES, "/status"}


def test_a_page_is_made_once() -> None:
    one = pages.PAGES[0]
    assert serving.page_body(one, is_signed_in=False) is serving.page_body(one, is_signed_in=False)


def test_the_documents_of_the_api_are_as_they_were() -> None:
    assert json.loads(stranger().get("/docs/api/openapi.json").content)["openapi"] == "3.1.0"


@pytest.mark.parametrize("path", ["/pricing", "/status", "/terms", "/privacy"])
def test_a_slash_too_many_leads_to_the_page(path: str) -> None:
    answer = stranger().get(f"{path}/?from=mail")
    assert (answer.status_code, answer["Location"]) == (301, f"{path}?from=mail")


# --- the way to a paid plan -------------------------------------------------------------------------------------

PRICING = next(each for each in pages.PAGES if each.name == "pricing")


def test_the_plans_lead_members_to_paying_and_strangers_to_signing_up_first() -> None:
    member = pages.html(PRICING, is_signed_in=True)
    assert 'href="/billing?plan=starter&amp;interval=month"' in member
    assert 'href="/billing?plan=pro&amp;interval=year"' in member
    somebody = pages.html(PRICING, is_signed_in=False)
    assert 'href="/accounts/signup/?next=%2Fbilling%3Fplan%3Dpro%26interval%3Dmonth"' in somebody
    assert "put in place by whoever runs this installation" not in member + somebody


def test_where_no_payments_are_taken_the_plans_say_who_gives_them() -> None:
    text = pages.html(PRICING, is_signed_in=True, takes_payments=False)
    assert "A paid plan is put in place by whoever runs this installation" in text
    assert "/billing" not in text
    assert "What if a payment fails?" not in text
