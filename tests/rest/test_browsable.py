"""The pages that a person sees who opens the REST addresses in a browser."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

import httpx2
import pytest

from bus.models import Message
from tests.support import loopback
from tests.support.cast import Caller
from tests.support.messages import seed
from tests.support.surfaces import Surface, SurfaceName

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.fixture(params=["lane", "drf"])
def url(surface: Callable[[SurfaceName], Surface], request: pytest.FixtureRequest) -> str:
    """The address of a server, with the lane and without: a browser's requests are never the lane's."""
    return surface(request.param).url


def page(response: httpx2.Response, status: int = 200) -> str:
    """Return the text of a page that has to be one, and to have this status."""
    assert response.headers["content-type"].startswith("text/html"), response.text[:500]
    assert response.status_code == status
    return html.unescape(response.text)


def open_page(url: str, path: str, caller: Caller | None = None, status: int = 200) -> str:
    query = {"api_key": caller.key} if caller else None
    return page(loopback.get(f"{url}/api{path}", params=query, headers=BROWSER), status)


def test_the_first_page_names_every_operation_and_links_to_what_can_be_looked_at(url: str, alice: Caller) -> None:
    text = open_page(url, "/")
    assert "POST /api/messages" in text
    assert "Post a message to a channel" in text
    links = re.findall(r'href="([^"]*/api/channels[^"]*)"', open_page(url, "/", alice))
    assert links
    assert f"api_key={alice.key}" in links[0]
    assert "general" in page(loopback.get(links[0], headers=BROWSER)), "the link opens with the same key"


def test_a_page_shows_the_operation_and_its_answer(url: str, alice: Caller) -> None:
    seed(alice, ["hello there"])
    text = open_page(url, "/channels", alice)
    assert "List channels" in text
    assert "HTTP 200 OK" in text
    assert '"message_count": 1' in text
    assert "hello there" in open_page(url, "/messages/general", alice)


def test_a_key_in_a_header_opens_a_page_too(url: str, alice: Caller) -> None:
    response = loopback.get(f"{url}/api/whoami", headers=BROWSER | alice.headers)
    assert alice.workspace.name in page(response)
    assert alice.key not in response.text


def test_without_a_key_the_page_says_what_is_needed(url: str) -> None:
    text = open_page(url, "/channels", status=401)
    assert "A key is needed" in text


def test_a_refusal_is_a_page_of_its_own_status(url: str, alice: Caller) -> None:
    assert "No shared data found" in open_page(url, "/data/none", alice, 404)
    assert '"q is missing."' in open_page(url, "/search", alice, 400)
    assert "does not take that method" in open_page(url, "/messages", alice, 405)


def test_the_page_of_a_call_that_writes_has_a_form_for_raw_data(url: str, alice: Caller) -> None:
    text = open_page(url, "/messages", alice, 405)
    form = re.search(r"<form[^>]*method=\"POST\".*?</form>", text, re.DOTALL)
    assert form, "no form"
    assert f'action="/api/messages?api_key={alice.key}"' in form[0]
    assert 'name="_content"' in form[0]
    assert '<option value="application/json"' in form[0]


def test_what_the_form_posts_is_sent_and_shown(url: str, alice: Caller) -> None:
    response = loopback.post(
        f"{url}/api/messages?api_key={alice.key}",
        content='{"sender": "person", "content": "by hand"}',
        headers=BROWSER | {"Content-Type": "application/json", "X-Requested-With": "XMLHttpRequest"},
    )
    text = page(response)
    assert '"id": 1' in text
    assert Message.objects.get(workspace=alice.workspace).content == "by hand"
    refused = loopback.post(
        f"{url}/api/messages?api_key={alice.key}",
        content='{"sender": "person"}',
        headers=BROWSER | {"Content-Type": "application/json"},
    )
    assert "content is missing" in page(refused, 400)


def test_an_item_can_be_deleted_from_its_page(
    url: str, surface: Callable[[SurfaceName], Surface], alice: Caller
) -> None:
    surface("lane").ok(alice, "share_data", key="a/b", content="x", sender="ann")
    assert 'data-method="DELETE"' in open_page(url, "/data/a/b", alice)
    response = loopback.delete(f"{url}/api/data/a/b?api_key={alice.key}", headers=BROWSER)
    page(response)
    open_page(url, "/data/a/b", alice, 404)


def test_what_agents_wrote_cannot_act_in_a_page(url: str, alice: Caller) -> None:
    seed(alice, ["<script>alert(1)</script><img src=x onerror=alert(1)>"])
    response = loopback.get(f"{url}/api/messages/general", params={"api_key": alice.key}, headers=BROWSER)
    assert "alert(1)" in response.text
    assert "<script>alert" not in response.text
    assert "<img src=x" not in response.text
    assert "script-src 'self'" in response.headers["content-security-policy"]
    assert response.headers["cache-control"] == "no-store"


def test_every_script_and_style_of_a_page_is_a_file_of_ours(url: str, alice: Caller) -> None:
    text = open_page(url, "/channels", alice)
    scripts = re.findall(r"<script\b([^>]*)>", text)
    inline = [each for each in scripts if "src=" not in each and "application/json" not in each]
    assert inline == [], "the content security policy would stop them"
    files = re.findall(r'<(?:script|link)\b[^>]*(?:src|href)="([^"]+\.(?:js|css)[^"]*)"', text)
    assert any("ajax-form" in each for each in files)
    for file in files:
        assert file.startswith("/static/")
        served = loopback.get(f"{url}{file}")
        assert served.status_code == 200, file
        assert re.match(r"text/(css|javascript)\b", served.headers["content-type"])
        assert int(loopback.head(f"{url}{file}").headers["content-length"]) > 0
        part = loopback.get(f"{url}{file}", headers={"Range": "bytes=2-5"})
        assert (part.status_code, part.content) == (206, served.content[2:6])
