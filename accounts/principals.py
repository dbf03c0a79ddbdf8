"""Who is calling: from a key to a Principal, remembered for at most five seconds.

A change (key made or revoked, suspension, plan) is published after its commit and drops what this process remembers;
entries carry the workspace's generation, so a look-up that began before the drop cannot bring the old answer back.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import timedelta
from threading import Lock
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from accounts.models import ApiKey, Workspace
from accounts.plans import Plan, plan_in_force
from crosswire.lib import clock, hub, keys
from crosswire.lib.database import writing
from crosswire.lib.errors import CrossWireError
from crosswire.lib.text import one_line, printable

CREDENTIALS_CHANGED = "credentials-changed"
STDIO = "stdio"
"""The credential of local mode."""
REMEMBERED_SECONDS = 5.0
REMEMBERED_MOST = 10_000
RESERVED_NAMES = frozenset({"human", "system", "operator", "crosswire", "all"})
_TOUCH_SECONDS = 60

type KeyQuery = QuerySet[ApiKey, ApiKey]


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller of an operation.

    `instance` is the one name a bound credential speaks for; `foreign_instances` are names that belong to other
    credentials. `plan` and `retention_holds` are as of at most five seconds ago: quotas are read with the counters.
    """

    workspace_id: int
    workspace_name: str
    credential: str
    key_name: str
    kind: str
    instance: str | None
    is_read_only: bool
    plan: Plan
    retention_holds: tuple[tuple[int, str], ...]
    foreign_instances: frozenset[str]
    client: str = ""
    begun_at: Any = None

    @property
    def is_verified(self) -> bool:
        """Whether the sender's name is stamped from a bound credential."""
        return self.instance is not None

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
            raise CrossWireError(
                "wrong_instance", f'"{name}" belongs to a key of its own; use that key or another name.'
            )
        return name

    def must_write(self) -> None:
        """Raises: CrossWireError `read_only_key` when the key may only read."""
        if self.is_read_only:
            raise CrossWireError("read_only_key", "This key is read-only; use one that may write.")


def instance_name(field: str, name: str) -> str:
    """Return a legal instance name. Raises: CrossWireError `invalid_input`."""
    one_line(field, name, most=80)
    if name.lower() in RESERVED_NAMES:
        raise CrossWireError("invalid_input", f'"{name}" is a reserved name; choose another {field}.', field=field)
    return name


@dataclass(slots=True)
class _Entry:
    principal: Principal | None
    suspended_reason: str | None
    expires_at: Any
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


def authenticate(key: str, client: str = "") -> Principal:
    """Return who a key is, from memory or from the database; note when and from where it was used.

    Raises: CrossWireError `unauthorized` or `suspended`.
    """
    return recall(key) or _admit(_look_up(keys.digest(key), client))


def missing_key() -> CrossWireError:
    """Return the refusal of a call without a key."""
    refusal = CrossWireError(
        "unauthorized",
        "A key is needed: send it as `Authorization: Bearer KEY`, or as `?api_key=KEY` where no header can be sent.",
    )
    refusal.challenge = 'Bearer realm="CrossWire"'
    return refusal


def _admit(entry: _Entry) -> Principal:
    if entry.principal is None or (entry.expires_at is not None and entry.expires_at <= clock.now()):
        raise CrossWireError(
            "unauthorized", "This key is unknown or was revoked; use one that works, or ask whoever gave it to you."
        )
    if entry.suspended_reason is not None:
        raise _suspended(entry.suspended_reason)
    return entry.principal


def _suspended(reason: str) -> CrossWireError:
    return CrossWireError("suspended", f"This workspace is suspended: {reason or 'ask the operator'}.")


def _look_up(digest: str, client: str) -> _Entry:
    generation = _generation
    row = working(ApiKey.objects.filter(digest=digest)).select_related("workspace").first()
    if row is None:
        entry = _Entry(None, None, None, time.monotonic(), generation)
    else:
        suspended = row.workspace.suspended_reason if row.workspace.suspended_at else None
        entry = _Entry(of_key(row), suspended, row.expires_at, time.monotonic(), generation)
        _note_use(row, client)
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
        **_of_workspace(row.workspace, row.credential),
    )


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
    bound = (
        working(ApiKey.objects.filter(workspace=workspace, kind=ApiKey.Kind.INSTANCE))
        .exclude(credential=credential)
        .values_list("instance_id", flat=True)
    )
    return {
        "workspace_id": workspace.pk,
        "workspace_name": workspace.name,
        "plan": plan_in_force(workspace.plan, workspace.overrides),
        "retention_holds": tuple((hold["days"], hold["until"]) for hold in workspace.retention_holds),
        "foreign_instances": frozenset(bound),
    }


def working(query: KeyQuery) -> KeyQuery:
    """Narrow a query to keys that work now."""
    return query.filter(Q(expires_at=None) | Q(expires_at__gt=clock.now()), revoked_at=None)


def _note_use(row: ApiKey, client: str) -> None:
    """Remember when and from where a key was used, at most once a minute."""
    now = clock.now()
    if row.last_used_at is None or row.last_used_at < now - timedelta(seconds=_TOUCH_SECONDS):
        with writing():
            ApiKey.objects.filter(pk=row.pk).update(last_used_at=now, last_used_client=printable(client, 120))


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
