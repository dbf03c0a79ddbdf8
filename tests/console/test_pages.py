"""Who reaches which page of the console, and what a page costs."""

from __future__ import annotations

import secrets

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts import audit, operators, services
from accounts.models import AuditEvent, Member, UsageDay, User
from bus.models import Channel
from crosswire.console import overview
from crosswire.lib import clock
from tests.console.places import DEEDS, ELSEWHERE, LISTS, READ, addresses, names
from tests.support.operators import make_operator
from tests.support.people import Person, make_person

# --- who reaches what -------------------------------------------------------------------------------------------


def test_every_address_is_in_the_tables_and_no_other_is() -> None:
    assert {name for name, _ in names()} == ELSEWHERE | READ | set(DEEDS)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nobody_but_operators_with_a_second_factor_reaches_anything(ada: Person, method: str) -> None:
    everybody = {
        "a stranger": Client(HTTP_HOST="localhost"),
        "a member": ada.client(),
        "a password alone": make_operator("Paul", has_second_factor=False).client(),
    }
    before = AuditEvent.objects.filter(workspace=ada.workspace).count()
    for name, path in addresses(ada).items():
        if name in ELSEWHERE:
            continue
        for who, client in everybody.items():
            found = client.generic(method, path)
            assert found.status_code == 302, (who, name)
            assert found["Location"].startswith("/admin/login/?next="), (who, name)
    assert AuditEvent.objects.filter(workspace=ada.workspace).count() == before


@pytest.mark.parametrize("rights", [[], ["workspaces"], ["people"], ["people", "workspaces"]], ids=str)
def test_an_operator_looks_at_everything_and_does_what_their_rights_allow(ada: Person, rights: list[str]) -> None:
    paul = make_operator("Paul", rights=rights).client()
    met = {name: paul.get(path).status_code for name, path in addresses(ada).items() if name not in ELSEWHERE}
    refused = {name for name, status in met.items() if status == 403}
    assert refused == {name for name, right in DEEDS.items() if right not in rights}
    assert {met[name] for name in READ} == {200}
    sent = {name: paul.post(addresses(ada)[name]).status_code for name in refused}
    assert set(sent.values()) <= {403}


def test_a_page_offers_only_what_may_be_done(ada: Person) -> None:
    path = reverse("admin:accounts_workspace_change", args=[ada.workspace.pk])
    assert "Suspend…" not in make_operator("Paul", rights=["people"]).client().get(path).content.decode()
    assert "Suspend…" in make_operator("Pia", rights=["workspaces"]).client().get(path).content.decode()


def test_pages_are_only_looked_at(console: Client, ada: Person) -> None:
    for name in READ - {"index"}:
        path = addresses(ada)[name]
        assert console.post(path, {"name": "x", "action": "delete_selected"}).status_code in {200, 405}, name
    ada.workspace.refresh_from_db()
    assert ada.workspace.name != "x"


def test_another_sites_form_does_nothing(olga: Person, ada: Person) -> None:
    client = Client(HTTP_HOST="localhost", enforce_csrf_checks=True)
    client.force_login(olga.user, "django.contrib.auth.backends.ModelBackend")
    for name in DEEDS:
        assert client.post(addresses(ada)[name], {"reason": "x"}).status_code == 403, name


def test_nothing_may_be_kept_by_a_cache(console: Client, ada: Person) -> None:
    for name in READ | set(DEEDS):
        assert "no-store" in console.get(addresses(ada)[name])["cache-control"], name


def test_what_is_not_there_is_told_so(console: Client) -> None:
    for path in (
        "/admin/accounts/workspace/99999999/",
        "/admin/accounts/workspace/99999999/suspend/",
        "/admin/accounts/user/99999999/",
        "/admin/accounts/workspace/add/",
        "/admin/accounts/workspace/1/delete/",
        "/admin/accounts/workspace/1/history/",
        "/admin/accounts/user/1/password/",
        "/admin/bus/message/",
        "/admin/mfa/authenticator/",
        "/admin/auth/group/",
        "/admin/autocomplete/",
        "/admin/r/1/1/",
        "/admin/jsi18n/",
    ):
        assert console.get(path).status_code == 404, path


def test_no_other_table_is_shown_whoever_registers_it() -> None:
    assert {model._meta.label for model in admin.site._registry} == {
        "accounts.Workspace",
        "accounts.User",
        "accounts.AuditEvent",
        "accounts.PruneRun",
        "billing.Subscription",
        "billing.StripeEvent",
        "billing.Reconciliation",
    }


@pytest.mark.parametrize(
    "query",
    ["password__startswith=a", "keys__digest__startswith=a", "_to_field=password", "keys__isnull=0", "email=x"],
)
@pytest.mark.parametrize("which", ["workspace", "user"])
def test_an_address_asks_for_no_field_of_a_table(console: Client, which: str, query: str) -> None:
    assert console.get(f"/admin/accounts/{which}/?{query}").status_code == 400


@pytest.mark.parametrize(
    "query", ["o=x", "o=99", "p=x", "p=99", "all=", "q=%00", "plan=no", "state=no", "e=1", "_popup=1"]
)
@pytest.mark.parametrize("which", LISTS)
def test_an_odd_address_is_no_fault_of_ours(console: Client, which: str, query: str) -> None:
    path = reverse(f"admin:{which}_changelist")
    assert console.get(f"{path}?{query}", follow=True).status_code in {200, 400}


# --- what it costs ----------------------------------------------------------------------------------------------


def crowd(person: Person, count: int) -> None:
    """Have many of everything around a person and their workspace."""
    day = clock.now()
    people = User.objects.bulk_create(
        User(email=f"{secrets.token_hex(6)}@example.com", is_staff=index % 2 == 0) for index in range(count)
    )
    Member.objects.bulk_create(Member(workspace=person.workspace, user=each) for each in people)
    for _ in range(count):
        other = services.create_workspace(f"crowd {secrets.token_hex(3)}")
        Member.objects.create(workspace=other, user=person.user)
        services.create_key(person.workspace, "key", created_by=person.user)
        Channel.objects.create(workspace=person.workspace, name=secrets.token_hex(6))
        UsageDay.objects.create(workspace=other, day=day, instance="ann", messages=1)
        audit.record(None, audit.operator(person.user), "account.reactivated", person.user.email)
        audit.record(person.workspace.pk, audit.operator(person.user), "workspace.resumed", "x")


def test_no_page_asks_more_the_more_there_is(console: Client, ada: Person) -> None:
    def asked() -> dict[str, int]:
        found = {}
        for name, path in addresses(ada).items():
            if name in ELSEWHERE:
                continue
            overview.forget()
            console.get(path)
            overview.forget()
            with CaptureQueriesContext(connection) as ran:
                console.get(path)
            found[name] = len(ran)
        return found

    crowd(ada, 2)
    few = asked()
    crowd(ada, 30)
    assert asked() == few
    assert max(few.values()) <= 25, few


def test_rights_that_are_asked_for_exist() -> None:
    for right in operators.RIGHTS:
        assert operators.may(make_operator("Paul", rights=[right]).user, right)
        assert not operators.may(make_person().user, right)
