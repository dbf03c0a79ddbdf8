"""Shared data as people see it: the list, one item, a copy, deleting it."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from pathlib import PureWindowsPath
from urllib.parse import urlencode

import httpx2
import pytest

from accounts import services
from accounts.models import AuditEvent
from bus.models import Counters, SharedItem
from bus.services import shared
from bus.views.data import file_name
from tests.conftest import Clock, MakeWorkspace
from tests.support import hostile, loopback, pages
from tests.support.cast import Caller
from tests.support.messages import change_plan, principal_of
from tests.support.pages import said, shown
from tests.support.people import Person, make_person, owner_of

KEYS = [
    "plans/orders.md",
    "a/b/../../c",
    "..",
    ".",
    "/",
    "//host/x",
    '"quoted"',
    "it's",
    "a b  c",
    "?key=x&y=z#f",
    "100%",
    "%2F",
    "+",
    "日本語/ключ.txt",
    "\U0001f600",
    "x" * 200,
    "é" * 200,
    "con.txt",
    "a;b",
    "a,b",
    "a\\b",
    "javascript:alert(1)",
    *(text for text in hostile.TEXTS if len(text) <= 200),
]


def share(caller: Caller, key: str, content: str = "text", description: str = "") -> None:
    shared.share(principal_of(caller), key=key, content=content, sender="ann", description=description)


def link(person: Person, page: str, key: str, **more: str) -> str:
    return f"{person.home}data/{page}?{urlencode({'key': key, **more})}"


def copied(url: str, person: Person, key: str) -> httpx2.Response:
    """Return what the download of an item answers, from a real server."""
    return loopback.get(url + link(person, "download", key), cookies=dict([person.cookie()]))


def test_without_items_the_page_says_what_they_are_for() -> None:
    page = said(make_person(), "data/")
    assert "Nothing is shared yet." in page
    assert "0 bytes of 100 MB 100 MB left" in page


def test_items_are_listed_newest_first_with_size_author_and_times(make_workspace: MakeWorkspace, clock: Clock) -> None:
    caller = make_workspace("free")
    share(caller, "old.txt", "x" * 1_500, "the old one")
    clock.forward(minutes=3)
    share(caller, "new.txt")
    page = said(owner_of(caller), "data/")
    assert "1.5 kB of 1 MB" in page
    assert re.search(r"new\.txt 4 bytes Shared by ann just now · expires in 6 days", page)
    assert "old.txt 1.5 kB the old one Shared by ann 3 minutes ago · expires in 6 days" in page
    assert page.index("new.txt") < page.index("old.txt")


def test_a_full_allowance_is_said_in_words(make_workspace: MakeWorkspace) -> None:
    caller = make_workspace("free")
    share(caller, "big", "x" * 900_000)
    assert "900 kB of 1 MB Nearly used up 100 kB left" in said(owner_of(caller), "data/")


def test_pages_lead_through_all_items_of_one_moment_too(alice: Caller, clock: Clock) -> None:
    now = clock.now()
    keys = [f"k/{index:03}&" for index in range(130)]
    SharedItem.objects.bulk_create(
        SharedItem(
            workspace=alice.workspace,
            key=key,
            content="x",
            created_by="ann",
            size_bytes=1,
            created_at=now - timedelta(seconds=index // 70),
        )
        for index, key in enumerate(keys)
    )
    ada = owner_of(alice)
    client, address, found = ada.client(), f"{ada.home}data/", []
    for _ in range(3):
        page = client.get(address).content.decode()
        found += [unescape(key) for key in re.findall(r'class="item-key"[^>]*>([^<]+)<', page)]
        older = re.search(r'href="([^"]+\?after=[^"]+)"', page)
        address = unescape(older[1]) if older else ""
    assert found == keys
    assert address == ""


@pytest.mark.parametrize("key", KEYS)
def test_any_key_can_be_listed_shown_copied_and_deleted(alice: Caller, lane_url: str, key: str) -> None:
    share(alice, key, f"the text of {key}", "about it")
    ada = owner_of(alice)
    client = ada.client()
    listed = client.get(f"{ada.home}data/").content.decode()
    address = re.search(r'class="item-key"\s+href="([^"]+)"', listed)
    assert address is not None
    item = client.get(unescape(address[1]))
    assert item.status_code == 200
    page = item.content.decode()
    assert f"the text of {key}" in unescape(page)
    for way in (listed, page):
        hostile.assert_inert(way)
    copy = copied(lane_url, ada, key)
    assert copy.status_code == 200
    assert copy.text == f"the text of {key}"
    sure = client.get(link(ada, "delete", key))
    assert sure.status_code == 200
    hostile.assert_inert(sure.content.decode())
    gone = client.post(f"{ada.home}data/delete", {"key": key}, follow=True)
    assert f"Deleted “{key}”." in unescape(gone.content.decode())
    hostile.assert_inert(gone.content.decode())
    assert client.get(unescape(address[1])).status_code == 404


def test_who_downloads_very_often_is_held_back(alice: Caller) -> None:
    ada = owner_of(alice)
    share(alice, "a.txt")
    change_plan(alice, "free", calls=4)
    client = ada.client()
    told = [client.get(link(ada, "download", "a.txt")).status_code for _ in range(3)]
    assert told == [200, 200, 429]


@pytest.mark.parametrize("key", ["", "missing", "a\0b", "x" * 201, "two\nlines", " blank", "\u202etxt"])
@pytest.mark.parametrize("page", ["item", "download", "delete"])
def test_a_key_that_is_not_there_or_can_not_be_is_refused(alice: Caller, page: str, key: str) -> None:
    ada = owner_of(alice)
    expected = 404 if key == "missing" else 400
    client = ada.client()
    assert client.get(link(ada, page, key)).status_code == expected
    assert client.get(f"{ada.home}data/{page}").status_code == 400
    if page == "delete":
        assert client.post(f"{ada.home}data/delete", {"key": key}).status_code == expected


def test_a_long_text_is_shown_in_parts_that_make_the_whole(alice: Caller) -> None:
    text = "".join(f"line {index} é <&> \U0001f600\n" for index in range(12_000))
    share(alice, "long", text)
    ada = owner_of(alice)
    client, address, found = ada.client(), link(ada, "item", "long"), ""
    for _ in range(10):
        page = client.get(address).content.decode()
        assert len(page.encode()) < 180_000
        part = re.search(r"(?s)<pre[^>]*>(.*?)</pre>", page)
        assert part is not None
        found += unescape(part[1]).removeprefix("\n")
        rest = re.search(r'href="([^"]+)">The rest', page)
        if rest is None:
            break
        address = unescape(rest[1])
    assert found == text


def test_text_that_html_writes_long_still_fits(alice: Caller) -> None:
    share(alice, "quotes", '"' * 300_000)
    page = shown(owner_of(alice), "data/item?key=quotes")
    assert len(page) < 180_000


@pytest.mark.parametrize("offset", ["-5", "x", "1e400", "99999999999999999999", "5", ""])
def test_any_offset_gives_a_page_or_a_refusal(alice: Caller, offset: str) -> None:
    share(alice, "a", "short text")
    ada = owner_of(alice)
    answer = ada.client().get(link(ada, "item", "a", offset=offset))
    assert answer.status_code in (200, 400)
    assert ("text ends before here" in answer.content.decode()) == (offset == "99999999999999999999")


def test_an_empty_text_is_said_to_be_empty(alice: Caller) -> None:
    share(alice, "nothing", "")
    assert "The text is empty." in said(owner_of(alice), "data/item?key=nothing")


def test_a_leading_line_break_is_shown(alice: Caller) -> None:
    """HTML drops the first line break in <pre>."""
    share(alice, "breaks", "\n\nthird line")
    assert ">\n\n\nthird line</pre>" in shown(owner_of(alice), "data/item?key=breaks")


def test_a_copy_is_a_file_of_plain_text_that_no_browser_runs(alice: Caller, lane_url: str) -> None:
    text = "<script>alert(1)</script>\r\n\U0001f600" * 30_000
    share(alice, "evil/page.html", text)
    ada = owner_of(alice)
    answer = copied(lane_url, ada, "evil/page.html")
    assert answer.content == text.encode()
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="evil_page.html.txt"'
    assert answer.headers["Content-Length"] == str(len(text.encode()))
    assert "no-store" in answer.headers["Cache-Control"]


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("plans/orders.md", "plans_orders.md"),
        ("notes.JSON", "notes.JSON"),
        ("run.bat", "run.bat.txt"),
        ("..", "data.txt"),
        ("../../etc/passwd", "_.._etc_passwd.txt"),
        ('a"b;c\r', "a_b;c_.txt"),
        ("日本語", "日本語.txt"),
        ("", "data.txt"),
        (" . ", "data.txt"),
    ],
)
def test_a_file_name_is_safe_everywhere(key: str, name: str) -> None:
    assert file_name(key) == name
    assert PureWindowsPath(name).name == name


def test_a_name_in_any_script_is_told_as_rfc_6266_wants(alice: Caller, lane_url: str) -> None:
    share(alice, "ключ.txt")
    ada = owner_of(alice)
    answer = copied(lane_url, ada, "ключ.txt")
    said_name = answer.headers["Content-Disposition"]
    assert said_name == "attachment; filename*=utf-8''%D0%BA%D0%BB%D1%8E%D1%87.txt"


def test_what_a_person_deletes_gives_its_bytes_back_and_is_recorded(alice: Caller) -> None:
    share(alice, "a", "x" * 500)
    share(alice, "b", "y")
    ada = owner_of(alice)
    answer = ada.client().post(f"{ada.home}data/delete", {"key": "a"})
    assert answer.headers["Location"] == f"{ada.home}data/"
    assert Counters.objects.get(workspace=alice.workspace).data_bytes == 1
    (event,) = AuditEvent.objects.filter(workspace=alice.workspace, action="data.deleted")
    assert (event.actor, event.target) == (ada.user.email, "a")
    assert event.details == {"size_bytes": 500, "created_by": "ann"}


def test_what_an_agent_deletes_is_not_in_the_audit_log(alice: Caller) -> None:
    share(alice, "a")
    shared.delete(principal_of(alice), key="a")
    assert not AuditEvent.objects.filter(workspace=alice.workspace, action="data.deleted").exists()


def test_opening_the_question_deletes_nothing(alice: Caller) -> None:
    share(alice, "a")
    ada = owner_of(alice)
    client = ada.client()
    client.get(link(ada, "delete", "a"))
    client.head(link(ada, "delete", "a"))
    assert client.get(link(ada, "item", "a")).status_code == 200


def test_a_viewer_reads_but_does_not_delete(alice: Caller) -> None:
    share(alice, "a")
    vi = make_person(alice.workspace, "viewer")
    client = vi.client()
    page = client.get(link(vi, "item", "a")).content.decode()
    assert "Download" in page
    assert "data/delete" not in page
    assert client.get(link(vi, "delete", "a")).status_code == 403
    assert client.post(f"{vi.home}data/delete", {"key": "a"}).status_code == 403
    assert SharedItem.objects.filter(workspace=alice.workspace).exists()


def test_a_post_from_elsewhere_is_refused(alice: Caller) -> None:
    from django.test import Client  # noqa: PLC0415 - as people.client() does

    share(alice, "a")
    ada = owner_of(alice)
    strict = Client(enforce_csrf_checks=True, HTTP_HOST="localhost")
    strict.cookies["sessionid"] = ada.cookie()[1]
    assert strict.post(f"{ada.home}data/delete", {"key": "a"}).status_code == 403
    assert SharedItem.objects.filter(workspace=alice.workspace).exists()


@pytest.mark.parametrize("page", ["", "item", "download", "delete"])
def test_what_is_anothers_looks_absent(alice: Caller, mallory: Caller, page: str) -> None:
    share(alice, "secret-key", "secret text")
    eve = owner_of(mallory)
    client = eve.client()
    assert client.get(f"/w/{alice.workspace.slug}/data/{page}?key=secret-key").status_code == 404
    answer = client.get(link(eve, page, "secret-key"))
    assert answer.status_code == (404 if page else 200)
    assert "secret text" not in answer.content.decode()
    client.post(f"{eve.home}data/delete", {"key": "secret-key"})
    client.post(f"/w/{alice.workspace.slug}/data/delete", {"key": "secret-key"})
    assert SharedItem.objects.filter(workspace=alice.workspace).exists()


def test_a_suspended_workspace_shows_nothing_and_loses_nothing(alice: Caller) -> None:
    share(alice, "the-key")
    ada = owner_of(alice)
    client = ada.client()
    services.suspend(alice.workspace, "unpaid")
    for page in ("", "item", "download", "delete"):
        answer = client.get(link(ada, page, "the-key"))
        assert answer.status_code == 403
        assert "the-key" not in answer.content.decode()
    assert client.post(f"{ada.home}data/delete", {"key": "the-key"}).status_code == 403
    assert SharedItem.objects.filter(workspace=alice.workspace).exists()


def test_who_was_removed_meanwhile_deletes_nothing(alice: Caller) -> None:
    share(alice, "a")
    bo = make_person(alice.workspace, "member")
    client = bo.client()
    client.get(link(bo, "delete", "a"))
    bo.member.delete()
    assert client.post(f"{bo.home}data/delete", {"key": "a"}).status_code == 404
    assert SharedItem.objects.filter(workspace=alice.workspace).exists()


def test_what_has_expired_is_not_there(alice: Caller, clock: Clock) -> None:
    share(alice, "a")
    ada = owner_of(alice)
    clock.forward(days=91)
    client = ada.client()
    assert "Nothing is shared yet" in client.get(f"{ada.home}data/").content.decode()
    assert client.get(link(ada, "item", "a")).status_code == 404
    assert client.post(f"{ada.home}data/delete", {"key": "a"}).status_code == 404


@pytest.mark.parametrize("page", ["", "item", "delete"])
def test_pages_cost_few_statements(alice: Caller, clock: Clock, page: str) -> None:
    for index in range(60):
        share(alice, f"k{index}", "x" * 1_000, "about it")
    ada = owner_of(alice)
    client = ada.client()
    client.get(link(ada, page, "k5"))
    with pages.counting() as ran:
        answer = client.get(link(ada, page, "k5"))
    assert answer.status_code == 200
    assert len(ran) < pages.QUERIES, "\n".join(ran)
