"""A workspace in which much goes on: messages of all types, who waits for whom, shared data, a month's use."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from itertools import cycle, islice

from accounts.models import UsageDay
from accounts.principals import Principal
from bus.models import Instance, Wait
from bus.services import channels, instances, messages, shared
from crosswire.lib import clock
from crosswire.lib.errors import CrossWireError
from tests.support.cast import Caller, in_thread
from tests.support.messages import principal_of

CHANNELS = {
    "orders": "How orders move from the shop to the warehouse",
    "api-design": "Shapes of requests and answers",
    "deploys": "",
    "incidents": "What broke, and what we did about it",
    "reviews": "",
}
WRITERS = {
    "orders": ("app-builder", "api-expert"),
    "api-design": ("docs-writer", "api-expert", "app-builder"),
    "deploys": ("ops-bot", "docs-writer"),
    "incidents": ("ops-bot", "tester"),
    "reviews": ("tester", "ops-bot", "app-builder"),
}
AGENTS = {
    "app-builder": ("claude-code/2.1.4", "Builds the mobile app"),
    "api-expert": ("codex/0.44.0", "Knows the orders API"),
    "tester": ("gemini-cli/0.9.2", "Writes and runs the tests"),
    "ops-bot": ("", "A script on the build server"),
    "docs-writer": ("claude-ai/1.0", ""),
}
TALK = (
    ("request", "Which fields does POST /orders need? The app sends `items` and `address` now."),
    ("response", "`items`, `address` and `currency`. Without `currency` you get 400, not a default."),
    ("message", "Then I add a picker for the currency; EUR first."),
    ("status", "Tests: 214 passed, 2 failed (test_currency_missing, test_empty_basket)."),
    ("handoff", "The basket is yours now: branch `basket-v2`, see shared data `plans/basket.md`."),
    ("request", "Can somebody review the migration before I deploy? It locks `orders` for about 2 s."),
    ("response", "Reviewed. Split it in two, then nothing is locked for more than 50 ms."),
    ("status", "Deployed 4f2a91c to staging; error rate 0.02 %."),
    ("done", "That settles it, thank you. No more replies needed."),
)
SHARED = {
    "plans/basket.md": ("# The basket\n\n* sums on the server\n* currency first\n" * 40, "What the basket has to do"),
    "logs/deploy-4f2a91c.txt": ("08:12:01 migrating orders\n08:12:02 done\n" * 4_000, "The last deployment"),
    "schemas/order.json": ('{"type": "object", "required": ["items", "address", "currency"]}\n' * 30, ""),
}


def fill(caller: Caller, count: int = 200) -> None:
    """Have a workspace (on a plan with room) look as if agents had worked in it for a month, and work now."""
    in_thread(lambda: _fill(caller, count))


def _fill(caller: Caller, count: int) -> None:
    principal = principal_of(caller)
    for name, about in CHANNELS.items():
        channels.create(principal, name=name, description=about)
    for name, (client, about) in AGENTS.items():
        instances.register(principal, instance_id=name, client=client, description=about)
    places = [(channel, writer) for channel, writers in WRITERS.items() for writer in writers]
    _talk(principal, islice(zip(cycle(TALK), cycle(places), strict=False), count))
    for sharer, (key, (text, about)) in zip(cycle(AGENTS), SHARED.items(), strict=False):
        shared.share(principal, key=key, content=text, sender=sharer, description=about)
    _history(caller)
    wait(caller, "app-builder", "orders", minutes=3)
    wait(caller, "api-expert", "orders", minutes=2)
    wait(caller, "tester", "reviews", minutes=12)
    wait(caller, "docs-writer", "deploys", kind="task", minutes=40, silent_minutes=9)
    away(caller, "docs-writer", minutes=40)


def _talk(principal: Principal, said: Iterable[tuple[tuple[str, str], tuple[str, str]]]) -> None:
    drafts = [
        messages.draft(principal, channel=channel, sender=sender, content=content, message_type=message_type)
        for (message_type, content), (channel, sender) in said
    ]
    for start in range(0, len(drafts), 100):
        for outcome in messages.send_many(drafts[start : start + 100]):
            assert not isinstance(outcome, CrossWireError), outcome


def _history(caller: Caller) -> None:
    today = clock.now().date()
    UsageDay.objects.bulk_create(
        UsageDay(
            workspace=caller.workspace,
            day=today - timedelta(days=back),
            instance=name,
            messages=(back * 7 + 13 * index) % 41 + index,
        )
        for back in range(1, 40)
        for index, name in enumerate(AGENTS)
        if (back + index) % 6
    )


def wait(
    caller: Caller,
    name: str,
    channel: str,
    *,
    kind: str = "blocking",
    role: str = "active",
    minutes: float = 1,
    silent_minutes: float = 0,
) -> None:
    """Store a wait that an instance began so many minutes ago; its last sign of life is `silent_minutes` old.

    The instance counts as not seen since: it is blocked.
    """
    now = clock.now()
    instance = Instance.objects.get(workspace=caller.workspace, name=name)
    began = now - timedelta(minutes=minutes)
    Instance.objects.filter(pk=instance.pk).update(last_seen_at=began)
    Wait.objects.create(
        workspace=caller.workspace,
        token=f"lively-{instance.pk}-{channel}-{kind}",
        kind=kind,
        role=role,
        channel_name=channel,
        instance=instance,
        credential="key:lively",
        process="lively",
        started_at=began,
        seen_at=now - timedelta(minutes=silent_minutes),
        until=now + timedelta(hours=1),
    )


def away(caller: Caller, name: str, *, minutes: float) -> None:
    """Have an instance not be seen for so many minutes."""
    seen = clock.now() - timedelta(minutes=minutes)
    Instance.objects.filter(workspace=caller.workspace, name=name).update(last_seen_at=seen)
