"""The only importer of stripe. Everybody else asks here and gets plain dicts, shaped as Stripe's API has them.

found = gateway.ask(lambda stripe: stripe.v1.subscriptions.retrieve("sub_…"))
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection

from billing.demo import mounting
from crosswire.lib.errors import CrossWireError, unavailable

if TYPE_CHECKING:
    import stripe

type Answer = dict[str, Any]

CONNECT_SECONDS, ANSWER_SECONDS, RETRIES = 3.0, 10.0, 2
HURRIED_SECONDS = 2.0
"""How long a page waits for what it can do without."""
_AWAY = "Stripe does not answer just now; your plan goes on. See in a few minutes whether it was done, then try again."
_REFUSED = "Stripe did not do that, as things stand there. Load the page again to see how they stand."

_TO_CONFIRM = (
    "Your bank wants you to confirm this payment, which cannot be done beside a change that is planned, or a "
    "cancellation: take that back, then choose the plan again. Nothing was changed."
)

logger = logging.getLogger(__name__)


class StripeAwayError(CrossWireError):
    """Stripe cannot be asked just now, or does not let us: a refusal with 503."""


class MissingError(CrossWireError):
    """Stripe knows no such object: a refusal with 404."""


class ToConfirmError(CrossWireError):
    """The bank wants the card's holder to confirm a payment: a refusal with 402."""


class RefusedError(CrossWireError):
    """Stripe does not do that, as things stand there; `reason` is its code: a refusal with 400."""

    def __init__(self, reason: str) -> None:
        super().__init__("invalid_input", _REFUSED)
        self.reason = reason


def is_configured() -> bool:
    """Return whether this installation takes money, real or pretended."""
    return bool(settings.STRIPE_SECRET_KEY) or is_demo()


def is_demo() -> bool:
    """Return whether payments are pretended: no key, on a machine that only itself reaches."""
    return mounting.is_allowed()


def is_live() -> bool:
    """Return whether the key moves real money."""
    return str(settings.STRIPE_SECRET_KEY).startswith(("sk_live_", "rk_live_"))


def api_version() -> str:
    """Return the version of Stripe's API that the SDK speaks, such as `2026-10-28.endive`."""
    import stripe  # noqa: PLC0415 - costs 40 MB: on first use

    return str(stripe.api_version)


def webhook_secrets() -> list[str]:
    """Return the secrets that webhooks may be signed with: several while one is replaced by another."""
    if is_demo():
        return [mounting.connection().webhook_secret]
    return [each.strip() for each in str(settings.STRIPE_WEBHOOK_SECRET).split(",") if each.strip()]


def ask(question: Callable[[stripe.StripeClient], Any], *, hurried: bool = False) -> Answer:
    """Ask Stripe and return its answer as plain dicts. `hurried`: for a page that can do without.

    Raises: StripeAwayError, MissingError, RefusedError, ToConfirmError, CrossWireError `payment_declined`.
    """
    answer = _asked(question, hurried=hurried)
    return dict(answer.to_dict())


def ask_all(question: Callable[[stripe.StripeClient], Any], most: int) -> list[Answer]:
    """Ask Stripe for a list and return its rows, page by page, at most so many. Raises: as `ask`."""
    return list(islice(each(question), most))


def each(question: Callable[[stripe.StripeClient], Any]) -> Iterator[Answer]:
    """Ask Stripe for a list and return its rows one by one, however many pages there are. Raises: as `ask`."""
    rows = _asked(lambda stripe: question(stripe).auto_paging_iter(), hurried=False)
    while (row := _asked(lambda _: next(rows, None), hurried=False)) is not None:
        yield dict(row.to_dict())


def verified(body: bytes, signature: str) -> bool:
    """Return whether one of our secrets signed a webhook's body within the last five minutes."""
    import stripe  # noqa: PLC0415 - as above

    for secret in webhook_secrets() if signature.isascii() else []:
        try:
            stripe.WebhookSignature.verify_header(body, signature, secret, stripe.Webhook.DEFAULT_TOLERANCE)
        except (stripe.SignatureVerificationError, ValueError):
            continue
        return True
    return False


def forget() -> None:
    """Make new clients: for tests, which change settings."""
    _client.cache_clear()


def _asked(question: Callable[[stripe.StripeClient], Any], *, hurried: bool) -> Any:
    if not is_configured():
        raise unavailable("This installation takes no payments.", retry_after=3600)
    _let_go_of_the_database()
    import stripe  # noqa: PLC0415 - as above

    try:
        return question(_client(hurried))
    except stripe.CardError as declined:
        if (declined.code or "").endswith("requires_action"):
            raise ToConfirmError("payment_declined", _TO_CONFIRM) from declined
        why = declined.user_message or "The payment was declined."
        raise CrossWireError("payment_declined", f"{why} Nothing was changed.") from declined
    except (stripe.APIConnectionError, stripe.RateLimitError) as away:
        raise StripeAwayError("unavailable", _AWAY, retry_after=60) from away
    except stripe.InvalidRequestError as refused:
        if refused.code == "resource_missing":
            raise MissingError("not_found", "Stripe knows no such thing.") from refused
        logger.warning("stripe_refused", extra={"code": refused.code, "param": refused.param}, exc_info=True)
        raise RefusedError(refused.code or "") from refused
    except stripe.StripeError as problem:  # its own fault (5xx), or a key that it does not take
        if problem.http_status is not None and problem.http_status < 500:
            logger.exception("stripe_refused", extra={"code": problem.code})
        raise StripeAwayError("unavailable", _AWAY, retry_after=60) from problem


def _let_go_of_the_database() -> None:
    """Give this thread's connection back: Stripe may take half a minute, and there are only so many for everybody."""
    if connection.in_atomic_block:
        raise RuntimeError("Stripe was asked inside a transaction, which would hold its locks all that time.")
    connection.close()


@lru_cache(2)
def _client(hurried: bool) -> stripe.StripeClient:
    """Return this process's client; the SDK is loaded on first use since it costs 40 MB."""
    import stripe  # noqa: PLC0415 - as above

    stripe.enable_telemetry = False
    patience = HURRIED_SECONDS if hurried else ANSWER_SECONDS
    demo = mounting.connection() if is_demo() else None
    address = demo.api_url if demo else settings.STRIPE_API_URL
    return stripe.StripeClient(
        demo.key if demo else settings.STRIPE_SECRET_KEY,
        base_addresses={"api": address} if address else {},
        max_network_retries=0 if hurried else RETRIES,
        http_client=stripe.RequestsClient(timeout=(min(CONNECT_SECONDS, patience), patience)),
    )
