"""What a page showed before a change happens, to the cent; or nothing does, and the page says what is so now."""

from __future__ import annotations

import re
from typing import Any

import pytest

from billing import subscribing
from tests.billing.payer import Payer
from tests.billing.reading import form, renew, said
from tests.conftest import Clock
from tests.support import pages

PRO = "plan=pro&interval=month"


def press(payer: Payer, fields: dict[str, str]) -> tuple[int, str]:
    """Send a form as it was shown; return the status and what the page says that one lands on."""
    client = payer.person.client()
    answer: Any = client.post(f"{payer.person.home}billing/change", fields)
    status = answer.status_code
    if status == 302:
        answer = client.get(answer["Location"])
    return status, pages.text_of(answer.content.decode())


def taken(payer: Payer) -> int:
    """Return how much money the customer was charged so far, in cents."""
    with payer.stripe.world.lock:
        found = [each for each in payer.stripe.world.all("invoice") if each["customer"] == payer.customer.stripe_id]
    return sum(each["amount_paid"] for each in found)


def shown_amount(text: str) -> str:
    found = re.search(r"Pay (\$[\d.]+) now", text)
    assert found, text
    return found[1]


def test_exactly_the_amount_shown_is_charged_and_told(payer: Payer) -> None:
    payer.subscribe("starter")
    payer.stripe.advance(days=12)
    amount, fields = shown_amount(said(payer, f"/change?{PRO}")), form(payer, f"change?{PRO}")
    payer.stripe.advance(seconds=20 * 60)
    before = taken(payer)
    status, text = press(payer, fields)
    assert (status, payer.plan) == (302, "pro")
    assert f"${(taken(payer) - before) / 100:.2f}" == amount
    assert f"The workspace is on Pro, paid monthly, from this moment on. Paid: {amount}." in text


def test_a_renewal_between_showing_and_pressing_charges_nothing(payer: Payer) -> None:
    payer.subscribe("starter")
    payer.stripe.advance(days=29)
    old, fields = shown_amount(said(payer, f"/change?{PRO}")), form(payer, f"change?{PRO}")
    renew(payer)
    before = taken(payer)
    status, text = press(payer, fields)
    assert (status, payer.plan, taken(payer)) == (409, "starter", before)
    assert "The subscription was renewed meanwhile. Nothing was done" in text
    assert shown_amount(text) != old


def test_a_button_that_keeps_never_buys(payer: Payer) -> None:
    payer.subscribe("pro")
    payer.change("starter")
    fields = form(payer, f"change?{PRO}")
    assert "Nothing changes: Pro goes on" in said(payer, f"/change?{PRO}")
    renew(payer)
    before = taken(payer)
    status, text = press(payer, fields)
    assert (status, payer.plan, taken(payer)) == (409, "starter", before)
    assert "Nothing was done" in text
    assert shown_amount(text)


def test_a_button_that_buys_plans_nothing_smaller(payer: Payer) -> None:
    payer.subscribe("starter")
    fields = form(payer, "change?plan=starter&interval=year")
    payer.change("pro")
    status, text = press(payer, fields)
    assert status == 409
    assert payer.standing.scheduled is None
    assert "The plan was changed meanwhile. Nothing was done" in text
    assert "Pro stays until" in text


def test_a_form_for_a_first_payment_changes_no_subscription(payer: Payer) -> None:
    fields = form(payer, f"change?{PRO}")
    payer.subscribe("starter")
    before = taken(payer)
    status, text = press(payer, fields)
    assert (status, payer.plan, taken(payer)) == (409, "starter", before)
    assert shown_amount(text)


def test_a_form_for_a_subscription_that_has_ended_shows_the_first_payment(payer: Payer) -> None:
    payer.subscribe("starter")
    fields = form(payer, f"change?{PRO}")
    subscribing.cancel(payer.workspace, by=payer.email)
    renew(payer)
    status, text = press(payer, fields)
    assert status == 409
    assert "Go on to the payment" in text


def test_a_cancellation_or_a_planned_change_meanwhile_shows_the_page_again(payer: Payer) -> None:
    payer.subscribe("starter", "year")
    fields = form(payer, "change?plan=pro&interval=year")
    payer.change("starter", "month")
    assert press(payer, fields)[0] == 409
    fields = form(payer, "change?plan=pro&interval=year")
    subscribing.cancel(payer.workspace, by=payer.email)
    status, text = press(payer, fields)
    assert status == 409
    assert "The cancellation is dropped" in text


def test_what_was_shown_half_an_hour_ago_is_shown_again(payer: Payer, clock: Clock) -> None:
    payer.subscribe("starter")
    fields = form(payer, f"change?{PRO}")
    clock.forward(minutes=31)
    status, text = press(payer, fields)
    assert (status, payer.plan) == (409, "starter")
    assert "more than half an hour" in text
    assert press(payer, form(payer, f"change?{PRO}"))[0] == 302


def test_another_amount_meanwhile_is_shown_first(payer: Payer) -> None:
    payer.subscribe("starter")
    fields = form(payer, f"change?{PRO}")
    with payer.stripe.world.lock:
        payer.stripe.world.get("customer", payer.customer.stripe_id)["balance"] = 500  # they owe it from before
    status, text = press(payer, fields)
    assert (status, payer.plan) == (409, "starter")
    assert "The amount is another one now. Nothing was done" in text


@pytest.mark.parametrize("shown", ["", "x", "eyJ9:1:2", "\0"])
def test_a_form_that_shows_nothing_does_nothing(payer: Payer, shown: str) -> None:
    payer.subscribe("starter")
    fields = form(payer, f"change?{PRO}")
    status, _ = press(payer, {**fields, "shown": shown})
    assert (status, payer.plan) == (409, "starter")


def test_what_was_shown_for_another_plan_or_workspace_does_not_count(payer: Payer, new_payer: Any) -> None:
    payer.subscribe("starter")
    fields = form(payer, "change?plan=starter&interval=year")
    assert press(payer, {**fields, "plan": "pro"})[0] == 409
    other = new_payer().subscribe("starter")
    assert press(payer, form(other, f"change?{PRO}"))[0] == 409
    assert payer.plan == "starter"


def test_without_a_figure_nothing_is_bought(payer: Payer) -> None:
    payer.subscribe("starter")
    payer.stripe.outage("refuse")
    text = said(payer, f"/change?{PRO}")
    assert "Stripe does not tell just now what that costs" in text
    assert "Try again" in text
    assert not re.search(r"Pay .*now", text)
    assert form(payer, f"change?{PRO}") == {}
    payer.stripe.outage("")


def test_a_declined_card_can_be_changed_from_there(payer: Payer) -> None:
    payer.subscribe("starter")
    fields = form(payer, f"change?{PRO}")
    payer.stripe.decline()
    status, text = press(payer, fields)
    assert status == 402
    assert "Nothing was changed" in text
    assert "Change the card" in text
    assert "Try again" in text


def test_what_is_left_over_is_shown_as_credit(payer: Payer) -> None:
    payer.subscribe("starter", "year")
    text = said(payer, f"/change?{PRO}")
    assert re.search(r"Nothing is charged now: .*left of Starter.* \$6\d\.\d\d .*credit", text)
    assert "From now on you pay by the month" in text
    status, text = press(payer, form(payer, f"change?{PRO}"))
    assert status == 302
    assert re.search(r"paid monthly, from this moment on. Nothing was charged; \$6\d\.\d\d is kept as credit", text)
    assert re.search(r"Credit \$6\d\.\d\d", text)
    assert re.search(r"Next invoice \$0\.00 on .*\$29\.00.*credit", text)
    assert re.search(r"\$6\d\.\d\d is kept as credit", text[text.index("History") :])
    for _ in range(3):
        renew(payer)
    text = said(payer)
    assert re.search(r"Paid \$2\d\.\d\d, with \$\d\.\d\d of credit", text)
    assert "Paid $29.00 of credit" in text


def test_a_month_instead_of_a_year_says_what_changes(payer: Payer) -> None:
    payer.subscribe("pro", "year")
    status, text = press(payer, form(payer, f"change?{PRO}"))
    assert status == 302
    assert re.search(r"Pro is paid monthly from .* on\. Until then everything stays", text)


@pytest.mark.parametrize("interval", ["decade", "\0", "MONTH"])
def test_an_interval_that_is_none_is_refused(payer: Payer, interval: str) -> None:
    for page in ("billing/change", "billing"):
        answer = payer.person.client().get(f"{payer.person.home}{page}", {"plan": "pro", "interval": interval})
        assert answer.status_code == 400


def test_while_a_payment_is_missing_it_is_said_why_no_plan_can_be_chosen(payer: Payer) -> None:
    from tests.billing.reading import fail_renewal  # noqa: PLC0415 - this test's alone

    payer.subscribe("starter")
    fail_renewal(payer)
    assert "Another plan can be chosen once the open invoice is paid" in said(payer)
    answer = payer.person.client().get(f"{payer.person.home}billing/change?{PRO}", follow=True)
    assert "A payment is missing" in pages.text_of(answer.content.decode())
