"""The nightly comparison: what was missed is repaired, one fault hinders no other, and a run that died goes on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from billing import reconciling
from billing.health import health
from billing.models import Customer, Reconciliation, Subscription
from crosswire.lib import clock as product_clock
from tests.billing.payer import Payer
from tests.conftest import Clock
from tests.support.jobs import Jobs


@pytest.fixture(autouse=True)
def _none_of_others() -> None:
    """Of customers that other tests left, whose Stripe is no more, there is nothing to compare."""
    Customer.objects.update(closed_at=product_clock.now())
    Reconciliation.objects.filter(finished_at=None).update(finished_at=product_clock.now())


def printed(*arguments: str) -> str:
    said = StringIO()
    call_command("reconcile_stripe", *arguments, stdout=said)
    return said.getvalue()


def test_what_no_webhook_told_is_repaired(new_payer: Callable[..., Payer]) -> None:
    up, gone, same = new_payer(), new_payer(), new_payer()
    for each in (gone, same):
        each.subscribe("starter")
    up.stripe.webhooks(drop=["*"])
    up.stripe.pay(up.open_checkout("pro"))
    Customer.objects.filter(pk=gone.customer.pk).update(granted_plan="starter")
    from billing import gateway  # noqa: PLC0415 - this test's alone

    gateway.ask(lambda stripe: stripe.v1.subscriptions.cancel(gone.subscription.stripe_id))
    assert (up.plan, gone.plan, same.plan) == ("free", "starter", "starter")
    dry = printed("--dry-run")
    assert f"{up.workspace.slug} ({up.customer.stripe_id}) is not as Stripe has it; plan free becomes pro." in dry
    assert (
        f"{gone.workspace.slug} ({gone.customer.stripe_id}) is not as Stripe has it; plan starter becomes free." in dry
    )
    assert same.workspace.slug not in dry
    assert (up.plan, gone.plan, same.plan) == ("free", "starter", "starter"), "nothing was changed"
    assert "looked at: 3\nrepaired: 2\n" in printed()
    assert (up.plan, gone.plan, same.plan) == ("pro", "free", "starter")
    assert "Nothing differs." in printed("--dry-run")
    assert "repaired: 0" in printed()


def test_one_that_cannot_be_compared_hinders_no_other(new_payer: Callable[..., Payer]) -> None:
    broken, fine = new_payer(), new_payer()
    broken.subscribe("starter")
    fine.stripe.webhooks(drop=["*"])
    fine.stripe.pay(fine.open_checkout("pro"))
    slug = broken.workspace.slug
    Customer.objects.filter(pk=broken.customer.pk).update(stripe_id=f"not/an/id/{slug}")
    run = reconciling.reconcile()
    assert run is not None
    assert run.finished_at is not None
    assert run.problems[0].startswith(slug)
    assert fine.plan == "pro"
    assert broken.plan == "starter"
    assert set(run.problems) <= set(health().problems)
    assert health().last_reconcile_at == run.finished_at


def test_while_stripe_is_away_nothing_is_taken_from_anybody(payer: Payer) -> None:
    payer.subscribe("pro")
    payer.stripe.outage("429")
    run = reconciling.reconcile()
    assert run is not None
    assert len(run.problems) == 2
    assert payer.plan == "pro"


def test_a_run_that_died_goes_on_where_it_was(new_payer: Callable[..., Payer], clock: Clock, jobs: Jobs) -> None:
    first, second = new_payer(), new_payer()
    for each in (first, second):
        each.subscribe("starter")
    run = Reconciliation.objects.create(last_customer=first.customer.pk, looked_at=1)
    assert reconciling.reconcile() is None, "it gave a sign of life just now"
    assert not reconciling.resume()
    clock.forward(minutes=6)
    assert reconciling.resume()
    reads = first.customer.reads_begun
    jobs.do()
    run.refresh_from_db()
    assert run.finished_at is not None
    assert run.looked_at == 2
    assert first.customer.reads_begun == reads


def test_a_subscription_that_names_our_workspace_and_that_we_do_not_know_is_told_of(payer: Payer) -> None:
    payer.subscribe("pro")
    customer, subscription = payer.customer.stripe_id, payer.subscription.stripe_id
    Customer.objects.filter(pk=payer.customer.pk).delete()  # as after an old backup was restored
    Customer.objects.create(workspace_slug="other", stripe_id=f"cus_other{product_clock.now().timestamp():.0f}")
    run = reconciling.reconcile()
    assert run is not None
    assert any(subscription in each and customer in each for each in run.problems)
    assert payer.plan == "pro"


def test_without_stripe_there_is_nothing_to_compare(settings: Settings) -> None:
    settings.STRIPE_SECRET_KEY, settings.DEMO_PAYMENTS = "", False
    assert reconciling.reconcile() is None
    with pytest.raises(CommandError, match="no payments"):
        printed()


def test_health_tells_of_what_waits(payer: Payer, clock: Clock) -> None:
    Reconciliation.objects.all().delete()  # others moved the clock: theirs may be from the future
    payer.stripe.webhooks(drop=["*"])
    payer.subscribe("pro")
    clock.forward(days=2)
    assert "Nothing was compared with Stripe for more than a day." in health().problems
    reconciling.reconcile()
    assert "Nothing was compared with Stripe for more than a day." not in health().problems
    clock.forward(days=2)
    assert "Nothing was compared with Stripe for more than a day." in health().problems


def test_the_history_of_runs_is_kept_for_a_while(payer: Payer, clock: Clock) -> None:
    payer.subscribe("pro")
    old = reconciling.reconcile()
    assert old is not None
    clock.forward(days=reconciling.KEPT.days + 1)
    reconciling.reconcile()
    assert not Reconciliation.objects.filter(pk=old.pk).exists()
    assert timedelta(days=1) < reconciling.KEPT
    assert Subscription.objects.filter(customer=payer.customer).exists()


def test_under_the_key_of_another_account_nobody_loses_what_is_paid_for(payer: Payer) -> None:
    payer.subscribe("pro")
    Customer.objects.filter(pk=payer.customer.pk).update(stripe_id=f"cus_of{payer.workspace.slug}")
    run = reconciling.reconcile()
    assert run is not None
    assert any("the key of another account" in each for each in run.problems)
    assert payer.plan == "pro"
    assert payer.subscription.is_live


def test_while_stripe_is_away_a_run_waits_instead_of_asking_for_everybody(
    new_payer: Callable[..., Payer], clock: Clock, jobs: Jobs
) -> None:
    payers = [new_payer().subscribe("starter") for _ in range(5)]
    payers[0].stripe.outage("429")
    run = reconciling.reconcile()
    assert run is not None
    assert (run.finished_at, run.looked_at, run.last_customer) == (None, 0, 0)
    payers[0].stripe.outage("")
    clock.forward(minutes=6)
    assert reconciling.resume()
    jobs.do()
    run.refresh_from_db()
    assert run.finished_at is not None
    assert (run.looked_at, run.problems) == (5, [])


def test_a_subscription_of_a_workspace_long_deleted_is_found_and_ended(payer: Payer, jobs: Jobs) -> None:
    from accounts import closing  # noqa: PLC0415 - this test's alone
    from tests.billing.test_closing import status_at_stripe  # noqa: PLC0415 - as above
    from tests.billing.test_subscribing import stripe_buys  # noqa: PLC0415 - as above

    payer.subscribe("starter")
    closing.close(payer.workspace, actor=payer.email)
    jobs.do()
    payer.stripe.webhooks(drop=["*"])
    stripe_buys(payer, "crosswire_pro_month")
    reconciling.differences()
    assert Customer.objects.get(pk=payer.customer.pk).closed_at is not None, "nothing was changed"
    reconciling.reconcile()
    jobs.do()
    assert status_at_stripe(payer) == ["canceled", "canceled"]
    assert Customer.objects.get(pk=payer.customer.pk).closed_at is not None
