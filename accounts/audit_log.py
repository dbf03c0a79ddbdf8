"""The audit log as people read it: a sentence for each action, filtered, newest first, page by page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Self

import orjson
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts import audit
from accounts.models import AuditEvent, Member, Workspace
from crosswire.lib import clock

PAGE = 50
DOWNLOAD_MOST = 100_000
"""How many events one download holds, the newest."""
DOWNLOAD_BATCH = 1_000
_RECENT = 500
ADDRESS_CHANGED = "member.address_changed"

BILLING = "billing"
"""How billing signs what it does: it mails about that itself."""
_SPECIAL = {audit.OPERATOR: "An operator", BILLING: "Billing"}


def actor_in_words(actor: str) -> str:
    """Return how people are told of an actor who may be nobody of theirs."""
    return _SPECIAL.get(audit.for_customers(actor), actor)


type Words = Callable[[AuditEvent], str]


def _key(event: AuditEvent) -> str:
    prefix = event.details.get("prefix")
    return f"the key {event.target} ({prefix}…)" if prefix else f"the key {event.target}"


def _key_made(event: AuditEvent) -> str:
    instance = event.details.get("instance_id")
    return f"made {_key(event)}" + (f" for the instance {instance}" if instance else "")


def _key_restricted(event: AuditEvent) -> str:
    instance = event.details.get("instance_id")
    bounds = ["read-only"] if event.details.get("read_only") else []
    bounds += [f"for the instance {instance} alone"] if instance else []
    return f"made {_key(event)} {' and '.join(bounds) or 'narrower'}"


def _key_rotated(event: AuditEvent) -> str:
    new, at_once = event.details.get("new_prefix"), event.details.get("at_once")
    then = "which ended at once" if at_once else "which ends a day later"
    return f"rotated {_key(event)}, {then}" + (f"; the new one is {new}…" if new else "")


def _key_renamed(event: AuditEvent) -> str:
    return f"renamed the key {event.details.get('before', '…')}: now it is {_key(event)}"


def _changed(event: AuditEvent) -> str:
    after = event.details.get("after")
    if not isinstance(after, dict) or not after:
        return "changed the workspace's settings"
    return "changed settings: " + "; ".join(f"{name.replace('_', ' ')}: {_plainly(new)}" for name, new in after.items())


def _plainly(value: object) -> str:
    return (", ".join(str(each) for each in value) or "none") if isinstance(value, list) else str(value)


def _suspended(event: AuditEvent) -> str:
    reason = event.details.get("reason")
    return "suspended the workspace" + (f": {reason}" if reason else "")


def _plan_changed(event: AuditEvent) -> str:
    before, why = event.details.get("before"), event.details.get("why")
    return f"changed the plan from {before} to {event.target}" + (f": {why}" if why else "")


def _overridden(event: AuditEvent) -> str:
    after = event.details.get("after")
    if not isinstance(after, dict) or not after:
        return "put the plan's own figures back in force"
    return "set figures of its own: " + "; ".join(
        f"{name.replace('_', ' ')}: {'no bound' if figure is None else figure}" for name, figure in after.items()
    )


def _joined(event: AuditEvent) -> str:
    role, inviter = event.details.get("role", "member"), event.details.get("invited_by")
    if inviter is None and event.actor != event.target:
        return f"added {event.target} as {role}"
    return f"joined as {role}" + (f", invited by {inviter}" if inviter else "")


def _taken_over(event: AuditEvent) -> str:
    client = event.details.get("client")
    return f"took over the instance {event.target}" + (f" from {client}" if client else "")


def _made_operator(event: AuditEvent) -> str:
    rights = event.details.get("rights")
    return f"made {event.target} an operator, who may " + (
        f"change {' and '.join(str(each) for each in rights)}" if isinstance(rights, list) and rights else "look"
    )


def _change_asked(event: AuditEvent) -> str:
    to = f"{event.target}, paid by the {event.details.get('interval', '…')}"
    if event.details.get("when") == "later":
        return f"asked for {to}, at the end of what is paid"
    if event.details.get("when") == "to_confirm":
        return f"asked for {to}, which the bank wants to be confirmed"
    return f"changed the subscription to {to}"


SENTENCES: dict[str, str | Words] = {
    "account.deactivated": "deactivated the account of {target}: {reason}",
    "account.made_operator": _made_operator,
    "account.reactivated": "reactivated the account of {target}",
    "account.unmade_operator": "took the operators' rights of {target}",
    "billing.cancelled": "cancelled the subscription to {target}",
    "billing.change_asked": _change_asked,
    "billing.checkout_started": "went to pay for {target}, by the {interval}",
    "billing.dispute_closed": "closed the question about a payment: {target}",
    "billing.disputed": "was told that a bank was asked to take back {target}",
    "billing.paid_late": "was paid {target} for a subscription that had ended",
    "billing.portal_opened": "opened Stripe's page with invoices and ways to pay",
    "billing.refund_failed": "could not give back {target}",
    "billing.refunded": "gave back {target}",
    "billing.resumed": "kept the subscription to {target} after all",
    "billing.surplus": "ended a second subscription, to {target}, and gave back what was paid for it",
    "channel.archived": "archived the channel #{target}",
    "channel.described": "changed the description of the channel #{target}",
    "channel.paused": "paused the channel #{target}",
    "channel.resumed": "resumed the channel #{target}",
    "channel.unarchived": "took the channel #{target} out of the archive",
    "data.deleted": "deleted the shared data {target}",
    "export.asked": "asked for a copy of everything",
    "export.downloaded": "downloaded a copy of everything",
    "instance.freed": "freed the place of the instance {target}",
    "instance.takeover": _taken_over,
    "invite.declined": "declined the invite",
    "invite.renewed": "invited {target} again, as {role}",
    "invite.revoked": "withdrew the invite of {target} as {role}",
    "invite.sent": "invited {target} as {role}",
    "key.created": _key_made,
    "key.renamed": _key_renamed,
    "key.restricted": _key_restricted,
    "key.revoked": lambda event: f"revoked {_key(event)}",
    "key.rotated": _key_rotated,
    ADDRESS_CHANGED: "changed their address from {before} to {target}",
    "member.joined": _joined,
    "member.left": "left the workspace; their role was {role}",
    "member.removed": "removed {target}, whose role was {role}",
    "member.role_changed": "changed the role of {target} from {before} to {after}",
    "workspace.changed": _changed,
    "workspace.created": "made the workspace {target}",
    "workspace.deleted": "deleted the workspace {target}",
    "workspace.handed_over": "handed the workspace over to {target}, the owner from then on",
    "workspace.overridden": _overridden,
    "workspace.plan_changed": _plan_changed,
    "workspace.resumed": "resumed the workspace",
    "workspace.suspended": _suspended,
}
"""What somebody did, to be read after who it was: in words with `{target}` and details, or what makes such words."""

KINDS = {
    "key": "Keys",
    "member": "Members",
    "invite": "Invites",
    "workspace": "Workspace",
    "billing": "Billing",
    "channel": "Channels",
    "data": "Shared data",
    "instance": "Instances",
    "export": "Exports",
}
"""The first words of actions, and what the filter calls them."""
OPERATORS_KINDS = {"account": "Accounts"}
"""Those of actions that concern no workspace: operators alone read of them."""
BY_KEYS = frozenset({"instance.takeover"})
"""Actions of programs: their actor is the name of a key, which looks like whatever its maker liked."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event in words. `name` is the person's, "" where nobody of the workspace is meant."""

    event: AuditEvent
    name: str

    @property
    def deed(self) -> str:
        """What was done."""
        return deed(self.event)

    @property
    def who(self) -> str:
        """Who did it: a person by name, a key as one, else what was recorded."""
        if self.event.action in BY_KEYS:
            return f"The key {self.event.actor}"
        return self.name or actor_in_words(self.event.actor)


@dataclass(frozen=True, slots=True)
class Filter:
    """What of the log is asked for: a kind of action, an actor, a time from `since` until before `until`."""

    kind: str = ""
    actor: str = ""
    since: datetime | None = None
    until: datetime | None = None

    @classmethod
    def of(cls, kind: str, actor: str, day: date | None) -> Self:
        """Return the filter for a day as it is in the current time zone; "" and None ask for everything."""
        if day is None:
            return cls(kind, actor)
        return cls(kind, actor, _begins(day), _begins(day + timedelta(days=1)))

    def __bool__(self) -> bool:
        return bool(self.kind or self.actor or self.since)

    def condition(self) -> Q:
        """Return it for a query, but for the actor, who may have had other addresses."""
        wanted = Q()
        if self.kind:
            wanted &= Q(action__startswith=f"{self.kind}.")
        if self.since:
            wanted &= Q(at__gte=self.since, at__lt=self.until)
        return wanted


def deed(event: AuditEvent) -> str:
    """Return what was done, in words."""
    words = SENTENCES.get(event.action)
    if words is None:
        return f"did {event.action}: {event.target}"
    if callable(words):
        return words(event)
    return words.format_map(defaultdict(lambda: "…", {**event.details, "target": event.target}))


def page(workspace: Workspace, wanted: Filter, before: int | None = None) -> tuple[list[Entry], int | None]:
    """Return the newest events, or those before one, and the number that the next page is asked with."""
    events = list(_events(workspace, wanted, before)[: PAGE + 1])
    more = events[PAGE - 1].pk if len(events) > PAGE else None
    return _told(workspace, events[:PAGE]), more


def actors(workspace: Workspace) -> list[tuple[str, str]]:
    """Return whom one may filter by, name and address: members, and whoever else did something lately."""
    recent = AuditEvent.objects.filter(workspace=workspace).order_by("-at", "-pk")[:_RECENT]
    names = {
        email: f"{name} ({email})" if name else email
        for email, name in Member.objects.filter(workspace=workspace)
        .order_by("pk")
        .values_list("user__email", "user__name")[:_RECENT]
    }
    events = list(recent)
    former = _former([each for each in events if each.action == ADDRESS_CHANGED])
    others = {audit.for_customers(each.actor) for each in events if former.get(each.actor) not in names} - set(names)
    return list(names.items()) + sorted((each, actor_in_words(each)) for each in others)


def _former(newest_first: Sequence[AuditEvent]) -> dict[str, str]:
    """Return the addresses that people had before, with those that they have now."""
    now: dict[str, str] = {}
    for event in newest_first:
        now.setdefault(event.details.get("before", ""), now.get(event.target, event.target))
    return now


def _addresses(workspace: Workspace, actor: str) -> set[str]:
    """Return an address with those that its owner had before."""
    events = AuditEvent.objects.filter(workspace=workspace, action=ADDRESS_CHANGED).order_by("-at", "-pk")
    return {actor} | {before for before, now in _former(list(events[:_RECENT])).items() if now == actor}


def batch(workspace: Workspace, wanted: Filter, before: int | None) -> tuple[bytes, int | None]:
    """Return the next part of a download as JSON Lines, and what the one after it is asked with (None: the end)."""
    events = list(_events(workspace, wanted, before)[:DOWNLOAD_BATCH])
    lines = b"".join(orjson.dumps(_plain(each), option=orjson.OPT_APPEND_NEWLINE) for each in _told(workspace, events))
    return lines, events[-1].pk if len(events) == DOWNLOAD_BATCH else None


def _plain(entry: Entry) -> dict[str, Any]:
    event = entry.event
    return {
        "at": clock.iso(event.at),
        "actor": audit.for_customers(event.actor),
        "action": event.action,
        "target": event.target,
        "details": event.details,
        "text": f"{entry.who} {entry.deed}",
    }


def _told(workspace: Workspace, events: Sequence[AuditEvent]) -> list[Entry]:
    people = {each.actor for each in events if each.action not in BY_KEYS}
    found = Member.objects.filter(workspace=workspace, user__email__in=people).select_related("user")
    names = {each.user.email: each.user.get_full_name() for each in found}
    return [Entry(each, "" if each.action in BY_KEYS else names.get(each.actor, "")) for each in events]


def _events(workspace: Workspace, wanted: Filter, before: int | None) -> QuerySet[AuditEvent, AuditEvent]:
    """Return events newest first, along the index, from after the one named `before`."""
    events = AuditEvent.objects.filter(wanted.condition(), workspace=workspace).order_by("-at", "-pk")
    if wanted.actor == audit.OPERATOR:
        events = events.filter(audit.by_operators())
    elif wanted.actor:
        events = events.filter(actor__in=_addresses(workspace, wanted.actor))
    if before is None:
        return events
    last = AuditEvent.objects.filter(workspace=workspace, pk=before).first()
    if last is None:
        return events.none()
    return events.filter(Q(at__lt=last.at) | Q(at=last.at, pk__lt=last.pk), at__lte=last.at)


def _begins(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))
