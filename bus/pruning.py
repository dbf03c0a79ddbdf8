"""Deleting what has expired in one workspace: in short transactions with pauses, so that others go on sending.

Reads never see any of it (bus/retention.py), so it does not matter when it goes, in how many steps, or who else is at
it: whoever is cut off has left nothing half done. No counter of messages is touched. Messages go by their numbers, the
lowest first: at any moment what is left is a suffix of the workspace.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from math import inf
from operator import or_
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery

from accounts import aging, exports, history, pruned
from accounts.models import Workspace
from bus import retention, wakeups
from bus.hot import fetch
from bus.models import ChannelSender, Claim, Counters, Cursor, HandOut, Message, SharedItem
from crosswire.lib import clock
from crosswire.lib.database import writing

MARGIN = timedelta(minutes=1)
"""How long past its time something goes: for another machine, whose clock is a little behind, it has expired too."""
LONG_GONE = timedelta(days=30)
"""An instance unseen for so long loses its cursors, where all they tell of has expired."""
TOGETHER_LEAST, TOGETHER_MOST = 20, 5_000
AIM_SECONDS = 0.02
"""How long a transaction is meant to take; the number of rows follows."""
PAUSE_TIMES, PAUSE_MOST = 6, 0.5
"""The pause after a transaction, in its own length: so much of the time is everybody else's."""
ITEMS_TOGETHER = 20
ITEM_BYTES_TOGETHER = 10_000_000


type Key = int | OuterRef
"""A workspace's key, or that of the row around a query."""


class Edge(NamedTuple):
    """What has expired of a workspace: all that was before a time, and the messages below a number."""

    workspace_id: int
    now: datetime
    cutoff: datetime
    first: int


@dataclass(frozen=True)
class Kind:
    """Something that ages: its name in records, and which rows of a workspace may have expired, now and where what was
    before a time has. `age`: the fields that say which of them is the oldest.

    `own`: those that have, where that takes more. `order`: the field that an index of the workspace's goes by, where
    there may be very many. `lasting`: what a row must still be when it is deleted, where a call may have changed it
    since it was found.
    """

    name: str
    old: Callable[[Key, datetime, datetime], QuerySet[Any]]
    age: tuple[str, ...]
    own: Callable[[Edge], QuerySet[Any]] | None = None
    order: str = ""
    lasting: Callable[[Edge], Q] = lambda edge: Q()

    def rows(self, edge: Edge) -> QuerySet[Any]:
        """Return the rows of a workspace that have expired."""
        return self.own(edge) if self.own else self.old(edge.workspace_id, edge.now, edge.cutoff)

    def oldest(self, now: datetime, cutoff: datetime) -> Subquery:
        """Return the oldest of such rows, of the workspace of the query around.

        Not whether there is any: that PostgreSQL may look for by reading all workspaces' rows until one fits.
        """
        return Subquery(self.old(OuterRef("pk"), now, cutoff).order_by(*self.age).values("pk")[:1])


def _messages(edge: Edge) -> QuerySet[Message]:
    return Message.objects.filter(workspace=edge.workspace_id, number__lt=edge.first)


def _senders(edge: Edge) -> QuerySet[ChannelSender]:
    return ChannelSender.objects.filter(workspace=edge.workspace_id, last_number__lt=edge.first)


def _cursors(edge: Edge) -> QuerySet[Cursor]:
    """Return those without which nothing more is unread: all of their numbers have expired."""
    return _unseen(edge.workspace_id, edge.now, edge.cutoff).filter(_is_behind(edge), instance__waits=None)


def _unseen(key: Key, now: datetime, cutoff: datetime) -> QuerySet[Cursor]:
    found = Cursor.objects.filter(workspace=key, instance__last_seen_at__lt=now - LONG_GONE)
    return found.none() if cutoff == retention.NEVER else found


def _is_behind(edge: Edge) -> Q:
    shown = Q(shown_to=None) | Q(shown_to__lt=edge.first)
    pending = Q(pending_shown=None) | Q(pending_shown__lt=edge.first)
    return shown & pending & Q(read_to__lt=edge.first, handed_to__lt=edge.first)


_ITEMS = Kind(
    pruned.SHARED_DATA,
    lambda key, now, cutoff: SharedItem.objects.filter(workspace=key, created_at__lt=cutoff),
    ("created_at",),
)
KINDS = (
    Kind(
        "messages",
        lambda key, now, cutoff: Message.objects.filter(workspace=key, created_at__lt=cutoff),
        ("created_at", "number"),
        _messages,
        order="number",
    ),
    _ITEMS,
    Kind(  # of answers that held nothing later: a hand-out is never older than its messages
        "hand_outs",
        lambda key, now, cutoff: HandOut.objects.filter(workspace=key, at__lt=cutoff),
        ("at",),
        order="at",
    ),
    Kind(
        "channel_senders",
        lambda key, now, cutoff: ChannelSender.objects.filter(workspace=key, last_at__lt=cutoff),
        ("last_at",),
        _senders,
        lasting=lambda edge: Q(last_number__lt=edge.first),
    ),
    Kind("cursors", _unseen, ("instance__last_seen_at",), _cursors, lasting=_is_behind),
    Kind(
        "claims",
        lambda key, now, cutoff: Claim.objects.filter(workspace=key, until__lt=now),
        ("until",),
        lasting=lambda edge: Q(until__lt=edge.now),
    ),
    Kind("usage_days", lambda key, now, cutoff: aging.usage_days(key, now), ("day",), order="day"),
    Kind("keys", lambda key, now, cutoff: aging.keys(key, now), ("created_at",)),
)
"""Everything that ages in a workspace, in the order it goes: the senders of messages after those."""


class ClockApart(Exception):  # noqa: N818 - says what is wrong
    """What has expired for this machine may not have for others, and deleting is for good."""


def check_clock() -> None:
    """Raises: ClockApart where this machine's clock is not the database server's, but for the margin."""
    if connection.vendor == "postgresql":
        [(theirs,)] = fetch("SELECT clock_timestamp()", [])
        apart = clock.of_machine() - theirs
        if abs(apart) > MARGIN:
            raise ClockApart(f"Nothing is deleted: this machine's clock is {apart} off the database server's.")


def edge_of(workspace: Workspace) -> Edge:
    """Return what has expired of a workspace as its row says now."""
    cutoff = retention.cutoff_of(workspace)
    if cutoff == retention.NEVER:
        return Edge(workspace.pk, clock.now(), cutoff, 0)
    first, _ = retention.first_since(workspace.pk, cutoff - MARGIN)
    return Edge(workspace.pk, clock.now(), cutoff - MARGIN, first)


def due(workspaces: Iterable[Workspace]) -> set[int]:
    """Return the keys of those where something may have expired, by one statement for each retention among them."""
    now, found = clock.now(), set()
    alike: defaultdict[int | None, list[int]] = defaultdict(list)
    for each in workspaces:
        try:
            alike[history.days_kept(each, now)].append(each.pk)
        except Exception:  # noqa: BLE001 - what is wrong with it is told when it is pruned
            found.add(each.pk)
    for days, keys in alike.items():
        found.update(with_old(keys, now, retention.before(days)).values_list("pk", flat=True))
    return found


def with_old(keys: Collection[int], now: datetime, cutoff: datetime) -> QuerySet[Workspace]:
    """Return those of some workspaces that have anything which may have expired."""
    oldest = {f"old_{kind.name}": kind.oldest(now, cutoff) for kind in KINDS}
    is_any = reduce(or_, (Q(**{f"{name}__isnull": False}) for name in oldest))
    return Workspace.objects.alias(**oldest).filter(is_any, pk__in=keys)


def preview(workspace: Workspace) -> Counter[str]:
    """Return how many rows of what would go now."""
    edge = edge_of(workspace)
    counts = Counter({kind.name: kind.rows(edge).count() for kind in KINDS})
    return +counts


def prune(workspace_id: int, alive: Callable[[], None] = lambda: None, until: float = inf) -> tuple[Counter[str], bool]:
    """Delete what has expired; return how many rows of what, and whether that was all.

    `alive` is called between two transactions; past `until` (monotonic seconds) it stops. Safe to run beside itself:
    a row is counted by who deleted it. Raises: what went wrong first, when all other kinds are done.
    """
    counts: Counter[str] = Counter()
    problem: Exception | None = None
    for kind in _waiting(workspace_id):
        try:
            for count in _deleted(kind, workspace_id):
                counts[kind.name] += count
                alive()
                if time.monotonic() > until:
                    return +counts, False
        except Exception as found:  # noqa: BLE001 - raised below: it holds up no other kind
            problem = problem or found
    if problem is not None:
        raise problem
    return +counts, True


def _waiting(workspace_id: int) -> list[Kind]:
    """Return the kinds of which something has expired, by one statement: mostly there are none.

    Whether any of it may go now is asked when it goes.
    """
    row = Workspace.objects.filter(pk=workspace_id).first()
    if row is None:
        return []
    edge = edge_of(row)
    asked = [Exists(kind.rows(edge)) for kind in KINDS]
    found = Workspace.objects.filter(pk=workspace_id).values_list(*asked).first()
    return [kind for kind, is_there in zip(KINDS, found or (), strict=False) if is_there]


def _deleted(kind: Kind, workspace_id: int) -> Iterator[int]:
    """Delete all of a kind; yield after each transaction how many went. Then comes a pause for everybody else."""
    together, is_more = 200, True
    floor: Any = None
    while is_more:
        begun = time.monotonic()
        count, floor, is_more = _step(kind, workspace_id, together, floor)
        took = time.monotonic() - begun
        yield count
        if is_more:
            time.sleep(min(PAUSE_MOST, PAUSE_TIMES * took))
            aimed = int(together * AIM_SECONDS / max(took, 0.001))
            together = max(TOGETHER_LEAST, min(TOGETHER_MOST, 2 * together, aimed))


type Step = tuple[int, Any, bool]
"""How many rows went, up to where in the kind's order, and whether there may be more."""


def _step(kind: Kind, workspace_id: int, together: int, floor: Any) -> Step:
    """Do one transaction. The workspace's row is locked: its plan stays, nobody begins an export, one prunes at a time.

    What sends lock is another row.
    """
    with writing():
        locked = Workspace.objects.select_for_update(no_key=True).filter(pk=workspace_id, closing_at=None).first()
        if locked is None or exports.is_being_made(locked):
            return 0, None, False
        edge = edge_of(locked)
        if kind.name == pruned.SHARED_DATA:
            return _expire_some(edge)
        rows = kind.rows(edge)
        done = _step_in_order(rows, kind.order, together, floor) if kind.order else _step_anyhow(kind, edge, together)
        if done[0]:
            pruned.note(workspace_id, kind.name, done[0])
        return done


def _step_in_order(rows: QuerySet[Any], order: str, together: int, floor: Any) -> Step:
    """Delete the first rows from where the last step ended: before that an index may be full of what is dead."""
    if floor is not None:
        rows = rows.filter(**{f"{order}__gt": floor})
    last = rows.order_by(order).values_list(order, flat=True)[together - 1 : together].first()
    count, _ = (rows if last is None else rows.filter(**{f"{order}__lte": last})).delete()
    return count, last, last is not None


def _step_anyhow(kind: Kind, edge: Edge, together: int) -> Step:
    rows = kind.rows(edge)
    keys = list(rows.values_list("pk", flat=True)[:together])
    own = rows.model._default_manager.filter(workspace=edge.workspace_id, pk__in=keys)  # noqa: SLF001 - any model
    count, _ = own.filter(kind.lasting(edge)).delete()
    return count, None, len(keys) == together


def _expire_some(edge: Edge) -> Step:
    """Delete some shared items; who shares waits meanwhile, so they are few and not large."""
    counters = Counters.objects.select_for_update().get(workspace=edge.workspace_id)
    found = list(_ITEMS.rows(edge).values_list("pk", "size_bytes")[:ITEMS_TOGETHER])
    some: list[int] = []
    size = 0
    for pk, size_bytes in found:
        size += size_bytes
        if some and size > ITEM_BYTES_TOGETHER:
            break
        some.append(pk)
    count = expire_items(counters, _ITEMS.rows(edge).filter(pk__in=some))
    counters.save(update_fields=["data_bytes"])
    return count, None, len(some) < len(found) or len(found) == ITEMS_TOGETHER


def expire_items(counters: Counters, items: QuerySet[SharedItem]) -> int:
    """Delete expired shared items under the lock of the counters, which the caller saves; return how many.

    It is recorded by name and told to who listens: nobody else would say where they went.
    """
    found = list(items.values_list("pk", "key", "size_bytes"))
    if not found:
        return 0
    SharedItem.objects.filter(workspace=counters.workspace_id, pk__in=[pk for pk, _, _ in found]).delete()
    counters.data_bytes -= sum(size for _, _, size in found)
    keys = [key for _, key, _ in found]
    pruned.note(counters.workspace_id, pruned.SHARED_DATA, len(keys), keys)
    for key in keys:
        wakeups.data_changed(counters.workspace_id, key)
    return len(keys)
