"""How the service is, part by part, each with where an operator looks further."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse

from accounts import pruned
from billing import health
from billing.models import StripeEvent
from crosswire.site import status


@dataclass(frozen=True)
class Light:
    """One part: `state` is good, warn, bad or "" (plays no part); `said` goes on with `at`, if there is one."""

    name: str
    state: str
    word: str
    said: str
    at: datetime | None = None
    url: str = ""
    link: str = ""
    problems: tuple[str, ...] = ()


def all_of_them() -> list[Light]:
    """Return every light."""
    return [*_parts(), _pruning(), *_billing()]


def _parts() -> Iterator[Light]:
    """What the public status page tells."""
    for part in status.report().parts:
        yield Light(part.name, part.state, part.word, part.said, part.at, reverse("status"), "Status page")


def _pruning() -> Light:
    now = pruned.health()
    state, word = {
        "never": ("warn", "not yet"),
        "cut off": ("warn", "cut off"),
        "failed": ("bad", "failing"),
    }.get(now.state, ("warn", "late") if now.is_late else ("good", "working"))
    ended = now.complete.ended_at if now.complete else None
    said = "What had expired was gone by the round that ended" if ended else "No round has been through yet."
    problems = tuple(f"{where}: {why}" for where, why in (now.last.failed if now.last else {}).items())
    url = reverse("admin:accounts_prunerun_changelist")
    return Light("Pruning", state, word, said, ended, url, "Rounds", problems)


def _billing() -> Iterator[Light]:
    now = health.health()
    events, runs = reverse("admin:billing_stripeevent_changelist"), reverse("admin:billing_reconciliation_changelist")
    if not now.is_configured:
        yield Light("Payments", "", "off", "No key of Stripe's is set: every workspace stays on the plan it is on.")
        return
    who = "The stand-in for Stripe" if now.is_demo else "Stripe"
    if now.unprocessed:
        failing = StripeEvent.objects.filter(processed_at=None).exclude(problem="").count()
        state, word = ("bad", "failing") if failing else ("warn", "waiting")
        said = f"{now.unprocessed} wait to be handled, {failing} of them failed; the oldest came"
        yield Light("Webhooks", state, word, said, now.oldest_unprocessed_at, f"{events}?state={word}", "Events")
    else:
        said = "All events are handled; the newest came" if now.last_webhook_at else f"{who} told nothing yet."
        yield Light("Webhooks", "good", "handled", said, now.last_webhook_at, events, "Events")
    said = "Everything was compared with Stripe" if now.last_reconcile_at else "Nothing was compared with Stripe yet."
    state, word = ("bad", "look") if now.problems else ("good", "fine")
    yield Light("Payments", state, word, said, now.last_reconcile_at, runs, "Comparisons", tuple(now.problems[:5]))
