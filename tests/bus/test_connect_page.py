"""Connect: the page, the keys it makes, and what it says of the first call."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from html import unescape
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts import services
from accounts.here import FIRST_KEY
from accounts.models import ApiKey, Member, Workspace
from bus.guides import GUIDES
from crosswire.lib import clock as product_clock
from tests.accounts.stored_keys import key_row
from tests.conftest import Clock
from tests.support.cast import Caller, in_thread
from tests.support.people import Person, make_person
from tests.support.surfaces import Surface, SurfaceName

KEY = re.compile(r"cw_[a-z2-7]{32}")
type Surfaces = Callable[[SurfaceName], Surface]


@pytest.fixture
def ada(alice: Caller) -> Person:
    """The owner of Alice's workspace."""
    return make_person(alice.workspace)


@pytest.fixture
def client(ada: Person) -> Client:
    """Ada's browser."""
    return ada.client()


@pytest.fixture
def newcomer() -> Person:
    """Somebody whose workspace never had a key, as after signing up."""
    workspace = in_thread(lambda: services.create_workspace("new"))
    return make_person(workspace, name="Nora New")


def just_signed_up(person: Person) -> Client:
    client = person.client()
    session = client.session
    session[FIRST_KEY] = True
    session.save()
    return client


def keys_in(answer: Any) -> set[str]:
    return set(KEY.findall(answer.content.decode()))


def text(answer: Any) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).split())


def opened(client: Client, person: Person, name: str = "claude-code") -> str:
    """Open the page; return the time that it says it was opened at."""
    answer = client.get(f"{person.home}connect", {"client": name})
    assert answer.status_code == 200
    found = re.search(r'data-since="([^"]+)"', answer.content.decode())
    assert found
    return unescape(found[1])


def look(client: Client, person: Person, since: str, name: str = "claude-code") -> dict[str, Any]:
    answer = client.get(f"{person.home}connect/seen", {"client": name, "since": since})
    assert answer.status_code == 200
    told: dict[str, Any] = answer.json()
    return told


# --- the page ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GUIDES)
def test_each_client_has_its_card_and_an_address_of_its_own(client: Client, ada: Person, name: str) -> None:
    answer = client.get(f"{ada.home}connect", {"client": name})
    page = answer.content.decode()
    assert f'class="card client chosen"\n         id="client-{name}"' in page
    assert page.count("card client chosen") == 1
    assert page.count('class="card client') == len(GUIDES)
    assert keys_in(answer) == set()


def test_cards_of_clients_that_only_sign_in_say_so_and_wait_for_nothing(client: Client, ada: Person) -> None:
    for name in ("claude-ai", "chatgpt-connector"):
        page = client.get(f"{ada.home}connect", {"client": name}).content.decode()
        card = page.partition(f'id="client-{name}"')[2].partition("</section>")[0]
        assert "comes later" in card
        assert "Make a key" not in card
        assert re.search(r'<section class="card seen"[^>]*hidden>', page)


def test_it_says_when_the_makers_machines_cannot_reach_this_server(client: Client, ada: Person, settings: Any) -> None:
    def card() -> str:
        page = client.get(f"{ada.home}connect").content.decode()
        return page.partition('id="client-perplexity"')[2].partition("</section>")[0]

    assert "cannot connect here" in card()
    settings.PUBLIC_URL, settings.PUBLIC_HOST = "https://bus.example.com", "bus.example.com"
    assert "cannot connect here" not in card()
    assert "https://bus.example.com/mcp" in card()


@pytest.mark.parametrize("name", ["", "nope", "../etc/passwd", "\x00", "x" * 5_000, "<script>", "claude-code'"])
def test_an_unknown_client_is_the_first_one(client: Client, ada: Person, name: str) -> None:
    answer = client.get(f"{ada.home}connect", {"client": name})
    assert answer.status_code == 200
    assert 'id="client-claude-code"' in answer.content.decode()
    assert look(client, ada, "", name)["connected"] is False


def test_the_page_is_light_in_bytes_and_statements(client: Client, ada: Person) -> None:
    client.get(f"{ada.home}connect")
    with CaptureQueriesContext(connection) as ran:
        answer = client.get(f"{ada.home}connect")
    assert len(ran) < 20, [each["sql"] for each in ran]
    assert len(answer.content) < 120_000


def test_looking_costs_few_statements_however_many_keys_were_used(client: Client, ada: Person) -> None:
    since = opened(client, ada)
    for number in range(15):
        key, _ = services.create_key(ada.workspace, f"n{number}")
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=product_clock.now(), last_used_instance=f"i{number}")
    with CaptureQueriesContext(connection) as ran:
        assert look(client, ada, since)["connected"]
    assert len(ran) < 12, [each["sql"] for each in ran]


def test_names_are_shown_as_text(client: Client, ada: Person, alice: Caller) -> None:
    hostile = "<IMG src=x onerror=alert(1)>\"'"
    Workspace.objects.filter(pk=ada.workspace.pk).update(name=hostile)
    since = opened(client, ada)
    ApiKey.objects.filter(pk=key_row(alice.key).pk).update(
        name=hostile, last_used_at=product_clock.now(), last_used_client=hostile, last_used_instance=hostile
    )
    assert "<IMG" not in client.get(f"{ada.home}connect").content.decode()
    told = look(client, ada, since)
    assert "<IMG" not in told["html"]
    assert "&lt;IMG" in told["html"]
    answer = client.post(f"{ada.home}connect", {"client": "codex-cli", "names": hostile})
    assert "<IMG" not in answer.content.decode()
    assert len(keys_in(answer)) == 1


# --- the first key ----------------------------------------------------------------------------------------------


def test_who_has_signed_up_finds_a_key_in_every_snippet_once(newcomer: Person) -> None:
    client = just_signed_up(newcomer)
    answer = client.get(f"{newcomer.home}connect")
    (key,) = keys_in(answer)
    row = key_row(key)
    assert (row.name, row.created_by) == ("first key", newcomer.user)
    with_key = len([each for each in GUIDES.values() if each.auth == "key"])
    assert answer.content.decode().count(key) >= with_key
    assert "YOUR_KEY" not in answer.content.decode()
    assert 'href="#client-cursor"' in answer.content.decode(), "going on to another client keeps the page, and the key"
    assert FIRST_KEY not in client.session
    assert keys_in(client.get(f"{newcomer.home}connect")) == set()
    assert ApiKey.objects.filter(workspace=newcomer.workspace).count() == 1
    assert "no-store" in answer["Cache-Control"]


def test_two_tabs_at_once_make_one_first_key(newcomer: Person) -> None:
    client = just_signed_up(newcomer)
    cookie = client.cookies["sessionid"].value
    found: list[set[str]] = []

    def tab() -> None:
        other = Client(HTTP_HOST="localhost")
        other.cookies["sessionid"] = cookie
        found.append(keys_in(other.get(f"{newcomer.home}connect")))
        connection.close()

    tabs = [threading.Thread(target=tab) for _ in range(4)]
    for each in tabs:
        each.start()
    for each in tabs:
        each.join(60)
    assert sorted(map(len, found)) == [0, 0, 0, 1]
    assert ApiKey.objects.filter(workspace=newcomer.workspace).count() == 1


@pytest.mark.parametrize("how", ["head", "prefetch", "seen"])
def test_what_shows_nobody_the_key_does_not_make_it(newcomer: Person, how: str) -> None:
    client = just_signed_up(newcomer)
    path = f"{newcomer.home}connect"
    match how:
        case "head":
            client.head(path)
        case "prefetch":
            client.get(path, headers={"Sec-Purpose": "prefetch;prerender"})
        case "seen":
            client.get(f"{path}/seen")
    assert not ApiKey.objects.filter(workspace=newcomer.workspace).exists()
    assert len(keys_in(client.get(path))) == 1


def test_a_viewer_and_a_workspace_that_has_keys_get_no_first_key(newcomer: Person, ada: Person) -> None:
    viewer = make_person(newcomer.workspace, "viewer", "Vic View")
    assert keys_in(just_signed_up(viewer).get(f"{viewer.home}connect")) == set()
    assert keys_in(just_signed_up(ada).get(f"{ada.home}connect")) == set()
    assert ApiKey.objects.filter(workspace=ada.workspace).count() == 1


# --- keys made here ---------------------------------------------------------------------------------------------


def test_a_key_for_a_client_is_named_after_it_and_shown_once(client: Client, ada: Person) -> None:
    answer = client.post(f"{ada.home}connect", {"client": "cursor"})
    (key,) = keys_in(answer)
    assert (key_row(key).name, key_row(key).created_by) == ("Cursor", ada.user)
    assert 'class="card client chosen"\n         id="client-cursor"' in answer.content.decode()
    assert keys_in(client.get(f"{ada.home}connect")) == set()


def test_two_sessions_get_a_key_each_and_how_they_begin(client: Client, ada: Person) -> None:
    answer = client.post(f"{ada.home}connect", {"client": "claude-code", "names": "api-expert, app-builder"})
    made = keys_in(answer)
    assert {key_row(each).instance_id for each in made} == {"api-expert", "app-builder"}
    shown = unescape(answer.content.decode())
    assert all(f"CROSSWIRE_KEY={each} claude" in shown for each in made)
    assert keys_in(client.get(f"{ada.home}connect")) == set()


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ("", "required"),
        (", ,", "Name one to 5"),
        ("a,b,c,d,e,f", "Name one to 5"),
        ("a,a", "a name of its own"),
        ("a,human", "reserved name"),
        ("a,taken", "already has a key"),
        ("a\x00", "Null characters"),
        ("x" * 501, "at most 500"),
        ("x" * 81, "1 to 80 characters"),
    ],
)
def test_names_that_will_not_do_are_said_at_the_form_and_make_nothing(
    client: Client, ada: Person, names: str, told: str
) -> None:
    services.create_key(ada.workspace, "n", instance_id="taken")
    answer = client.post(f"{ada.home}connect", {"client": "codex-cli", "names": names})
    assert answer.status_code == 200
    assert told in text(answer)
    assert keys_in(answer) == set()
    assert ApiKey.objects.filter(workspace=ada.workspace).count() == 2
    assert answer.content.decode().count('id="sessions_names"') == 1


def test_names_for_a_client_that_takes_one_key_are_refused(client: Client, ada: Person) -> None:
    assert client.post(f"{ada.home}connect", {"client": "cursor", "names": "a"}).status_code == 400
    assert ApiKey.objects.filter(workspace=ada.workspace).count() == 1


def test_at_the_limit_of_keys_the_page_says_so(client: Client, ada: Person) -> None:
    Workspace.objects.filter(pk=ada.workspace.pk).update(overrides={"live_keys": 1})
    answer = client.post(f"{ada.home}connect", {"client": "cursor"})
    assert answer.status_code == 429
    assert "has 1 live keys" in text(answer)


# --- the first call ---------------------------------------------------------------------------------------------


def test_it_waits_until_the_client_calls_and_says_what_it_saw(
    client: Client, ada: Person, alice: Caller, surface: Surfaces
) -> None:
    since = opened(client, ada, "python")
    waiting = look(client, ada, since, "python")
    assert (waiting["connected"], waiting["client"], waiting["instance"]) == (False, None, None)
    assert "Waiting for your first call from Python" in waiting["html"]
    call = surface("mcp-2026-07-28")
    call.request(alice, "tools/list")
    told = look(client, ada, since, "python")
    assert (told["connected"], told["protocol"], told["instance"]) == (True, "MCP 2026-07-28", None)
    assert "not registered yet" in told["html"]
    call.ok(alice, "register", instance_id="ann")
    told = look(client, ada, since, "python")
    assert (told["client"], told["instance"]) == ("crosswire-tests/1", "ann")
    assert "ann" in told["html"]


def test_rest_is_told_as_rest(client: Client, ada: Person, alice: Caller, surface: Surfaces) -> None:
    since = opened(client, ada, "python")
    surface("lane").ok(alice, "whoami")
    told = look(client, ada, since, "python")
    assert (told["connected"], told["client"], told["protocol"]) == (True, "Python", "REST")


def test_what_was_used_before_the_page_was_opened_does_not_count(
    client: Client, ada: Person, alice: Caller, surface: Surfaces, clock: Clock
) -> None:
    surface("lane").ok(alice, "register", instance_id="ann")
    clock.forward(seconds=2)
    since = opened(client, ada, "python")
    assert look(client, ada, since, "python")["connected"] is False
    clock.forward(seconds=1)
    surface("lane").ok(alice, "check_messages", instance_id="ann")
    told = look(client, ada, since, "python")
    assert (told["connected"], told["instance"]) == (True, "ann"), "an old key counts as well, at once"


def test_another_client_is_told_of_and_not_taken_for_the_chosen_one(
    client: Client, ada: Person, alice: Caller, surface: Surfaces
) -> None:
    since = opened(client, ada)
    surface("lane").ok(alice, "whoami")  # as a Python program
    told = look(client, ada, since, "claude-code")
    assert told["connected"] is False
    assert "Python called too, over REST" in " ".join(told["html"].split())
    assert look(client, ada, since, "python")["connected"] is True


def test_an_instance_that_was_refused_a_place_is_not_told_as_registered(
    client: Client, ada: Person, alice: Caller, surface: Surfaces
) -> None:
    Workspace.objects.filter(pk=ada.workspace.pk).update(overrides={"instances": 0})
    since = opened(client, ada, "python")
    surface("lane").refused(alice, "register", "limit_reached", instance_id="ann")
    told = look(client, ada, since, "python")
    assert (told["connected"], told["instance"]) == (True, None)


def test_a_stranger_calling_elsewhere_is_not_seen(
    client: Client, ada: Person, mallory: Caller, surface: Surfaces
) -> None:
    since = opened(client, ada, "python")
    surface("lane").ok(mallory, "register", instance_id="mal")
    assert look(client, ada, since, "python")["connected"] is False


@pytest.mark.parametrize(
    "since", ["", "now", "2026-99-99T00:00:00Z", "2020-01-01T00:00:00Z", "2026-11-27T08:00:00", "9" * 3_000, "\x00"]
)
def test_a_time_that_is_none_is_now(client: Client, ada: Person, alice: Caller, since: str, surface: Surfaces) -> None:
    surface("lane").ok(alice, "whoami")
    assert look(client, ada, since, "python")["connected"] is False


def test_without_javascript_the_page_looks_again_by_itself(
    client: Client, ada: Person, alice: Caller, surface: Surfaces
) -> None:
    page = client.get(f"{ada.home}connect", {"client": "python"}).content.decode()
    (again,) = re.findall(r'href="(\?client=python&amp;since=[^"]+)"', page)
    surface("lane").ok(alice, "whoami")
    assert "Python is connected" in text(client.get(f"{ada.home}connect{unescape(again)}"))
    assert "Python is connected" not in text(client.get(f"{ada.home}connect?{urlencode({'client': 'python'})}"))


# --- who may ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("role", "may"), [("owner", True), ("admin", True), ("member", True), ("viewer", False)])
def test_all_may_look_and_who_may_make_keys_makes_them(alice: Caller, role: str, may: bool) -> None:
    bob = make_person(alice.workspace, role)
    client = bob.client()
    page = client.get(f"{bob.home}connect")
    assert page.status_code == 200
    assert ("Make a key for this" in page.content.decode()) is may
    for given in ({"client": "cursor"}, {"client": "codex-cli", "names": "a"}):
        assert (client.post(f"{bob.home}connect", given).status_code == 200) is may
    assert (ApiKey.objects.filter(workspace=alice.workspace).count() == 3) is may


def test_strangers_and_those_who_left_find_nothing(client: Client, ada: Person) -> None:
    since = opened(client, ada)
    eve = make_person(name="Eve Stone").client()
    Member.objects.filter(pk=ada.member.pk).delete()
    for visitor in (eve, client):
        assert visitor.get(f"{ada.home}connect").status_code == 404
        assert visitor.post(f"{ada.home}connect", {"client": "cursor"}).status_code == 404
        assert visitor.get(f"{ada.home}connect/seen", {"since": since}).status_code == 404
    assert Client(HTTP_HOST="localhost").get(f"{ada.home}connect/seen").status_code == 302


def test_a_suspended_workspace_shows_no_page_and_makes_no_key(client: Client, ada: Person, alice: Caller) -> None:
    services.suspend(alice.workspace, "unpaid")
    assert client.get(f"{ada.home}connect").status_code == 403
    assert client.post(f"{ada.home}connect", {"client": "cursor"}).status_code == 403
    assert client.get(f"{ada.home}connect/seen").status_code == 403


def test_forms_of_other_sites_are_refused(ada: Person, alice: Caller) -> None:
    strict = Client(HTTP_HOST="localhost", enforce_csrf_checks=True)
    strict.force_login(ada.user, "django.contrib.auth.backends.ModelBackend")
    assert strict.post(f"{ada.home}connect", {"client": "cursor"}).status_code == 403
    assert ApiKey.objects.filter(workspace=alice.workspace).count() == 1


@pytest.mark.parametrize("method", ["put", "delete", "patch"])
def test_other_methods_are_refused(client: Client, ada: Person, method: str) -> None:
    assert getattr(client, method)(f"{ada.home}connect").status_code == 405
    assert client.post(f"{ada.home}connect/seen").status_code == 405
