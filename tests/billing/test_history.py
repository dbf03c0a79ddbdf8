"""What happened, in words and in mails."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.template.loader import render_to_string

from accounts.leaving import NOBODY
from accounts.signals import address_erased
from billing import history, telling
from billing.history import KINDS, Told
from billing.models import Customer, Happening
from crosswire.lib import clock as product_clock
from tests.conftest import Clock
from tests.support.cast import Caller
from tests.support.jobs import Jobs
from tests.support.mails import mails_to
from tests.support.people import owner_of

DETAILS = {
    "plan": "pro",
    "before": "starter",
    "interval": "year",
    "amount": 1_234_500,
    "currency": "usd",
    "on": "2026-12-24T18:00:00.000Z",
    "outcome": "the payment stays",
    "why": "payment_failed",
    "to": "bob@example.com",
    "method": "Visa ending in 4242, until 12/2030",
    "by": "ada@example.com",
}


@pytest.fixture
def customer(alice: Caller) -> Customer:
    slug = alice.workspace.slug
    return Customer.objects.create(workspace=alice.workspace, workspace_slug=slug, stripe_id=f"cus_{slug}")


@pytest.mark.parametrize("kind", KINDS)
def test_everything_that_happens_has_its_words(customer: Customer, kind: str) -> None:
    full = history.words(Happening(customer=customer, kind=kind, about="x", details=DETAILS))
    assert full.endswith(", by ada@example.com")
    assert "…" not in full
    assert "{" not in full
    assert history.words(Happening(customer=customer, kind=kind, about="x"))


def test_words_are_as_people_say_them(customer: Customer) -> None:
    def said(kind: str) -> str:
        return history.words(Happening(customer=customer, kind=kind, about="x", details={**DETAILS, "by": ""}))

    assert said("cancel_scheduled") == "Cancelled: Pro ends on 24 December 2026"
    assert said("upgraded") == "Changed from Starter to Pro, paid yearly"
    assert said("refunded") == "Given back: $12,345.00"
    assert [history.money(-950, "eur"), history.title("gone")] == ["-9.50 EUR", "A plan of its own"]
    assert [history.money(1_350, "jpy"), history.money(-9_500, "kwd")] == ["1,350 JPY", "-9.500 KWD"]


@pytest.mark.parametrize("kind", [kind for kind, each in KINDS.items() if each.told is Told.PEOPLE])
def test_what_people_are_told_has_its_mail_and_comes_once(alice: Caller, customer: Customer, kind: str) -> None:
    ada = owner_of(alice)
    history.record(customer, kind, "x", DETAILS)
    happening = Happening.objects.get(customer=customer, kind=kind)
    assert happening.told_at is None
    for _ in range(2):
        telling.tell(happening.pk)
    (mail,) = mails_to(ada.user.email)
    assert alice.workspace.name in mail.subject + str(mail.body)
    assert f"/w/{alice.workspace.slug}/billing" in str(mail.body)
    assert "\n" not in mail.subject
    assert render_to_string(f"mail/billing_{kind}.txt", {})


def test_what_a_lost_job_did_not_tell_is_told_later_but_not_for_ever(
    alice: Caller, customer: Customer, jobs: Jobs, clock: Clock
) -> None:
    ada = owner_of(alice)
    history.record(customer, "recovered", "x", DETAILS)
    jobs.forget()
    Happening.objects.filter(told_at=None).exclude(customer=customer).update(told_at=product_clock.now())
    telling.resume()
    jobs.do()
    assert len(mails_to(ada.user.email)) == 1
    history.record(customer, "ended", "x", DETAILS)
    jobs.forget()
    clock.forward(days=telling.WITHIN / timedelta(days=1) + 1)
    telling.resume()
    jobs.do()
    assert len(mails_to(ada.user.email)) == 1


def test_whoever_deletes_their_account_is_nobody_in_it(customer: Customer) -> None:
    gone, stays = "Gone@example.com", "ongone@example.com"
    history.record(customer, "upgraded", "1", DETAILS | {"by": gone.lower(), "to": stays})
    history.record(customer, "upgraded", "2", DETAILS | {"by": stays, "to": gone.lower()})
    address_erased.send(sender=None, address=gone, nobody=NOBODY)
    found = Happening.objects.filter(customer=customer).order_by("about")
    assert [(each.details["by"], each.details["to"]) for each in found] == [(NOBODY, stays), (stays, NOBODY)]
