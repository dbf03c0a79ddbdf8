"""Instances: arriving, presence, places, leaving."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from accounts import audit
from accounts.principals import Principal
from bus import access, hot, presence, retention
from bus.models import Counters, Instance, Wait
from bus.results import InstanceItem, Instances, Ok, Registered
from bus.services import channels, endings, limits
from crosswire.lib import clock
from crosswire.lib.database import writing
from crosswire.lib.errors import CrossWireError, not_found

LISTED_MOST = 500


def register(
    principal: Principal, *, instance_id: str, description: str = "", client: str = "", takeover: bool = False
) -> Registered:
    """Join, or come back: the same credential naming the same instance is the same agent.

    Raises: CrossWireError `instance_in_use` (another client waits under that name; `takeover` ends its wait),
    `limit_reached`, `wrong_instance`, `read_only_key`.
    """
    principal.must_write()
    name = principal.speaks_for("instance_id", instance_id)
    assert name is not None
    with writing():
        known = Instance.objects.filter(workspace=principal.workspace_id, name=name).first()
        if known is not None:
            _end_rival_waits(principal, known, client or principal.client, takeover=takeover)
        instance = admit(principal, name)
        instance.description = description or instance.description
        instance.client = client or principal.client or instance.client
        instance.save(update_fields=["description", "client"])
    return {
        "ok": True,
        "instance_id": name,
        "is_new": known is None,
        "channels": channels.list_all(principal)["channels"],
        "instances": list_all(principal)["instances"],
        "unread": unread(principal, name),
    }


def unregister(principal: Principal, *, instance_id: str) -> Ok:
    """Leave: offline at once, and the place is free. Raises: CrossWireError `not_found` for an unknown instance."""
    principal.must_write()
    name = principal.speaks_for("instance_id", instance_id)
    with writing():
        gone = Instance.objects.filter(workspace=principal.workspace_id, name=name)
        if not gone.update(left_at=clock.now()):
            raise not_found(f'There is no instance "{name}" here.')
        endings.end(access.open_waits(principal).filter(instance__name=name), "unregistered")
    return {"ok": True}


def leave_with(principal: Principal, names: Collection[str], process: str) -> None:
    """Take the instances of a process that ends as gone at once, but for those that wait in another process too."""
    elsewhere = access.open_waits(principal).exclude(process=process).values("instance")
    with writing():
        Instance.objects.filter(workspace=principal.workspace_id, name__in=names, left_at=None).exclude(
            pk__in=elsewhere.exclude(instance=None)
        ).update(left_at=clock.now())


def list_all(principal: Principal) -> Instances:
    """Return who takes part, last seen first."""
    now = clock.now()
    rows = list(access.instances(principal)[: LISTED_MOST + 1])
    waiting: dict[int, list[Wait]] = {}
    for wait in access.open_waits(principal).exclude(instance=None).order_by("started_at"):
        waiting.setdefault(wait.instance_id or 0, []).append(wait)
    items = [_item(row, waiting.get(row.pk, []), now) for row in rows[:LISTED_MOST]]
    return {"instances": items, "has_more": True} if len(rows) > LISTED_MOST else {"instances": items}


def _item(row: Instance, waits: list[Wait], now: datetime) -> InstanceItem:
    online = row.left_at is None and (bool(waits) or row.last_seen_at > now - presence.ONLINE)
    return {
        "instance_id": row.name,
        "description": row.description,
        "status": "online" if online else "offline",
        "last_seen": clock.iso(row.last_seen_at),
        "client": row.client,
        "waiting_on": [wait.channel_name or "inbox" for wait in waits],
        "wake": "waiting" if waits else "poll",
    }


def unread(principal: Principal, name: str) -> dict[str, int]:
    """Return how many unread messages an instance has in which channels, five channels at most."""
    found = hot.standing(principal.workspace_id, name, None, retention.first_live(principal))
    return tell(found.elsewhere) if found else {}


def tell(places: list[hot.Place]) -> dict[str, int]:
    """Return unread counts by channel, five at most."""
    return {place.channel: place.unread for place in places[: hot.UNREAD_CHANNELS]}


def arrive(
    principal: Principal, name: str, channel: str | None, channels: int = hot.UNREAD_CHANNELS + 1
) -> hot.Standing:
    """Return where an instance stands and take the call as its sign of life, written at most once in 15 s.

    An unknown or long unseen one takes a place first. Raises: CrossWireError `limit_reached`.
    """
    first_live = retention.first_live(principal)
    found = hot.standing(principal.workspace_id, name, channel, first_live, channels)
    now = clock.now()
    if found is None or not found.is_present or found.last_seen_at < now - presence.HOLDS_PLACE:
        with writing():
            admit(principal, name)
        found = hot.standing(principal.workspace_id, name, channel, first_live, channels)
        assert found is not None
    if found.last_seen_at < now - presence.TOUCHED_EVERY:
        Instance.objects.filter(pk=found.instance_id).update(last_seen_at=now)
    return found


_last_signs: dict[tuple[int, str], datetime] = {}
_REMEMBERED_SIGNS = 50_000


def sign_of_life(principal: Principal) -> None:
    """Take a call of a bound key as its instance's sign of life, where the operation itself names no instance.

    An instance unseen for so long that its place is gone is not brought back by this.
    """
    if principal.instance is None or principal.is_read_only:
        return
    key, now = (principal.workspace_id, principal.instance), clock.now()
    if (last := _last_signs.get(key)) is not None and last > now - presence.TOUCHED_EVERY:
        return
    if len(_last_signs) >= _REMEMBERED_SIGNS:
        _last_signs.clear()
    _last_signs[key] = now
    Instance.objects.filter(
        workspace=principal.workspace_id,
        name=principal.instance,
        left_at=None,
        last_seen_at__gte=now - presence.HOLDS_PLACE,
        last_seen_at__lt=now - presence.TOUCHED_EVERY,
    ).update(last_seen_at=now)


def admit(principal: Principal, name: str, counters: Counters | None = None) -> Instance:
    """Give an instance a place and note that it was seen; inside a transaction.

    Only an unseen one is decided under the counters' lock. Raises: CrossWireError `limit_reached`, `suspended`.
    """
    now = clock.now()
    known = Instance.objects.filter(workspace=principal.workspace_id, name=name).first()
    if known is None or known.left_at is not None or known.last_seen_at < now - presence.HOLDS_PLACE:
        counters = counters or access.lock_counters(principal)
        limits.require_place(principal, name, limits.plan_now(principal))
        known, _ = Instance.objects.update_or_create(
            workspace_id=principal.workspace_id,
            name=name,
            defaults={"last_seen_at": now, "left_at": None},
            create_defaults={
                "last_seen_at": now,
                "joined_number": counters.last_number,
                "client": principal.client,
            },
        )
    elif known.last_seen_at < now - presence.TOUCHED_EVERY:
        Instance.objects.filter(pk=known.pk).update(last_seen_at=now)
    return known


def _end_rival_waits(principal: Principal, known: Instance, client: str, *, takeover: bool) -> None:
    """Refuse, or with `takeover` end, what another client has open under this name (names compared, not versions)."""
    rivals = [
        wait
        for wait in access.open_waits(principal).filter(instance=known)
        if family(wait.client) != family(client) and wait.client
    ]
    if not rivals:
        return
    if not takeover:
        free = _free_name(principal, known.name)
        raise CrossWireError(
            "instance_in_use",
            f'"{known.name}" has an open wait from {rivals[0].client}. Register as "{free}", or pass takeover=true to '
            "end that wait.",
            free_name=free,
        )
    endings.end(Wait.objects.filter(pk__in=[wait.pk for wait in rivals]), "superseded")
    audit.record(principal.workspace_id, principal.key_name, "instance.takeover", known.name, client=client)


def family(client: str) -> str:
    """Return a client's name without its version: `claude-code/2.1` is `claude-code`."""
    return client.partition("/")[0].strip().lower()


def _free_name(principal: Principal, name: str) -> str:
    taken = set(access.instances(principal).filter(name__startswith=name[:70]).values_list("name", flat=True))
    return next(free for number in range(2, 10_000) if (free := f"{name[:70]}-{number}") not in taken)
