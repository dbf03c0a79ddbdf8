"""Who is calling: from a key to a Principal, remembered for at most five seconds.

A change (key made or revoked, suspension, plan) is published after its commit and drops what this process remembers;
entries carry the workspace's generation, so a look-up that began before the drop cannot bring the old answer back.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from threading import Lock
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from accounts import roles, sessions, uses
from accounts.models import ApiKey, Member, Workspace
from accounts.plans import Plan, plan_in_force
from crosswire.lib import clock, hub, keys
from crosswire.lib.errors import CrossWireError
from crosswire.lib.text import one_line, printable

CREDENTIALS_CHANGED = "credentials-changed"
STDIO = "stdio"
"""The credential of local mode."""
REMEMBERED_SECONDS = 5.0
REMEMBERED_MOST = 10_000
RESERVED_NAMES = frozenset({"human", "system", "operator", "crosswire", "all"})
PERSON = "human:"
"""How the sender of a person's message begins; no instance may be named so."""

type KeyQuery = QuerySet[ApiKey, ApiKey]


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller of an operation.

    `instance` is the one name a bound credential speaks for; `foreign_instances` are names that belong to other
    credentials. `protocol` is what its client speaks, as `uses` tells it, and `hears_by` how that can hear of news
    unasked: `events` (REST), `listen` (MCP 2026-07-28), or "" not at all. `session` is what a person's open page was
    signed in by. `plan` and `retention_holds` are as of at most five seconds ago: quotas are read with the counters.
    """

    workspace_id: int
    workspace_slug: str
    workspace_name: str
    credential: str
    key_name: str
    kind: str
    instance: str | None
    is_read_only: bool
    plan: Plan
    retention_holds: tuple[tuple[int | None, str], ...]
    foreign_instances: frozenset[str]
    client: str = ""
    begun_at: Any = None
    key_id: int | None = None
    member_id: int | None = None
    expires_at: Any = None
    hears_by: str = "events"
    protocol: str = uses.REST
    session: str = ""

    @property
    def is_verified(self) -> bool:
        """Whether the sender's name is stamped from a bound credential."""
        return self.instance is not None

    @property
    def seconds_left(self) -> float:
        """How long the key works at most."""
        return inf if self.expires_at is None else max(0.0, (self.expires_at - clock.now()).total_seconds())

    def calling(self, client: str) -> Principal:
        """Return the caller of one call: with the client it comes from and the time it began."""
        return replace(self, client=printable(client, 120), begun_at=clock.now())

    def speaks_for(self, field: str, name: str | None) -> str | None:
        """Return the instance this call speaks for: the bound one, or the one it names.

        Raises: CrossWireError `wrong_instance`, or `invalid_input` for a malformed or reserved name.
        """
        if self.instance is not None:
            if name not in (None, "", self.instance):
                raise CrossWireError(
                    "wrong_instance",
                    f'This key speaks for "{self.instance}" alone; leave {field} out or name that one.',
                    instance_id=self.instance,
                )
            return self.instance
        if name is None:
            return None
        if not name:
            raise CrossWireError("invalid_input", f"{field} is missing: say which instance you are.", field=field)
        instance_name(field, name)
        if name in self.foreign_instances:
            raise _foreign(name)
        return name

    def must_write(self) -> None:
        """Raises: CrossWireError `read_only_key` when the key may only read."""
        if self.is_read_only:
            raise _read_only()


def _read_only() -> CrossWireError:
    return CrossWireError("read_only_key", "This key is read-only; use one that may write.")


def _foreign(name: str) -> CrossWireError:
    return CrossWireError("wrong_instance", f'"{name}" belongs to a key of its own; use that key or another name.')


def instance_name(field: str, name: str) -> str:
    """Return a legal instance name. Raises: CrossWireError `invalid_input`."""
    one_line(field, name, most=80)
    if name.lower() in RESERVED_NAMES or name.lower().startswith(PERSON):
        raise CrossWireError("invalid_input", f'"{name}" is a reserved name; choose another {field}.', field=field)
    return name


@dataclass(slots=True)
class _Entry:
    principal: Principal | None
    suspended_reason: str | None
    read_at: float
    generation: int


_entries: OrderedDict[str, _Entry] = OrderedDict()
_generation = 0
_lock = Lock()


def recall(key: str) -> Principal | None:
    """Return the remembered principal of a key, None when the database has to be asked.

    Raises: CrossWireError `unauthorized` or `suspended`, as remembered.
    """
    entry = _entries.get(keys.digest(key))
    if entry is None or time.monotonic() - entry.read_at > REMEMBERED_SECONDS:
        return None
    return _admit(entry)


def authenticate(key: str) -> Principal:
    """Return who a key is, from memory or from the database.

    Raises: CrossWireError `unauthorized` or `suspended`.
    """
    return recall(key) or _admit(_look_up(keys.digest(key)))


def missing_key() -> CrossWireError:
    """Return the refusal of a call without a key."""
    refusal = CrossWireError(
        "unauthorized",
        "A key is needed: send it as `Authorization: Bearer KEY`, or as `?api_key=KEY` where no header can be sent.",
    )
    refusal.challenge = 'Bearer realm="CrossWire"'
    return refusal


def _admit(entry: _Entry) -> Principal:
    if entry.principal is None or not entry.principal.seconds_left:
        raise _no_such_key()
    if entry.suspended_reason is not None:
        raise _suspended(entry.suspended_reason)
    return entry.principal


def _no_such_key() -> CrossWireError:
    return CrossWireError(
        "unauthorized", "This key is unknown or was revoked; use one that works, or ask whoever gave it to you."
    )


def _suspended(reason: str) -> CrossWireError:
    return CrossWireError("suspended", f"This workspace is suspended: {reason or 'ask the operator'}.")


def _look_up(digest: str) -> _Entry:
    generation = _generation
    row = working(ApiKey.objects.filter(digest=digest)).select_related("workspace").first()
    if row is None:
        entry = _Entry(None, None, time.monotonic(), generation)
    else:
        suspended = row.workspace.suspended_reason if row.workspace.suspended_at else None
        entry = _Entry(of_key(row), suspended, time.monotonic(), generation)
        uses.remember(row)
    with _lock:
        if generation == _generation and row is not None:  # wrong keys are not remembered: they could fill the memory
            _entries[digest] = entry
            _entries.move_to_end(digest)
            while len(_entries) > REMEMBERED_MOST:
                _entries.popitem(last=False)
    return entry


def of_key(row: ApiKey) -> Principal:
    """Return the principal of a stored key."""
    return Principal(
        credential=row.credential,
        key_name=row.name,
        kind=f"{row.kind}_key",
        instance=row.instance_id or None,
        is_read_only=row.is_read_only,
        key_id=row.pk,
        expires_at=row.expires_at,
        **_of_workspace(row.workspace, row.credential),
    )


def credential_of(member: Member) -> str:
    """Return the name of what a member calls with."""
    return f"member:{member.pk}"


def of_member(member: Member) -> Principal:
    """Return the caller behind the pages: a person in a workspace. Viewers may only read."""
    return Principal(
        credential=credential_of(member),
        key_name=member.user.get_full_name(),
        kind="member",
        instance=None,
        is_read_only=not roles.may(member.role, roles.Action.POST),
        member_id=member.pk,
        **_of_workspace(member.workspace, credential_of(member)),
    )


def of_job(workspace: Workspace) -> Principal:
    """Return the caller behind a job that reads a workspace for its people, suspended or not."""
    return Principal(
        credential="job",
        key_name="job",
        kind="job",
        instance=None,
        is_read_only=True,
        **_of_workspace(workspace, "job"),
    )


def check_again(held: Principal, name: str | None = None) -> None:
    """Raises: CrossWireError as a new call would, when something was taken from a caller since it was looked up.

    `name` is the instance it speaks for.
    """
    if (refusal := refusals([held])[0]) is not None:
        raise refusal
    if name and _bound_elsewhere(held.workspace_id, held.credential).filter(instance_id=name).exists():
        raise _foreign(name)


def refusals(held: Sequence[Principal]) -> list[CrossWireError | None]:
    """Return for each of these callers how it would be refused now what it could do when it was looked up."""
    keys_now = working(ApiKey.objects.filter(pk__in={each.key_id for each in held})).select_related("workspace")
    rows = {row.pk: row for row in keys_now}
    people = {each.member_id for each in held if each.member_id is not None}
    members = (
        {row.pk: row for row in Member.objects.select_related("workspace").filter(pk__in=people)} if people else {}
    )
    opened_by = {each.session for each in held if each.session}
    signed_in = sessions.alive(opened_by) if opened_by else set()
    local = {each.workspace_id for each in held if each.key_id is None and each.member_id is None}
    homes = {row.pk: row for row in Workspace.objects.filter(pk__in=local)} if local else {}
    return [
        _lost_by_member(each, members.get(each.member_id), is_signed_in=not each.session or each.session in signed_in)
        if each.member_id is not None
        else _lost(each, row := rows.get(each.key_id or 0), row.workspace if row else homes.get(each.workspace_id))
        for each in held
    ]


def _lost_by_member(held: Principal, member: Member | None, *, is_signed_in: bool) -> CrossWireError | None:
    if not is_signed_in:
        return CrossWireError("unauthorized", "You are signed out.")
    if member is None:
        return CrossWireError("unauthorized", "You are no longer a member of this workspace.")
    if member.workspace.suspended_at:
        return _suspended(member.workspace.suspended_reason)
    if not held.is_read_only and not roles.may(member.role, roles.Action.POST):
        return _read_only()
    return None


def _lost(held: Principal, row: ApiKey | None, workspace: Workspace | None) -> CrossWireError | None:
    if workspace is None:
        return _no_such_key()
    if workspace.suspended_at:
        return _suspended(workspace.suspended_reason)
    if row is None:  # local mode has no key
        return None
    if row.is_read_only and not held.is_read_only:
        return _read_only()
    if (row.instance_id or None) != held.instance:
        return CrossWireError("wrong_instance", f'This key now speaks for "{row.instance_id}" alone.')
    return None


def of_stdio(workspace_id: int) -> Principal:
    """Return the caller of local mode, who needs no key: whoever may open the database speaks for the workspace.

    Raises: CrossWireError `suspended`.
    """
    workspace = Workspace.objects.get(pk=workspace_id)
    if workspace.suspended_at:
        raise _suspended(workspace.suspended_reason)
    return Principal(
        credential=STDIO,
        key_name=STDIO,
        kind=STDIO,
        instance=None,
        is_read_only=False,
        **_of_workspace(workspace, STDIO),
    )


def _of_workspace(workspace: Workspace, credential: str) -> dict[str, Any]:
    """Return what a principal is told of its workspace."""
    bound = _bound_elsewhere(workspace.pk, credential).values_list("instance_id", flat=True)
    return {
        "workspace_id": workspace.pk,
        "workspace_slug": workspace.slug,
        "workspace_name": workspace.name,
        "plan": plan_in_force(workspace.plan, workspace.overrides),
        "retention_holds": tuple((hold["days"], hold["until"]) for hold in workspace.retention_holds),
        "foreign_instances": frozenset(bound),
    }


def _bound_elsewhere(workspace_id: int, credential: str) -> KeyQuery:
    """Return the keys of a workspace that are bound to an instance and belong to another credential."""
    bound = working(ApiKey.objects.filter(workspace=workspace_id, kind=ApiKey.Kind.INSTANCE))
    return bound.exclude(credential=credential)


def working(query: KeyQuery) -> KeyQuery:
    """Narrow a query to keys that work now."""
    return query.filter(Q(expires_at=None) | Q(expires_at__gt=clock.now()), revoked_at=None)


def drop_after_commit(workspace_id: int) -> None:
    """Have every process forget what it remembers of a workspace, once this transaction is committed."""
    transaction.on_commit(lambda: hub.publish(CREDENTIALS_CHANGED, {"workspace": workspace_id}))


def _forget(payload: dict[str, Any]) -> None:
    global _generation  # noqa: PLW0603 - guarded by the lock
    with _lock:
        _generation += 1
        for digest in [
            d for d, e in _entries.items() if e.principal and e.principal.workspace_id == payload["workspace"]
        ]:
            del _entries[digest]


hub.subscribe(CREDENTIALS_CHANGED, _forget)
