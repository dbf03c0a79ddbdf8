"""The mail about a suspension says that a subscription is charged on."""

from __future__ import annotations

from accounts import services
from billing import subscribing
from tests.billing.payer import Payer
from tests.support.jobs import Jobs
from tests.support.mails import mails_to


def test_who_pays_reads_that_it_is_charged_on_until_it_is_cancelled(payer: Payer, jobs: Jobs) -> None:
    payer.subscribe()
    services.suspend(payer.workspace, "spam")
    jobs.do()
    mail = mails_to(payer.person.user.email)[-1]
    assert "is suspended" in mail.subject
    assert "A suspended workspace is charged on until its subscription is cancelled" in mail.body
    subscribing.cancel(payer.workspace, by="x")
    services.suspend(payer.workspace, "spam")
    jobs.do()
    assert "charged on" not in mails_to(payer.person.user.email)[-1].body
