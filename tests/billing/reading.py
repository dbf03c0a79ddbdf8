"""The billing pages as tests read and use them."""

from __future__ import annotations

import re
from html import unescape
from typing import Any
from urllib.parse import urlencode

from tests.billing.payer import Payer
from tests.support import pages


def said(payer: Payer, page: str = "") -> str:
    """Return what a billing page says to who pays."""
    return pages.said(payer.person, f"billing{page}")


def form(payer: Payer, page: str) -> dict[str, str]:
    """Return the hidden fields of the form on a billing page, but for Django's own; {} where it has none."""
    shown = pages.shown(payer.person, f"billing/{page}")
    found = re.findall(r'<input type="hidden"\s+name="(\w+)"\s+value="([^"]*)"', shown)
    return {name: unescape(value) for name, value in found if name != "csrfmiddlewaretoken"}


def send(payer: Payer, page: str, **fields: str) -> Any:
    """Send a form as the page shows it and return the answer."""
    sent = form(payer, f"{page}?{urlencode(fields)}") if fields else {}
    return payer.person.client().post(f"{payer.person.home}billing/{page}", sent)


def followed(payer: Payer, page: str, **fields: str) -> str:
    """Send a form as the page shows it and return what the page says that it leads to."""
    sent = form(payer, f"{page}?{urlencode(fields)}") if fields else {}
    answer = payer.person.client().post(f"{payer.person.home}billing/{page}", sent, follow=True)
    assert answer.status_code == 200
    return pages.text_of(answer.content.decode())


def fail_renewal(payer: Payer) -> None:
    """Let the period end, and the payment for the next one be declined."""
    payer.stripe.decline(-1)
    renew(payer)


def renew(payer: Payer) -> None:
    """Let the period end, and the hour after which Stripe takes its money."""
    ends = payer.subscription.current_period_end
    assert ends is not None
    payer.stripe.advance(seconds=int(ends.timestamp()) - payer.stripe.now() + 2 * 3600)
    payer.stripe.settle()
