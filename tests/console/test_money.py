"""What operators see of payments and of the service's own rounds."""

from __future__ import annotations

import re
import secrets
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from accounts import pruned
from accounts.models import PruneRun, Workspace
from billing.models import Customer, Reconciliation, StripeEvent, Subscription
from crosswire.console import lights, money, overview
from crosswire.lib import clock as product_clock
from tests.conftest import Clock
from tests.support import hostile
from tests.support.cast import Caller, make_workspace

LISTS = ("accounts/prunerun", "billing/subscription", "billing/stripeevent", "billing/reconciliation")


def subscribe(workspace: Workspace, status: str = "active", **told: Any) -> Subscription:
    """Have Stripe have told of a subscription."""
    now = product_clock.now()
    customer, _ = Customer.objects.get_or_create(
        workspace=workspace,
        defaults={"workspace_slug": workspace.slug, "stripe_id": f"cus_{secrets.token_hex(6)}", "read_at": now},
    )
    told = {"plan": "pro", "interval": "month", "amount": 2_900, "current_period_end": now + timedelta(days=9)} | told
    name = f"sub_{secrets.token_hex(6)}"
    return Subscription.objects.create(customer=customer, stripe_id=name, status=status, created_at=now, **told)


def event(**told: Any) -> StripeEvent:
    """Store something that Stripe told."""
    told = {"type": "invoice.paid", "livemode": False, "created_at": product_clock.now()} | told
    return StripeEvent.objects.create(stripe_id=f"evt_{secrets.token_hex(6)}", **told)


def read(client: Client, path: str, **query: str) -> str:
    """Return the text of a page."""
    found = client.get(f"/admin/{path}", query)
    assert found.status_code == 200
    return re.sub(r"\s+", " ", hostile.Looked(found.content.decode()).text)


# --- workspaces -------------------------------------------------------------------------------------------------


def test_workspaces_are_narrowed_by_what_is_paid_for_them(console: Client) -> None:
    tag, soon = secrets.token_hex(5), product_clock.now() + timedelta(days=3)
    names = ("paid", "grace", "lapsed", "given", "free", "surplus")
    rows = {name: make_workspace("free" if name == "free" else "pro", f"{tag} {name}").workspace for name in names}
    subscribe(rows["paid"])
    subscribe(rows["grace"], "past_due", grace_until=soon)
    subscribe(rows["lapsed"], "past_due", grace_until=product_clock.now() - timedelta(days=1))
    subscribe(rows["surplus"], "active", is_surplus=True)

    def found(paying: str) -> set[str]:
        text = read(console, "accounts/workspace/", q=tag, paying=paying)
        return {name for name, row in rows.items() if row.slug in text}

    assert found("yes") == {"paid"}
    assert found("grace") == {"grace"}
    assert found("no") == {"lapsed", "given", "free", "surplus"}
    assert found("given") == {"lapsed", "given", "surplus"}
    text = read(console, "accounts/workspace/", q=tag)
    assert text.count("in grace") == 1
    assert text.count("not paid") == 1


def test_a_workspace_is_found_by_its_customer_at_stripe(console: Client, alice: Caller, mallory: Caller) -> None:
    theirs = subscribe(alice.workspace)
    subscribe(mallory.workspace)
    text = read(console, "accounts/workspace/", q=theirs.customer.stripe_id)
    assert alice.workspace.slug in text
    assert mallory.workspace.slug not in text


def test_a_workspaces_page_tells_how_its_payments_stand(console: Client, alice: Caller) -> None:
    path = f"accounts/workspace/{alice.workspace.pk}/"
    assert "nobody ever went to pay" in read(console, path)
    grace = product_clock.now() + timedelta(days=3)
    subscription = subscribe(alice.workspace, "past_due", grace_until=grace)
    text = read(console, path)
    assert subscription.customer.stripe_id in text
    assert "Pro, past_due, by the month" in text
    assert "Grace until" in text


def test_setting_the_plan_of_who_pays_says_that_billing_has_a_say(console: Client, alice: Caller) -> None:
    path = f"accounts/workspace/{alice.workspace.pk}/plan/"
    assert "billing puts the workspace" not in read(console, path)
    subscribe(alice.workspace)
    assert "Its subscription is for Pro" in read(console, path)


def test_what_age_took_is_told_in_numbers(console: Client, alice: Caller) -> None:
    pruned.note(alice.workspace.pk, "messages", 1_234)
    pruned.note(alice.workspace.pk, pruned.SHARED_DATA, 1, ["secret plans"])
    text = read(console, f"accounts/workspace/{alice.workspace.pk}/")
    assert "1,234 messages, 1 item of shared data" in text
    assert "secret plans" not in text


# --- lists ------------------------------------------------------------------------------------------------------


def test_subscriptions_are_narrowed_and_found(console: Client, alice: Caller) -> None:
    paid = subscribe(alice.workspace)
    over = subscribe(alice.workspace, "canceled")
    ending = subscribe(alice.workspace, cancel_at=product_clock.now() + timedelta(days=2), is_surplus=True)

    def found(**query: str) -> set[int]:
        text = read(console, "billing/subscription/", **query)
        return {each.pk for each in (paid, over, ending) if each.stripe_id in text}

    assert found(q=alice.workspace.slug) == {paid.pk, over.pk, ending.pk}
    assert found(q=paid.customer.stripe_id, state="over") == {over.pk}
    assert found(q=paid.stripe_id) == {paid.pk}
    assert found(q=alice.workspace.slug, state="ending") == {ending.pk}


def test_events_are_narrowed_and_their_bodies_never_shown(console: Client) -> None:
    payload, kind = f"marker{secrets.token_hex(6)}", f"k{secrets.token_hex(6)}.paid"
    done = event(type=kind, processed_at=product_clock.now(), payload=payload)
    failing = event(type=kind, problem="It broke", payload=payload)

    def found(**query: str) -> set[int]:
        text = read(console, "billing/stripeevent/", **query)
        assert payload not in text
        return {each.pk for each in (done, failing) if each.stripe_id in text}

    assert found(q=kind) == {done.pk, failing.pk}
    assert found(q=kind, state="failing") == {failing.pk}
    assert found(q=done.stripe_id) == {done.pk}


def test_comparisons_and_rounds_say_what_is_wrong(console: Client) -> None:
    tag = secrets.token_hex(5)
    Reconciliation.objects.create(problems=[f"{tag} {hostile.SCRIPT}"], looked_at=1_234)
    PruneRun.objects.create(failed={tag: hostile.SCRIPT}, counts={"messages": 1_234, "keys": 0})
    text = read(console, "billing/reconciliation/")
    assert f"{tag} {hostile.SCRIPT}" in text
    assert "1,234" in text
    text = read(console, "accounts/prunerun/")
    assert f"{tag}: {hostile.SCRIPT}" in text
    assert "1,234 messages" in text


def test_no_list_asks_more_the_more_there_is(console: Client) -> None:
    def asked() -> list[int]:
        counts = []
        console.get("/admin/")  # notes the session, now and then
        for path in (*LISTS, "accounts/workspace"):
            with CaptureQueriesContext(connection) as ran:
                console.get(f"/admin/{path}/")
            counts.append(len(ran))
        return counts

    def crowd(count: int) -> None:
        for _ in range(count):
            subscribe(make_workspace().workspace)
            event()
            Reconciliation.objects.create()
            PruneRun.objects.create()

    crowd(2)
    few = asked()
    crowd(20)
    assert asked() == few


# --- the overview -----------------------------------------------------------------------------------------------


def test_the_overview_counts_who_pays_by_plan(console: Client) -> None:
    def counts() -> dict[tuple[str, str], tuple[int, int]]:
        return {(each["plan"], each["interval"]): (each["paying"], each["grace"]) for each in money.by_plan()}

    before = counts().get(("Starter", "yearly"), (0, 0))
    soon = product_clock.now() + timedelta(days=3)
    for status in ("active", "trialing", "past_due", "canceled"):
        subscribe(make_workspace().workspace, status, plan="starter", interval="year", amount=9_000, grace_until=soon)
    after = counts()["Starter", "yearly"]
    assert (after[0] - before[0], after[1] - before[1]) == (2, 1)
    overview.forget()
    assert "Starter yearly" in read(console, "")


def of(name: str) -> list[lights.Light]:
    return [each for each in lights.all_of_them() if each.name == name]


def test_payments_that_are_off_are_told_so(settings: Settings) -> None:
    settings.STRIPE_SECRET_KEY, settings.IS_PRODUCTION = "", True
    assert [each.word for each in of("Payments")] == ["off"]
    assert of("Webhooks") == []


def test_events_that_wait_are_told_of_and_why_they_do(settings: Settings, clock: Clock) -> None:
    settings.STRIPE_SECRET_KEY = "sk_test_x"
    StripeEvent.objects.filter(processed_at=None).update(processed_at=product_clock.now())
    assert [each.word for each in of("Webhooks")] == ["handled"]
    waiting = event()
    assert [each.word for each in of("Webhooks")] == ["waiting"]
    StripeEvent.objects.filter(pk=waiting.pk).update(problem="It broke")
    clock.forward(minutes=20)
    (light,) = of("Webhooks")
    assert (light.word, light.url) == ("failing", "/admin/billing/stripeevent/?state=failing")
    (light,) = of("Payments")
    assert light.state == "bad"
    assert any("Events of Stripe wait to be handled" in each for each in light.problems)


def newest_round(**told: Any) -> PruneRun:
    """Have a round of pruning have ended, later than those of other tests."""
    before = PruneRun.objects.order_by("-pk").first()
    at = max(product_clock.now(), before.started_at + timedelta(seconds=1) if before else product_clock.now())
    return PruneRun.objects.create(started_at=at, seen_at=at, ended_at=at, **told)


def test_pruning_that_fails_is_told_with_where_and_why(console: Client) -> None:
    newest_round(is_complete=True)
    assert [each.state for each in of("Pruning")] == ["good"]
    newest_round(failed={"acme": "It is locked"})
    (light,) = of("Pruning")
    assert (light.state, light.problems) == ("bad", ("acme: It is locked",))
    assert "acme: It is locked" in read(console, "")


def test_a_round_that_was_long_ago_is_late(clock: Clock) -> None:
    newest_round(is_complete=True)
    assert [each.word for each in of("Pruning")] == ["working"]
    clock.forward(hours=5)
    assert [each.word for each in of("Pruning")] == ["late"]


@pytest.mark.parametrize("path", LISTS)
def test_every_list_stands(console: Client, path: str) -> None:
    assert console.get(f"/admin/{path}/").status_code == 200
