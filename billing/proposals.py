"""What a page said that choosing a plan would do. Its form carries that, signed: just that is done, or nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core import signing

from accounts.models import Workspace
from accounts.plans import PLANS
from billing import costs, offers
from billing.costs import Quote
from billing.models import Customer, Subscription
from crosswire.lib import clock
from crosswire.lib.errors import InvalidInputError

LASTS = timedelta(minutes=30)
"""How long what was shown counts."""
WAITS = "Another change waits for your bank's confirmation: give it, or stay on what you have."
_SALT = "billing.proposal"
_NOTHING_DONE = " Nothing was done; this is how it stands now."
_DIFFERENCES = {
    "subscription": "The subscription is another one by now, or has ended.",
    "price": "The plan was changed meanwhile.",
    "period": "The subscription was renewed meanwhile.",
    "ends": "The subscription was cancelled meanwhile, or the cancellation taken back.",
    "planned": "What is planned for the end of the period was changed meanwhile.",
    "waits": "Another change waits for your bank's confirmation.",
}


class OutdatedError(InvalidInputError):
    """Things are not any more as they were shown: nothing was done, and the page is to be shown again."""

    def __init__(self, why: str) -> None:
        super().__init__("invalid_input", why + _NOTHING_DONE)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A plan as somebody was asked about it: its price in cents, how the subscription stood (`stands`, all "" without
    one), and what is charged at once (`quote`, only where something is)."""

    plan: str
    interval: str
    price: int
    stands: dict[str, str]
    made_at: str
    quote: Quote | None = None

    @property
    def is_first(self) -> bool:
        """Whether it was for who has no subscription."""
        return not self.stands["subscription"]

    def sealed(self, workspace: Workspace) -> str:
        """Return what a form carries."""
        return signing.dumps([workspace.slug, asdict(self)], salt=_SALT, compress=True)


def propose(workspace: Workspace, plan: str, interval: str, quote: Quote | None = None) -> Proposal:
    """Return what is proposed to a workspace as it stands now."""
    customer = Customer.objects.filter(workspace=workspace).first()
    stands = _stands(customer.subscriptions.current() if customer else None)
    return Proposal(plan, interval, offers.price_of(PLANS[plan], interval), stands, clock.iso(clock.now()), quote)


def opened(workspace: Workspace, plan: str, interval: str, sealed: str) -> Proposal:
    """Return what a form carries. Raises: OutdatedError for what was not shown here, of late, of this plan."""
    try:
        slug, fields = signing.loads(sealed, salt=_SALT)
    except (signing.BadSignature, ValueError):
        slug, fields = "", {}
    if (slug, fields.get("plan"), fields.get("interval")) != (workspace.slug, plan, interval):
        raise OutdatedError("That form was not filled in here.")
    found = Proposal(**{**fields, "quote": Quote(**fields["quote"]) if fields["quote"] else None})
    if clock.now() - datetime.fromisoformat(found.made_at) > LASTS:
        raise OutdatedError("What you saw is more than half an hour old.")
    if found.price != offers.price_of(PLANS[plan], interval):
        raise OutdatedError("The price is another one now.")
    return found


def require(proposal: Proposal, now: Subscription | None) -> None:
    """Raises: OutdatedError where a subscription does not stand as it was shown."""
    stands = _stands(now)
    for name, why in _DIFFERENCES.items():
        if proposal.stands[name] != stands[name]:
            raise OutdatedError(why)


def require_amount(proposal: Proposal, now: Subscription, price: str) -> Quote:
    """Return what a change upwards will ask for, which is what was shown. Raises: OutdatedError; as `gateway.ask`."""
    if proposal.quote is None:
        raise OutdatedError("The amount was not shown.")
    quote = costs.preview(now, price, proposal.quote.at)
    if quote != proposal.quote:
        raise OutdatedError("The amount is another one now.")
    return quote


def _stands(now: Subscription | None) -> dict[str, str]:
    if now is None:
        return dict.fromkeys(_DIFFERENCES, "")
    return {
        "subscription": now.stripe_id,
        "price": now.price_id,
        "period": _moment(now.current_period_end),
        "ends": _moment(now.cancel_at),
        "planned": f"{now.scheduled_price_id} {_moment(now.scheduled_at)}",
        "waits": _moment(now.confirm_until),
    }


def _moment(at: Any) -> str:
    return clock.iso(at) if at else ""
