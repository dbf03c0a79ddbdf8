"""What stands on the pages of the console, and what never does."""

from __future__ import annotations

import re
import secrets
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts import audit, exports, plan_changes, services
from accounts.models import ApiKey, Invite, User, Workspace
from bus.operations import OPERATIONS
from crosswire.console import overview
from crosswire.lib import clock, keys
from tests.console.places import addresses
from tests.support import hostile
from tests.support.cast import Caller, make_workspace
from tests.support.messages import principal_of
from tests.support.operators import make_operator
from tests.support.people import Person, make_person, owner_of


def test_no_page_shows_what_people_and_agents_wrote_nor_any_secret(console: Client, alice: Caller) -> None:
    marker = f"marker{secrets.token_hex(6)}"
    ada = owner_of(alice)
    agent = principal_of(alice)
    OPERATIONS["register"](agent, {"instance_id": "ann", "description": f"{marker} instance"})
    OPERATIONS["create_channel"](agent, {"name": "room", "description": f"{marker} channel"})
    OPERATIONS["send_message"](agent, {"channel": "room", "sender": "ann", "content": f"{marker} message"})
    OPERATIONS["share_data"](agent, {"key": "k", "content": f"{marker} data", "sender": "ann", "description": marker})
    person = principal_of(alice)
    audit.record(alice.workspace.pk, ada.user.email, "channel.described", "room", before=f"{marker} before")
    Invite.objects.create(
        workspace=alice.workspace, email="guest@example.com", digest=keys.digest(marker), expires_at=clock.now()
    )
    exports.make(exports.ask(alice.workspace, user=ada.user, is_queued=False).pk)
    assert person.workspace_id == alice.workspace.pk
    secret = [marker, alice.key[keys.DISPLAY_LENGTH :], keys.digest(alice.key), keys.digest(marker), ada.user.password]
    secret.append(alice.workspace.exports.get().path)
    for name, path in addresses(ada).items():
        answers = [console.get(path, follow=True)]
        if name.endswith("changelist"):
            answers += [console.get(path, {"q": alice.workspace.name}), console.get(path, {"q": ada.user.email})]
        for found in answers:
            text = found.content.decode()
            assert [each for each in secret if each in text] == [], name


def test_names_that_would_do_something_are_text(console: Client) -> None:
    for text in hostile.HOSTILE:
        ada = make_person()
        Workspace.objects.filter(pk=ada.workspace.pk).update(name=text, suspended_reason=text)
        User.objects.filter(pk=ada.user.pk).update(name=text)
        ApiKey.objects.filter(workspace=ada.workspace).update(
            name=text, last_used_client=text, last_used_at=clock.now()
        )
        audit.record(ada.workspace.pk, text, "key.revoked", text, prefix=text)
        audit.record(None, text, "account.deactivated", ada.user.email, reason=text)
        for path in addresses(ada).values():
            hostile.assert_inert(console.get(path, follow=True).content.decode())


def test_a_workspaces_page_tells_what_it_may_use_and_who_is_in_it(console: Client, alice: Caller) -> None:
    ada = owner_of(alice)
    plan_changes.set_overrides(alice.workspace, {"messages": 123_456, "waits": None})
    plan_changes.set_plan(alice.workspace, "starter")
    OPERATIONS["send_message"](principal_of(alice), {"sender": "ann", "content": "x"})
    text = hostile.Looked(console.get(f"/admin/accounts/workspace/{alice.workspace.pk}/").content.decode()).text
    text = re.sub(r"\s+", " ", text)
    assert "Messages a month 1 123,456 own 1,000" in text
    assert "Waits at a time 0 no bound own 100" in text
    assert "History is kept for 90 days until" in text
    assert ada.user.email in text
    assert f"{alice.key[: keys.DISPLAY_LENGTH]}…" in text


def test_a_persons_page_tells_where_they_are_and_how_they_sign_in(console: Client, olga: Person, ada: Person) -> None:
    text = console.get(f"/admin/accounts/user/{olga.user.pk}/").content.decode()
    assert "superuser: may do everything here" in text
    assert "TOTP" in text
    text = console.get(f"/admin/accounts/user/{ada.user.pk}/").content.decode()
    assert ada.workspace.name in text


@pytest.mark.parametrize(
    ("which", "wanted"),
    [("name", "name"), ("slug", "slug"), ("a member's address", "email"), ("the beginning of a key", "key")],
)
def test_a_workspace_is_found_by(console: Client, alice: Caller, which: str, wanted: str) -> None:
    ada, other = owner_of(alice), make_workspace(name="other")
    asked = {
        "name": alice.workspace.name[2:],
        "slug": alice.workspace.slug,
        "email": ada.user.email.upper(),
        "key": alice.key[: keys.DISPLAY_LENGTH],
    }[wanted]
    text = console.get("/admin/accounts/workspace/", {"q": f" {asked} "}).content.decode()
    assert alice.workspace.slug in text, which
    assert other.workspace.slug not in text


def test_workspaces_are_narrowed_by_plan_and_state(console: Client) -> None:
    tag = secrets.token_hex(5)
    free, gone, own = (make_workspace(plan, f"x{tag}").workspace for plan in ("free", "free", "pro"))
    services.suspend(gone, "unpaid")
    plan_changes.set_overrides(own, {"messages": 1})

    def found(**asked: str) -> set[int]:
        text = console.get("/admin/accounts/workspace/", {"q": tag, **asked}).content.decode()
        return {each.pk for each in (free, gone, own) if each.slug in text}

    assert found() == {free.pk, gone.pk, own.pk}
    assert found(plan="free") == {free.pk, gone.pk}
    assert found(state="suspended") == {gone.pk}
    assert found(state="active") == {free.pk, own.pk}
    assert found(state="overridden") == {own.pk}
    assert found(state="closing") == set()
    for column in range(-8, 9):
        assert found(o=str(column)) == {free.pk, gone.pk, own.pk}


def test_people_are_found_and_narrowed(console: Client) -> None:
    tag = secrets.token_hex(5)
    plain, out = make_person(name=f"x{tag} Plain"), make_person(name=f"x{tag} Out")
    paul = make_operator(f"x{tag}")
    User.objects.filter(pk=out.user.pk).update(is_active=False)

    def found(**asked: str) -> set[str]:
        text = console.get("/admin/accounts/user/", {"q": tag, **asked}).content.decode()
        return {name for name, each in {"plain": plain, "out": out, "paul": paul}.items() if each.user.email in text}

    assert found() == {"plain", "out", "paul"}
    assert found(standing="operators") == {"paul"}
    assert found(standing="deactivated") == {"out"}
    assert found(second_factor="yes") == {"paul"}
    assert found(second_factor="no") == {"plain", "out"}


def test_the_audit_log_of_all_is_narrowed_to_operators_and_to_a_workspace(console: Client, olga: Person) -> None:
    alice, bob = make_workspace().workspace, make_workspace().workspace
    services.suspend(alice, f"said {alice.slug}", actor=audit.operator(olga.user))
    audit.record(alice.pk, "ada@example.com", "workspace.changed", f"renamed {alice.slug}")
    text = console.get("/admin/accounts/auditevent/", {"who": "operators", "q": olga.user.email}).content.decode()
    assert f"said {alice.slug}" in text
    assert f"operator {olga.user.email}" in text
    text = console.get("/admin/accounts/auditevent/", {"workspace": bob.slug}).content.decode()
    assert f"said {alice.slug}" not in text
    assert bob.name in text


def test_the_overview_counts_each_day(console: Client, alice: Caller) -> None:
    def totals() -> dict[str, int]:
        overview.forget()
        console.get("/admin/")
        return {each.title: each.today for each in overview.counted()[1]}

    before = totals()
    make_person(alice.workspace, "member")
    OPERATIONS["send_message"](principal_of(make_workspace()), {"sender": "ann", "content": "x"})
    after = totals()
    grown = {title: after[title] - before[title] for title in after}
    assert grown == {"Messages": 1, "Active workspaces": 1, "Sign-ups": 1, "New workspaces": 1}


def test_the_overview_counts_at_most_every_minute(console: Client) -> None:
    overview.forget()
    console.get("/admin/")
    with CaptureQueriesContext(
        connection,
    ) as ran:
        console.get("/admin/")
    assert not [each for each in ran if "usageday" in each["sql"]]


def test_a_day_is_one_of_utc_whatever_zone_the_operator_lives_in(olga: Person) -> None:
    User.objects.filter(pk=olga.user.pk).update(time_zone="Pacific/Kiritimati")
    overview.forget()
    text = olga.client().get("/admin/").content.decode()
    User.objects.filter(pk=olga.user.pk).update(time_zone="UTC")
    day = clock.now().date()
    assert f'<time datetime="{day.isoformat()}">' in text
    assert f'<time datetime="{(day + timedelta(days=1)).isoformat()}">' not in text
