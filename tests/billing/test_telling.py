"""What people read of their subscription: in its history, in the audit log and in mails."""

from __future__ import annotations

from accounts import audit_log
from accounts.models import AuditEvent
from billing import subscribing
from tests.billing.payer import Payer
from tests.billing.reading import fail_renewal, followed, said
from tests.support.jobs import Jobs
from tests.support.mails import mails_to


def told(payer: Payer) -> list[str]:
    """Return the history, newest first."""
    return [each.words for each in payer.standing.history]


def subjects(payer: Payer) -> list[str]:
    return [each.subject.replace(payer.workspace.name, "W") for each in mails_to(payer.email)]


def test_who_wanted_it_is_named_though_stripe_was_heard_first(payer: Payer) -> None:
    payer.subscribe("pro")
    subscribing.cancel(payer.workspace, by=payer.email)
    subscribing.resume(payer.workspace, by=payer.email)
    payer.change("starter")
    newest = told(payer)[:3]
    assert all(each.endswith(f", by {payer.email}") for each in newest), newest


def test_a_cancellation_is_told_once_though_a_change_was_planned(payer: Payer) -> None:
    payer.subscribe("pro")
    payer.change("starter")
    subscribing.cancel(payer.workspace, by=payer.email)
    payer.stripe.settle()
    assert told(payer)[0].startswith("Cancelled: Pro ends on")
    assert not any(each.startswith("Will stay") for each in told(payer))


def test_a_planned_change_that_is_dropped_is_told(payer: Payer) -> None:
    payer.subscribe("pro")
    payer.change("starter")
    subscribing.resume(payer.workspace, by=payer.email)
    assert told(payer)[0] == f"Will stay on Pro, paid monthly, by {payer.email}"


def test_a_plan_that_never_left_is_not_back(payer: Payer) -> None:
    payer.subscribe("starter")
    fail_renewal(payer)
    payer.stripe.recover()
    payer.stripe.settle()
    assert "The missing payment came: Starter goes on" in told(payer)


def test_an_end_has_its_reason(payer: Payer, jobs: Jobs) -> None:
    payer.subscribe("pro")
    fail_renewal(payer)
    payer.stripe.control("last_retry", then="cancel")
    payer.stripe.advance(days=40)
    payer.stripe.settle()
    jobs.do()
    assert "has ended: the payment did not come" in str(mails_to(payer.email)[-1].body)
    text = said(payer)
    assert "Pro ended: the payment did not come. Nothing of it is to be paid any more." in text
    assert "Nothing yet" not in text


def test_the_audit_log_tells_what_is_asked_for_from_what_is_done(payer: Payer) -> None:
    payer.subscribe("pro")
    payer.change("starter")
    event = AuditEvent.objects.filter(workspace=payer.workspace, action="billing.change_asked").latest("pk")
    said = audit_log.SENTENCES["billing.change_asked"]
    assert callable(said)
    assert said(event) == "asked for Starter, paid by the month, at the end of what is paid"


def test_what_begins_changes_and_is_cancelled_is_mailed(payer: Payer, jobs: Jobs) -> None:
    payer.subscribe("starter")
    payer.change("pro")
    payer.change("starter")
    subscribing.cancel(payer.workspace, by=payer.email)
    payer.stripe.settle()
    jobs.do()
    found = subjects(payer)
    assert found[:2] == ["W is on the plan Starter now", "W is on the plan Pro now"]
    assert found[2].startswith("W changes to Starter, paid monthly, on ")
    assert found[3].startswith("The subscription of W is cancelled and ends on ")
    assert len(found) == 4


def test_to_stay_says_what_it_costs(payer: Payer) -> None:
    payer.subscribe("pro")
    subscribing.cancel(payer.workspace, by=payer.email)
    assert "for $29.00, paid with Visa ending in 4242" in said(payer, "/resume")
    assert "goes on" in followed(payer, "resume")


def test_the_page_says_when_the_count_starts_anew(payer: Payer) -> None:
    assert "The month's count starts anew on 1 " in said(payer)
