"""Refunds and disputes: recorded, told to the operator, and no reason to lock anybody out."""

from __future__ import annotations

import pytest
from pytest_django.fixtures import Settings

from accounts.models import AuditEvent
from billing.models import Happening
from tests.billing.payer import Payer
from tests.support.jobs import Jobs
from tests.support.mails import mails_to


@pytest.fixture
def operator(settings: Settings) -> str:
    settings.OPERATOR_EMAIL = "operator@example.com"
    return "operator@example.com"


def deeds(payer: Payer) -> list[str]:
    found = AuditEvent.objects.filter(workspace=payer.workspace, action__startswith="billing.", actor="billing")
    return list(found.order_by("pk").values_list("action", flat=True))


def test_a_refund_is_kept_and_told_to_the_operator(payer: Payer, operator: str, jobs: Jobs) -> None:
    payer.subscribe("pro")
    payer.stripe.control("refund", invoice=payer.standing.invoices[0].stripe_id, amount=500)
    payer.stripe.settle()
    assert payer.plan == "pro"
    found = Happening.objects.get(customer=payer.customer, kind="refunded")
    assert next(each.words for each in payer.standing.history if each.at == found.at) == "Given back: $5.00"
    assert deeds(payer) == ["billing.refunded"]
    jobs.do()
    mine = [each for each in mails_to(operator) if payer.workspace.slug in str(each.body)]
    assert ["$5.00" in str(each.body) for each in mine] == [True]
    payer.stripe.replay()
    payer.stripe.settle()
    jobs.do()
    assert deeds(payer) == ["billing.refunded"]


@pytest.mark.parametrize(("is_won", "outcome"), [(True, "stays"), (False, "was taken back")])
def test_a_dispute_is_kept_from_its_begin_to_its_end(
    payer: Payer, operator: str, jobs: Jobs, is_won: bool, outcome: str
) -> None:
    payer.subscribe("pro")
    payer.stripe.control("dispute", invoice=payer.standing.invoices[0].stripe_id)
    payer.stripe.settle()
    assert payer.kinds()[-1] == "dispute_opened"
    assert payer.plan == "pro"
    dispute = payer.stripe.world.all("dispute")[-1]["id"]
    payer.stripe.control("close_dispute", dispute=dispute, is_won=is_won)
    payer.stripe.settle()
    assert payer.kinds().count("dispute_opened") == 1
    assert payer.kinds().count("dispute_closed") == 1
    assert outcome in next(each.words for each in payer.standing.history if "question" in each.words)
    assert deeds(payer) == ["billing.disputed", "billing.dispute_closed"]
    jobs.do()
    assert len([each for each in mails_to(operator) if payer.workspace.slug in str(each.body)]) == 2
