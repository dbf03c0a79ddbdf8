"""The pages of keys: who sees them, who may do what, and that a key is shown once."""

from __future__ import annotations

import re
import time
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts import services
from accounts.models import ApiKey, AuditEvent, Member, Workspace
from crosswire.lib import keys
from tests.accounts.stored_keys import code_of, key_row
from tests.bus.waiters import SOON, WAIT, begin
from tests.support.cast import Caller
from tests.support.people import Person, make_person
from tests.support.surfaces import Refusal, Surface

KEY = re.compile(r"cw_[a-z2-7]{32}")
HOSTILE = "<script>alert(1)</script>\"'&"


@pytest.fixture
def ada(alice: Caller) -> Person:
    """The owner of Alice's workspace."""
    return make_person(alice.workspace)


@pytest.fixture
def client(ada: Person) -> Client:
    """Ada's browser."""
    return ada.client()


def shown_keys(answer: Any) -> set[str]:
    return set(KEY.findall(answer.content.decode()))


def make(client: Client, home: str, **given: Any) -> str:
    """Make a key by the form; return its text."""
    answer = client.post(f"{home}keys", {"name": "ci", **given})
    (text,) = shown_keys(answer)
    return text


def at(home: str, key: str, deed: str = "") -> str:
    return f"{home}keys/{keys.display_prefix(key)}{deed and '/'}{deed}"


# --- the list ---------------------------------------------------------------------------------------------------


def test_a_key_is_shown_in_the_answer_that_makes_it_and_never_again(client: Client, ada: Person) -> None:
    text = make(client, ada.home, instance_id="robot", is_read_only="on")
    row = key_row(text)
    assert (row.name, row.instance_id, row.is_read_only, row.created_by) == ("ci", "robot", True, ada.user)
    assert AuditEvent.objects.get(workspace=ada.workspace, target="ci").actor == ada.user.email
    for path in (f"{ada.home}keys", at(ada.home, text)):
        answer = client.get(path)
        assert answer.status_code == 200
        assert shown_keys(answer) == set()
        assert row.prefix in answer.content.decode()
        assert "no-store" in answer["Cache-Control"]


def test_the_list_says_what_is_known_of_each_key(client: Client, ada: Person, alice: Caller) -> None:
    ApiKey.objects.filter(pk=key_row(alice.key).pk).update(
        name=HOSTILE,
        last_used_at="2026-11-20T10:00:00Z",
        last_used_client=HOSTILE,
        last_used_protocol="MCP 2026-07-28",
        last_used_instance=HOSTILE,
    )
    text = client.get(f"{ada.home}keys").content.decode()
    assert "<script>alert" not in text
    assert unescape(text).count(HOSTILE) == 3
    assert "MCP 2026-07-28" in text
    assert "1 of 100 live keys" in text


def test_it_costs_few_statements_however_many_keys_there_are(client: Client, ada: Person) -> None:
    for number in range(40):
        key, _ = services.create_key(ada.workspace, f"n{number}", created_by=ada.user)
        if number % 2:
            services.revoke_key(key)
    with CaptureQueriesContext(connection) as ran:
        answer = client.get(f"{ada.home}keys")
    assert len(ran) < 20, [each["sql"] for each in ran]
    assert len(answer.content) < 100_000


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"name": ""}, "required"),
        ({"name": "x" * 81}, "at most 80"),
        ({"name": "two\nlines"}, "control characters"),
        ({"name": "a\x00"}, "Null characters"),
        ({"instance_id": "human"}, "reserved name"),
        ({"instance_id": "human:Ada"}, "reserved name"),
        ({"instance_id": "taken"}, "already has a key of its own"),
        ({"instance_id": "x" * 81}, "at most 80"),
        ({"instance_id": "a\u202eb"}, "control characters"),
    ],
)
def test_what_no_key_can_be_is_said_at_the_form(client: Client, ada: Person, given: dict[str, str], told: str) -> None:
    services.create_key(ada.workspace, "n", instance_id="taken")
    before = ApiKey.objects.filter(workspace=ada.workspace).count()
    answer = client.post(f"{ada.home}keys", {"name": "ci", **given})
    assert answer.status_code == 200
    assert told in unescape(answer.content.decode())
    assert ApiKey.objects.filter(workspace=ada.workspace).count() == before


def test_the_limit_is_said_at_the_form(client: Client, ada: Person) -> None:
    Workspace.objects.filter(pk=ada.workspace.pk).update(overrides={"live_keys": 1})
    answer = client.post(f"{ada.home}keys", {"name": "ci"})
    assert "has 1 live keys and 1 exist. Revoke one first." in answer.content.decode()
    assert shown_keys(answer) == set()


# --- one key ----------------------------------------------------------------------------------------------------


def test_a_key_is_renamed_rotated_and_revoked(client: Client, ada: Person) -> None:
    old = make(client, ada.home)
    assert client.post(at(ada.home, old, "rename"), {"name": HOSTILE}).status_code == 302
    assert key_row(old).name == HOSTILE
    answer = client.post(at(ada.home, old, "rotate"), {"old": "later"})
    (new,) = shown_keys(answer)
    assert code_of(old) == code_of(new) == ""
    assert key_row(old).expires_at is not None
    assert "<script>alert" not in answer.content.decode()
    assert "rotated already" in client.get(at(ada.home, old)).content.decode()
    answer = client.post(at(ada.home, new, "rotate"), {"old": "now"})
    (newest,) = shown_keys(answer)
    assert (code_of(new), code_of(newest)) == ("unauthorized", "")
    answer = client.post(at(ada.home, newest, "revoke"), follow=True)
    assert code_of(newest) == "unauthorized"
    assert "<script>alert" not in answer.content.decode()
    assert 'action="' not in client.get(at(ada.home, newest)).content.decode().partition("<main")[2]
    events = AuditEvent.objects.filter(workspace=ada.workspace, actor=ada.user.email).order_by("pk")
    told = [each.action for each in events]
    assert told == ["key.created", "key.renamed", "key.rotated", "key.rotated", "key.revoked", "key.revoked"]


def test_a_name_that_is_none_is_said_at_the_form(client: Client, ada: Person, alice: Caller) -> None:
    answer = client.post(at(ada.home, alice.key, "rename"), {"name": ""})
    assert "required" in answer.content.decode()
    assert client.post(at(ada.home, alice.key, "rename"), {"name": "a\u2028b"}).status_code == 400
    assert key_row(alice.key).name == "first key"


@pytest.mark.parametrize("prefix", ["cw_aaaaaaaa", "x", "%00", "cw_", "a" * 500, "..%2f.."])
def test_an_unknown_key_is_absent(client: Client, ada: Person, prefix: str) -> None:
    assert client.get(f"{ada.home}keys/{prefix}").status_code == 404
    for deed in ("rename", "rotate", "revoke"):
        assert client.post(f"{ada.home}keys/{prefix}/{deed}", {"name": "n"}).status_code == 404


def test_a_key_of_another_workspace_is_absent(client: Client, ada: Person, mallory: Caller) -> None:
    for deed in ("rename", "rotate", "revoke"):
        assert client.post(at(ada.home, mallory.key, deed), {"name": "n"}).status_code == 404
    assert client.get(at(ada.home, mallory.key)).status_code == 404
    assert code_of(mallory.key) == ""


# --- who may ----------------------------------------------------------------------------------------------------

MAY = {
    "owner": {"see", "make", "own", "others"},
    "admin": {"see", "make", "own", "others"},
    "member": {"see", "make", "own"},
    "viewer": {"see"},
}


@pytest.mark.parametrize("role", MAY)
@pytest.mark.parametrize("deed", ["rename", "rotate", "revoke"])
def test_each_role_does_what_the_policy_says(alice: Caller, ada: Person, role: str, deed: str) -> None:
    bob = make_person(alice.workspace, role, "Bob Ray")
    client = bob.client()
    assert (client.get(f"{bob.home}keys").status_code == 200) is ("see" in MAY[role])
    made = client.post(f"{bob.home}keys", {"name": "n"})
    assert (made.status_code == 200) is ("make" in MAY[role])
    assert ("Make the key" in client.get(f"{bob.home}keys").content.decode()) is ("make" in MAY[role])
    whose = {"own": services.create_key(alice.workspace, "n", created_by=bob.user)[1]}
    whose["others"] = services.create_key(alice.workspace, "n", created_by=ada.user)[1]
    for kind, text in whose.items():
        shown = client.get(at(bob.home, text)).content.decode()
        assert ("Yes, revoke it" in shown) is (kind in MAY[role])
        answer = client.post(at(bob.home, text, deed), {"name": "other"})
        assert (answer.status_code in (200, 302)) is (kind in MAY[role]), kind
        if kind not in MAY[role]:
            assert answer.status_code == 403
            assert (code_of(text), key_row(text).name, key_row(text).expires_at) == ("", "n", None)


def test_a_key_that_nobody_made_is_not_everybodys(alice: Caller) -> None:
    bob = make_person(alice.workspace, "member")
    assert bob.client().post(at(bob.home, alice.key, "revoke")).status_code == 403


def test_strangers_and_those_who_left_find_nothing(client: Client, ada: Person, alice: Caller) -> None:
    eve = make_person(name="Eve Stone").client()
    Member.objects.filter(pk=ada.member.pk).delete()
    for visitor in (eve, client):
        for path in (f"{ada.home}keys", at(ada.home, alice.key)):
            assert visitor.get(path).status_code == 404
        assert visitor.post(f"{ada.home}keys", {"name": "n"}).status_code == 404
        assert visitor.post(at(ada.home, alice.key, "revoke")).status_code == 404
    nobody = Client(HTTP_HOST="localhost")
    assert nobody.get(f"{ada.home}keys").status_code == 302
    assert code_of(alice.key) == ""


def test_a_suspended_workspace_makes_no_keys(client: Client, ada: Person, alice: Caller) -> None:
    services.suspend(alice.workspace, "unpaid")
    for path in (f"{ada.home}keys", at(ada.home, alice.key, "rotate"), at(ada.home, alice.key, "revoke")):
        assert client.post(path, {"name": "n"}).status_code == 403
    assert ApiKey.objects.filter(workspace=alice.workspace).count() == 1


def test_forms_of_other_sites_are_refused(ada: Person, alice: Caller) -> None:
    strict = Client(HTTP_HOST="localhost", enforce_csrf_checks=True)
    strict.force_login(ada.user, "django.contrib.auth.backends.ModelBackend")
    for path in (f"{ada.home}keys", at(ada.home, alice.key, "revoke"), at(ada.home, alice.key, "rotate")):
        assert strict.post(path, {"name": "n"}).status_code == 403
    assert code_of(alice.key) == ""


@pytest.mark.parametrize("deed", ["rename", "rotate", "revoke"])
def test_looking_at_a_deed_does_nothing(client: Client, ada: Person, alice: Caller, deed: str) -> None:
    assert client.get(at(ada.home, alice.key, deed)).status_code == 405
    assert code_of(alice.key) == ""


@pytest.mark.parametrize("call", ["mcp-2026-07-28", "lane"], indirect=True)
def test_what_waits_under_a_key_ends_within_a_second_of_its_being_revoked(
    call: Surface, client: Client, ada: Person, alice: Caller
) -> None:
    mine = alice.with_key("robot")
    operation, given = (WAIT, {}) if call.is_mcp else ("inbox", {"wait": 40})
    waited = begin(call, mine, operation, instance_id="robot", **given)
    began = time.monotonic()
    assert client.post(at(ada.home, mine.key, "revoke")).status_code == 302
    answer = waited.result(SOON)
    assert isinstance(answer, Refusal)
    assert answer.code == "unauthorized"
    assert time.monotonic() - began < SOON


# --- once -------------------------------------------------------------------------------------------------------

ONCE = re.compile(r'name="once" value="([^"]+)"')


def once_of(client: Client, path: str) -> str:
    token: str = ONCE.findall(client.get(path).content.decode())[0]
    return token


def test_a_form_that_is_sent_again_makes_no_second_key(client: Client, ada: Person, alice: Caller) -> None:
    page, connect = f"{ada.home}keys", f"{ada.home}connect"
    rotating = at(ada.home, alice.key)
    sent = [
        (page, {"name": "ci", "once": once_of(client, page)}),
        (connect, {"client": "cursor", "once": once_of(client, connect)}),
        (connect, {"client": "claude-code", "names": "a, b", "once": once_of(client, connect)}),
        (f"{rotating}/rotate", {"old": "later", "once": once_of(client, rotating)}),
    ]
    for path, form in sent:
        assert shown_keys(client.post(path, form))
        count = ApiKey.objects.filter(workspace=alice.workspace).count()
        again = client.post(path, form, follow=True)
        assert again.redirect_chain == [(page, 302)]
        assert "This form was sent already" in again.content.decode()
        assert not shown_keys(again)
        assert ApiKey.objects.filter(workspace=alice.workspace).count() == count


def test_a_form_that_was_refused_may_be_sent_again(client: Client, ada: Person) -> None:
    page = f"{ada.home}keys"
    form = {"name": "ci", "instance_id": "human:x", "once": once_of(client, page)}
    assert not shown_keys(client.post(page, form))
    assert shown_keys(client.post(page, form | {"instance_id": "robot"}))


def test_revoking_a_new_key_tells_of_the_old_one_that_works_on(client: Client, ada: Person, alice: Caller) -> None:
    (new,) = shown_keys(client.post(at(ada.home, alice.key, "rotate"), {"old": "later"}))
    page = client.post(at(ada.home, new, "revoke"), follow=True).content.decode()
    assert f"<code>{keys.display_prefix(alice.key)}…</code>, still works until" in page
    assert f'href="{at(ada.home, alice.key)}#revoke-title">Revoke that too' in page
    client.post(at(ada.home, alice.key, "revoke"))
    assert "still works" not in client.get(at(ada.home, new)).content.decode()


# --- refusals ---------------------------------------------------------------------------------------------------


def test_the_address_of_a_form_opened_by_itself_says_so(client: Client, ada: Person, alice: Caller) -> None:
    for path in (at(ada.home, alice.key, "rotate"), f"{ada.home}members/invite", f"{ada.home}settings/exports"):
        answer = client.get(path)
        assert (answer.status_code, answer["Allow"]) == (405, "POST")
        assert "This address takes a form" in answer.content.decode()


def test_a_missing_key_is_told_as_such_to_who_only_looks(client: Client, ada: Person) -> None:
    assert "There is nothing here" in client.get(f"{ada.home}keys/cw_aaaaaaaa").content.decode()
    assert "That was not done" in client.post(f"{ada.home}keys/cw_aaaaaaaa/revoke").content.decode()
