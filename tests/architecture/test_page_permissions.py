"""Who reaches which page: this table is the whole policy, and every address inside a workspace is in it.

A new page is one row: its name, what one must be allowed to do, its methods, and what its address names besides.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from accounts import exports, principals, roles, services
from accounts.models import Export, Invite, Member, User, Workspace
from accounts.roles import Action
from bus.operations import OPERATIONS
from crosswire.lib import clock, keys
from tests.support.cast import make_workspace
from tests.support.people import Person, make_person

_TOKEN = re.compile(rb'name="csrfmiddlewaretoken" value="\w+"')

type Named = Callable[[Member], Mapping[str, Any]]


def nothing(member: Member) -> Mapping[str, Any]:
    return {}


def a_colleague(member: Member) -> Mapping[str, Any]:
    user = User.objects.create_user(f"{secrets.token_hex(8)}@example.com")
    return {"member": Member.objects.create(workspace=member.workspace, user=user, role="viewer").pk}


def an_invite(member: Member) -> Mapping[str, Any]:
    token = keys.generate()
    row = Invite.objects.create(
        workspace=member.workspace,
        email="guest@example.com",
        role="viewer",
        digest=keys.digest(token),
        expires_at=clock.now() + timedelta(days=1),
    )
    return {"invite": row.pk}


def a_key(member: Member) -> Mapping[str, Any]:
    """Return a key that the member has made."""
    row, _ = services.create_key(member.workspace, "laptop", created_by=member.user)
    return {"prefix": row.prefix}


def an_export(member: Member) -> Mapping[str, Any]:
    row = Export.objects.create(workspace=member.workspace)
    exports.make(row.pk)
    return {"export_id": row.pk}


def a_message(member: Member) -> Mapping[str, Any]:
    """Return a message of an agent in a channel of its own."""
    channel = f"c-{secrets.token_hex(8)}"
    agent = principals.authenticate(services.create_key(member.workspace, "agent")[1])
    sent = OPERATIONS["send_message"](agent, {"channel": channel, "sender": "agent", "content": "hello"})
    return {"name": channel, "number": sent["id"]}


def a_channel(member: Member) -> Mapping[str, Any]:
    return {"name": a_message(member)["name"]}


@dataclass(frozen=True)
class Page:
    """What an address asks of whoever opens it. `names` makes what it names besides the workspace, for a member;
    `on_post` is what a POST asks for, where that is more."""

    action: Action
    methods: str = "GET"
    names: Named = nothing
    while_suspended: bool = False
    on_post: Action | None = None

    def asked(self, method: str) -> Action:
        """Return what one must be allowed to do."""
        return (method == "POST" and self.on_post) or self.action


PAGES = {
    "overview": Page(Action.VIEW),
    "presence": Page(Action.VIEW),
    "instances": Page(Action.VIEW),
    "instance_free": Page(Action.MODERATE, "POST"),
    "channels": Page(Action.VIEW, "GET POST", on_post=Action.POST),
    "channel": Page(Action.VIEW, "GET POST", a_channel, on_post=Action.POST),
    "channel_moderate": Page(Action.MODERATE, "POST", a_channel),
    "channel_markdown": Page(Action.VIEW, names=a_channel),
    "channel_json": Page(Action.VIEW, names=a_channel),
    "message": Page(Action.VIEW, names=a_message),
    "message_text": Page(Action.VIEW, names=a_message),
    "search": Page(Action.VIEW),
    "data": Page(Action.VIEW),
    "data_item": Page(Action.VIEW),
    "data_download": Page(Action.VIEW),
    "data_delete": Page(Action.MODERATE, "GET POST"),
    "connect": Page(Action.VIEW, "GET POST", on_post=Action.MAKE_KEYS),
    "connect_seen": Page(Action.VIEW),
    "keys": Page(Action.VIEW, "GET POST", on_post=Action.MAKE_KEYS),
    "key": Page(Action.VIEW, names=a_key),
    "key_rename": Page(Action.MAKE_KEYS, "POST", a_key),
    "key_rotate": Page(Action.MAKE_KEYS, "POST", a_key),
    "key_revoke": Page(Action.MAKE_KEYS, "POST", a_key),
    "members": Page(Action.VIEW),
    "member": Page(Action.MANAGE_MEMBERS, names=a_colleague),
    "member_invite": Page(Action.MANAGE_MEMBERS, "POST"),
    "member_role": Page(Action.MANAGE_MEMBERS, "POST", names=a_colleague),
    "member_remove": Page(Action.MANAGE_MEMBERS, "POST", names=a_colleague),
    "invite_resend": Page(Action.MANAGE_MEMBERS, "POST", names=an_invite),
    "invite_revoke": Page(Action.MANAGE_MEMBERS, "POST", names=an_invite),
    "hand_over": Page(Action.HAND_OVER, "GET POST"),
    "leave": Page(Action.VIEW, "GET POST", while_suspended=True),
    "billing": Page(Action.VIEW, while_suspended=True),
    "billing_change": Page(Action.BILLING, "GET POST"),
    "billing_cancel": Page(Action.BILLING, "GET POST", while_suspended=True),
    "billing_resume": Page(Action.BILLING, "GET POST", while_suspended=True),
    "billing_portal": Page(Action.BILLING, "POST", while_suspended=True),
    "billing_return": Page(Action.BILLING, while_suspended=True),
    "audit": Page(Action.VIEW_AUDIT),
    "audit_download": Page(Action.VIEW_AUDIT),
    "workspace_settings": Page(Action.CHANGE_SETTINGS, "GET POST", while_suspended=True),
    "export_ask": Page(Action.EXPORT, "POST", while_suspended=True),
    "export_download": Page(Action.EXPORT, names=an_export, while_suspended=True),
    "workspace_delete": Page(Action.DELETE, "GET POST", while_suspended=True),
}

ONE_OFF = {("leave", "POST", "owner"): 403}
"""Where what a role may do cannot be done just now: the only owner cannot leave."""


@dataclass(frozen=True)
class Cast:
    """One person of each role, of no workspace yet but their own, and a stranger."""

    people: dict[str, Person]
    stranger: Person

    def enter(self, workspace: Workspace) -> dict[str, Member]:
        """Make each person but the stranger a member of a workspace."""
        return {
            role: Member.objects.create(workspace=workspace, user=person.user, role=role)
            for role, person in self.people.items()
        }


@pytest.fixture(scope="module")
def cast(database: None) -> Cast:
    return Cast({role: make_person(role=role, name=role) for role in Member.Role.values}, make_person(name="mallory"))


@pytest.fixture(scope="module")
def clients(cast: Cast) -> dict[str, Client]:
    return {role: person.client() for role, person in cast.people.items()} | {"stranger": cast.stranger.client()}


def patterns(resolver: URLResolver, before: str = "") -> Iterator[tuple[str, str]]:
    """Return route and name of every address."""
    for each in resolver.url_patterns:
        route = before + str(each.pattern)
        if isinstance(each, URLResolver):
            yield from patterns(each, route)
        elif isinstance(each, URLPattern):
            yield route, each.name or ""


def in_workspaces() -> list[str]:
    return [name for route, name in patterns(get_resolver()) if ":workspace>" in route]


def address(name: str, workspace: Workspace | str, named: Mapping[str, Any]) -> str:
    slug = workspace if isinstance(workspace, str) else workspace.slug
    return reverse(name, kwargs={"workspace": slug, **named})


def answer(client: Client, method: str, path: str) -> HttpResponse:
    found = client.generic(method, path, content_type="application/x-www-form-urlencoded")
    assert found.status_code < 500
    return found  # type: ignore[return-value] # the client's response is one with more to it


def is_sign_in(found: HttpResponse) -> bool:
    return found.status_code == 302 and found["location"].startswith(reverse(settings.LOGIN_URL))


def test_every_address_in_a_workspace_has_its_row_and_no_other_has() -> None:
    assert sorted(in_workspaces()) == sorted(PAGES)


each_page = pytest.mark.parametrize("name", PAGES)
each_method = pytest.mark.parametrize("method", ["GET", "POST"])


@each_page
@each_method
def test_each_role_reaches_what_it_may_and_nothing_else(
    clients: dict[str, Client], cast: Cast, name: str, method: str
) -> None:
    page = PAGES[name]
    met, expected = {}, {}
    members = cast.enter(make_workspace().workspace)
    for role in cast.people:
        if method == "POST" and roles.may(role, page.asked(method)):  # which may leave another workspace behind
            members = cast.enter(make_workspace().workspace)
        found = answer(clients[role], method, address(name, members[role].workspace, page.names(members[role])))
        met[role] = found.status_code
        if method not in page.methods.split():
            expected[role] = 405
        elif not roles.may(role, page.asked(method)):
            expected[role] = 403
        elif (name, method, role) in ONE_OFF:
            expected[role] = ONE_OFF[name, method, role]
        else:
            assert met[role] not in {401, 403, 404, 405}, f"{role} may, and got {met[role]}"
            assert not is_sign_in(found)
            expected[role] = met[role]
    assert met == expected


@each_page
@each_method
def test_strangers_see_no_difference_to_a_workspace_that_is_not_there(
    clients: dict[str, Client], cast: Cast, name: str, method: str
) -> None:
    page, workspace = PAGES[name], make_workspace().workspace
    named = page.names(cast.enter(workspace)["owner"])
    there = answer(clients["stranger"], method, address(name, workspace, named))
    nowhere = answer(clients["stranger"], method, address(name, "0123456789abcdef", named))
    assert there.status_code == nowhere.status_code == (404 if method in page.methods.split() else 405)
    assert _TOKEN.sub(b"", there.content) == _TOKEN.sub(b"", nowhere.content)


@each_page
@each_method
def test_who_is_not_signed_in_is_asked_to(cast: Cast, name: str, method: str) -> None:
    page, workspace = PAGES[name], make_workspace().workspace
    named = page.names(cast.enter(workspace)["owner"])
    found = answer(Client(HTTP_HOST="localhost"), method, address(name, workspace, named))
    assert is_sign_in(found) if method in page.methods.split() else found.status_code == 405


@each_page
@each_method
def test_a_suspended_workspace_is_shut_to_everybody(
    clients: dict[str, Client], cast: Cast, name: str, method: str
) -> None:
    page, workspace = PAGES[name], make_workspace().workspace
    people = cast.enter(workspace)
    named = page.names(people["owner"])
    services.suspend(workspace, "unpaid")
    for role in people:
        found = answer(clients[role], method, address(name, workspace, named))
        if method not in page.methods.split():
            assert found.status_code == 405
        elif page.while_suspended and roles.may(role, page.asked(method)):
            refused = {401, 403, 404, 405} - {ONE_OFF.get((name, method, role))}
            assert found.status_code not in refused
        else:
            assert found.status_code == 403


@pytest.mark.parametrize("name", [name for name, page in PAGES.items() if "POST" in page.methods])
def test_another_sites_form_changes_nothing(cast: Cast, name: str) -> None:
    workspace = make_workspace().workspace
    named = PAGES[name].names(cast.enter(workspace)["owner"])
    client = Client(HTTP_HOST="localhost", enforce_csrf_checks=True)
    client.force_login(cast.people["owner"].user, "django.contrib.auth.backends.ModelBackend")
    assert client.post(address(name, workspace, named)).status_code == 403


@pytest.mark.parametrize("name", [name for name, page in PAGES.items() if "GET" in page.methods])
def test_nothing_of_a_workspace_may_be_kept_by_a_cache(clients: dict[str, Client], cast: Cast, name: str) -> None:
    workspace = make_workspace().workspace
    found = answer(clients["owner"], "GET", address(name, workspace, PAGES[name].names(cast.enter(workspace)["owner"])))
    assert "no-store" in found["cache-control"]


def test_who_was_removed_meanwhile_is_a_stranger(clients: dict[str, Client], cast: Cast) -> None:
    people = cast.enter(make_workspace().workspace)
    people["admin"].delete()
    for name, page in PAGES.items():
        path = address(name, people["owner"].workspace, page.names(people["owner"]))
        for method in page.methods.split():
            assert answer(clients["admin"], method, path).status_code == 404, name


@pytest.mark.parametrize("name", [name for name, page in PAGES.items() if page.names is not nothing])
def test_what_is_another_workspaces_looks_absent(clients: dict[str, Client], cast: Cast, name: str) -> None:
    page, workspace = PAGES[name], make_workspace().workspace
    cast.enter(workspace)
    theirs = page.names(cast.enter(make_workspace().workspace)["owner"])
    for method in page.methods.split():
        assert answer(clients["owner"], method, address(name, workspace, theirs)).status_code == 404


def test_a_role_that_widens_is_seen_by_this_test(
    clients: dict[str, Client], cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    wider = roles.POLICY | {Member.Role.VIEWER: roles.POLICY[Member.Role.VIEWER] | {Action.VIEW_AUDIT}}
    workspace = make_workspace().workspace
    cast.enter(workspace)
    assert answer(clients["viewer"], "GET", address("audit", workspace, {})).status_code == 403
    monkeypatch.setattr(roles, "POLICY", wider)
    assert answer(clients["viewer"], "GET", address("audit", workspace, {})).status_code == 200
