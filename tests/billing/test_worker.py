"""A real Celery worker and beat on a real Redis compare everything with Stripe; one that is killed loses nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from billing import reconciling
from billing.models import Customer, Reconciliation
from crosswire.lib import clock as product_clock
from tests.billing.payer import Payer
from tests.support.homes import ROOT, Run
from tests.support.processes import end, spawn, tail, wait_until
from tests.support.stripe_fake import StripeFake

pytestmark = [pytest.mark.slow, pytest.mark.home("postgres"), pytest.mark.usefixtures("empty_queue")]
CUSTOMERS = 60


@pytest.fixture
def celery(run: Run, stripe: StripeFake) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a Celery program of the product, in front of this test's Stripe; it is killed after the test."""
    own = {
        "STRIPE_SECRET_KEY": stripe.key,
        "STRIPE_WEBHOOK_SECRET": stripe.webhook_secret,
        "STRIPE_API_URL": stripe.url,
    }
    with ExitStack() as running:

        def start(*arguments: str) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", "celery", "-A", "tests.support.hurried", *arguments, "-l", "INFO"]
            process = spawn(command, run.home.folder / "celery.log", env=run.home.environment(own), cwd=ROOT)
            running.callback(end, process)
            return process

        yield start


def known_at_stripe(payer: Payer, count: int) -> None:
    """Make customers with nothing to them, so that a comparison takes a while."""
    made = [payer.stripe.world.get("customer", payer.customer.stripe_id)]
    with payer.stripe.world.transaction():
        for number in range(count):
            payer.stripe.world.add({**made[0], "id": f"{made[0]['id']}{number:03}"})
    Customer.objects.bulk_create(
        Customer(workspace_slug="many", stripe_id=f"{made[0]['id']}{number:03}") for number in range(count)
    )


def test_a_worker_that_is_killed_in_the_middle_loses_nothing_and_the_next_one_goes_on(
    run: Run, new_payer: Callable[..., Payer], celery: Callable[..., subprocess.Popen[bytes]]
) -> None:
    Customer.objects.update(closed_at=product_clock.now())  # of other tests, whose Stripe is no more
    first, last = new_payer(), new_payer()
    first.subscribe("starter")
    known_at_stripe(first, CUSTOMERS)
    first.stripe.webhooks(drop=["*"])
    last.stripe.pay(last.open_checkout("pro"))
    log = run.home.folder / "celery.log"
    beat = celery("beat", "--schedule", str(run.home.folder / "beat-billing"), "--pidfile", "")
    dying = celery("worker", "--pool", "solo")
    before = Reconciliation.objects.count()

    def looked_at() -> int:
        run_now = Reconciliation.objects.order_by("-pk").first()
        return run_now.looked_at if run_now and Reconciliation.objects.count() > before else 0

    wait_until(lambda: looked_at() > 1, 60, lambda: tail(log, 40))
    end(dying, signal.SIGKILL)
    cut_off = Reconciliation.objects.order_by("-pk")[0]
    assert cut_off.finished_at is None, "it was not in the middle"
    came = cut_off.looked_at
    assert (first.plan, last.plan) == ("starter", "free")
    Reconciliation.objects.filter(pk=cut_off.pk).update(seen_at=product_clock.now() - 2 * reconciling.STALE)
    celery("worker", "--pool", "solo")

    def is_finished() -> bool:
        cut_off.refresh_from_db()
        return cut_off.finished_at is not None

    wait_until(is_finished, 60, lambda: f"{looked_at()}\n{tail(log, 40)}")
    assert cut_off.looked_at > came, "those whose workspace is gone may have been closed meanwhile"
    assert (first.plan, last.plan) == ("starter", "pro")
    assert beat.poll() is None
