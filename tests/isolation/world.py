"""Two tenants: Alice, whose workspace is full of marked secrets, and Mallory, who tries them all from her own."""

from __future__ import annotations

import itertools
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, Self

from django.apps import apps
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore

from accounts import pruned
from accounts.models import Member, QuotaWarning, User, Workspace
from billing.models import Customer
from bus.models import Channel, ChannelSubscription, Claim, Counters, Instance, Wait
from bus.operations import OPERATIONS
from crosswire.lib import clock
from tests.support.cast import Caller, make_workspace
from tests.support.messages import change_plan, principal_of, use_up

type Kind = Literal["fresh", "full", "namesake", "read-only"]
"""Mallory with nothing in her workspace; with every limit reached; with a key bound to a name that Alice uses too."""

KINDS: tuple[Kind, ...] = ("fresh", "full", "namesake", "read-only")
_DIGITS = itertools.count(7_310_071, 37)


@dataclass(frozen=True)
class Secrets:
    """What Alice has, all of it recognisable: `text` is in every name and content, `digits` begin every number."""

    text: str
    digits: str

    @classmethod
    def new(cls) -> Self:
        """Return marks that nothing else has; any two are equally long and sort alike against other words.

        Later ones have higher numbers: where an answer holds the newest few, Alice's are among them.
        """
        return cls(f"zq{secrets.token_hex(5)}", str(next(_DIGITS)))

    @property
    def base(self) -> int:
        """The number before Alice's first message."""
        return int(self.digits) * 10**6

    @property
    def channel(self) -> str:
        """A channel of hers; `general` has her secrets too."""
        return f"{self.text}-plans"

    @property
    def coder(self) -> str:
        """An instance of hers."""
        return f"{self.text}-coder"

    @property
    def bound(self) -> str:
        """An instance of hers that has a key of its own."""
        return f"{self.text}-bound"

    @property
    def key(self) -> str:
        """The key of her shared item."""
        return f"{self.text}/shared key"

    @property
    def retry(self) -> str:
        """An idempotency key of hers."""
        return f"{self.text}-retry"

    def marks(self) -> tuple[str, str]:
        """Return what no answer to a stranger may hold."""
        return self.text, self.digits


def make_alice(hers: Secrets) -> Caller:
    """Make Alice's workspace and put something marked into every table."""
    alice = make_workspace("unlimited", hers.text)
    own = {"workspace": alice.workspace}
    Counters.objects.filter(**own).update(last_number=hers.base, month_messages=int(hers.digits), data_bytes=hers.base)
    Workspace.objects.filter(pk=alice.workspace.pk).update(slug=f"{hers.text}slug")

    def do(operation: str, **arguments: Any) -> Any:
        return OPERATIONS[operation](principal_of(alice), arguments)

    for name in (hers.coder, f"{hers.text}-reader"):
        do("register", instance_id=name, description=f"{hers.text} writes code", client=f"{hers.text}-client/1")
    do("create_channel", name=hers.channel, description=f"{hers.text} what we plan")
    for channel in (hers.channel, "general"):
        parent = do(
            "send_message",
            channel=channel,
            sender=hers.coder,
            content=f"{hers.text} secret plan in #{channel}",
            message_type="request",
            idempotency_key=hers.retry if channel == hers.channel else None,
        )
        do("send_message", channel=channel, sender=hers.coder, content=f"{hers.text} re", in_reply_to=parent["id"])
    do("inbox", instance_id=f"{hers.text}-reader")
    do("share_data", key=hers.key, content=f"{hers.text} shared", sender=hers.coder, description=f"{hers.text} item")
    _fill_further_tables(alice, hers)
    return alice.with_key(hers.bound)


def _fill_further_tables(alice: Caller, hers: Secrets) -> None:
    own = {"workspace": alice.workspace}
    coder, channel = Instance.objects.get(name=hers.coder, **own), Channel.objects.get(name=hers.channel, **own)
    hour = clock.now() + timedelta(hours=1)
    Wait.objects.create(
        **own,
        token=f"{hers.text}-token",
        kind=Wait.Kind.TASK,
        channel_name=hers.channel,
        instance=Instance.objects.get(name=f"{hers.text}-reader", **own),
        credential=f"{hers.text}-credential",
        client=f"{hers.text}-client/1",
        until=hour,
    )
    Claim.objects.create(**own, number=hers.base + 1, instance=coder, until=hour)
    ChannelSubscription.objects.create(**own, channel=channel, instance=coder)
    QuotaWarning.objects.create(**own, month=202611, what="messages", limit=int(hers.digits), line=80)
    payer = Customer.objects.create(**own, workspace_slug=f"{hers.text}slug", stripe_id=f"cus_{hers.text}")
    payer.invoices.create(stripe_id=f"in_{hers.text}", number=f"{hers.text}-1", created_at=clock.now())
    payer.happenings.create(kind="resumed", about=hers.text, details={"plan": "pro", "by": f"{hers.text}@example.com"})
    pruned.note(alice.workspace.pk, pruned.SHARED_DATA, 1, [f"{hers.text}/expired key"])
    user = User.objects.create_user(f"{hers.text}@example.com", name=f"{hers.text} Alice")
    Member.objects.create(**own, user=user, role=Member.Role.OWNER)


def rows_of(alice: Caller) -> dict[str, list[dict[str, Any]]]:
    """Return every row of a workspace, by table."""
    found: dict[str, list[dict[str, Any]]] = {
        "Workspace": [dict(row) for row in Workspace.objects.filter(pk=alice.workspace.pk).values()]
    }
    for model in apps.get_models():
        if any(column.name == "workspace" for column in model._meta.concrete_fields):
            rows = model._default_manager.filter(workspace=alice.workspace).order_by("pk")
            found[model.__name__] = list(rows.values())
    return found


@dataclass
class Mallory:
    """A stranger: her keys, and everything of Alice's that she has named so far."""

    caller: Caller
    named: set[str] = field(default_factory=set)

    @classmethod
    def make(cls, kind: Kind, alices: Secrets) -> Self:
        """Make a workspace for her."""
        mallory = make_workspace(name="mallory")
        match kind:
            case "namesake":
                return cls(mallory.with_key(alices.coder), {alices.coder})
            case "read-only":
                return cls(mallory.with_key(read_only=True))
            case "full":
                _fill_up(mallory)
        return cls(mallory)

    def session(self) -> str:
        """Log her in as the owner of her workspace and return the cookie's value."""
        user = User.objects.create_user(f"{secrets.token_hex(6)}@example.com", "a password")
        Member.objects.create(workspace=self.caller.workspace, user=user, role=Member.Role.OWNER)
        session = SessionStore()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.create()
        return str(session.session_key)


def _fill_up(mallory: Caller) -> None:
    """Reach every limit of the plan, so that each refusal which names what is in the way is met."""
    for number in range(2):
        arguments = {"channel": f"room-{number}", "sender": f"agent-{number}", "content": "mine"}
        OPERATIONS["send_message"](principal_of(mallory), arguments)
    change_plan(mallory, "free", messages=2, data_bytes=1)
    use_up(mallory, 2)
