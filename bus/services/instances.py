"""Instances: arriving, presence, places, leaving."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from accounts import audit
from accounts.principals import Principal, instance_name
from bus import access, clients, hot, presence, retention
from bus.models import Claim, Counters, Instance, Wait
from bus.results import InstanceItem, Instances, Ok, Registered, ToInstance, Unread, WaitItem
from bus.services import channels, endings, limits
from crosswire.lib import clock
from crosswire.lib.database import writing
from crosswire.lib.errors import CrossWireError, not_found

LISTED_MOST = 500
SHOWN_CHANNELS = 200
SHOWN_TO_NEWCOMERS = 30


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
        rivals = _rival_waits(principal, known, client or principal.client, takeover=takeover) if known else []
        instance = admit(principal, name)
        instance.description = description or instance.description
        said = principal.client if clients.is_named(principal.client) or not instance.client else ""
        instance.client = client or said or instance.client
        instance.save(update_fields=["description", "client"])
        if rivals:  # after the instance, as whoever else ends its waits locks them
            endings.end(Wait.objects.filter(workspace=principal.workspace_id, pk__in=rivals), "superseded")
            audit.record(
                principal.workspace_id, principal.key_name, "instance.takeover", name, client=client or principal.client
            )
    return {
        "ok": True,
        "instance_id": name,
        "is_new": known is None,
        "channels": channels.list_all(principal)["channels"],
        "instances": _shown_to_newcomers(principal),
        "unread": {},
        **news(principal, name),
    }


def _shown_to_newcomers(principal: Principal) -> list[InstanceItem]:
    """Return who takes part: whoever is online first, then who was seen last, and not more than helps."""
    known = list_all(principal)["instances"]
    return sorted(known, key=lambda each: each["status"] != "online")[:SHOWN_TO_NEWCOMERS]


def unregister(principal: Principal, *, instance_id: str) -> Ok:
    """Leave: offline at once, the place is free, its claims end.

    Raises: CrossWireError `not_found` for an unknown instance.
    """
    principal.must_write()
    name = principal.speaks_for("instance_id", instance_id)
    assert name is not None
    with writing():
        _leave(principal, name)
    return {"ok": True}


def free_place(principal: Principal, *, instance_id: str, actor: str) -> None:
    """Have an instance leave because a person says so, one with a key of its own too; whoever calls asked the roles.

    Raises: CrossWireError `not_found` for an unknown instance, `invalid_input` for what is no name.
    """
    principal.must_write()
    name = instance_name("instance_id", instance_id)
    with writing():
        _leave(principal, name)
        audit.record(principal.workspace_id, actor, "instance.freed", name)


def _leave(principal: Principal, name: str) -> None:
    """Take an instance as gone, inside a transaction. Raises: CrossWireError `not_found`."""
    gone = Instance.objects.filter(workspace=principal.workspace_id, name=name)
    if not gone.update(left_at=clock.now()):
        raise not_found(f'There is no instance "{name}" here.')
    Claim.objects.filter(workspace=principal.workspace_id, instance__name=name).delete()
    endings.end(access.unended_waits(principal).filter(instance__name=name), "unregistered")


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
    items = [item(row, waiting.get(row.pk, []), now) for row in rows[:LISTED_MOST]]
    return {"instances": items, "has_more": True} if len(rows) > LISTED_MOST else {"instances": items}


def item(row: Instance, waits: Sequence[Wait], now: datetime) -> InstanceItem:
    """Return an instance as clients see it. `waits`: its open ones."""
    online = row.left_at is None and (bool(waits) or row.last_seen_at > now - presence.ONLINE)
    shown = [_wait(wait) for wait in waits]
    places = [each["channel"] or "inbox" for each in shown if each["kind"] != "events"]
    return {
        "instance_id": row.name,
        "description": row.description,
        "status": "online" if online else "offline",
        "last_seen": clock.iso(row.last_seen_at),
        "client": row.client,
        "waiting_on": places,
        "wake": "waiting" if places else "events" if shown else "poll",
        "waits": shown,
    }


def _wait(wait: Wait) -> WaitItem:
    match wait.kind:
        case Wait.Kind.TASK | Wait.Kind.EVENTS:
            kind = wait.kind
        case _:
            kind = "wait" if wait.channel_name else "inbox"
    return {
        "channel": wait.channel_name or None,
        "kind": kind,
        "role": wait.role,
        "since": clock.iso(wait.started_at),
        "until": clock.iso(wait.until),
    }


def news(principal: Principal, name: str) -> ToInstance:
    """Return what an answer to an instance tells beside what was asked for; nothing where there is nothing to tell."""
    found = hot.standing(principal.workspace_id, name, None, retention.first_live(principal))
    return tell(found, found.elsewhere) if found else {}


def news_of_caller(principal: Principal) -> ToInstance:
    """Return the same for the instance that a key is bound to, where the operation itself names no instance."""
    return {} if principal.instance is None or principal.is_read_only else news(principal, principal.instance)


def show_unread(principal: Principal, *, instance_id: str) -> Unread:
    """Return what an instance has not read, by channel; nothing is marked, and it is no sign of life.

    Raises: CrossWireError `not_found` for an unknown instance, `wrong_instance`.
    """
    name = principal.speaks_for("instance_id", instance_id)
    assert name is not None
    found = hot.standing(principal.workspace_id, name, None, retention.first_live(principal), SHOWN_CHANNELS + 1)
    if found is None:
        raise not_found(f'There is no instance "{name}" here.')
    shown = {place.channel: place.unread for place in found.elsewhere[:SHOWN_CHANNELS]}
    return {"instance_id": name, "unread": shown, "has_more": len(found.elsewhere) > SHOWN_CHANNELS}


def tell(found: hot.Standing, places: Sequence[hot.Place]) -> ToInstance:
    """Return the unread counts of these channels, five at most, and where a task waits for which no client asks."""
    told: ToInstance = {}
    if places:
        told["unread"] = {place.channel: place.unread for place in places[: hot.UNREAD_CHANNELS]}
    if found.unheard is not None:
        told["unheard"] = found.unheard or "inbox"
    return told


def arrive(
    principal: Principal,
    name: str,
    channel: str | None,
    channels: int = hot.UNREAD_CHANNELS + 1,
    *,
    is_call: bool = True,
) -> hot.Standing:
    """Return where an instance stands and take the call as its sign of life, written at most once in 15 s.

    An unknown or long unseen one takes a place first. `is_call`: not just a look of its wait, which shows nothing of
    its client. Raises: CrossWireError `limit_reached`.
    """
    first_live = retention.first_live(principal)
    found = hot.standing(principal.workspace_id, name, channel, first_live, channels)
    if found is None or not holds_place(found):
        with writing():
            admit(principal, name)
        found = hot.standing(principal.workspace_id, name, channel, first_live, channels)
        assert found is not None
    if is_call:
        touch(principal, found)
    return found


def holds_place(found: hot.Standing) -> bool:
    """Return whether an instance has one of the plan's places."""
    return presence.holds_place(found.last_seen_at, clock.now(), is_present=found.is_present)


def touch(principal: Principal, *found: hot.Standing) -> None:
    """Note that instances are there, each at most once in 15 s; several but for those that are locked just now."""
    now = clock.now()
    due = [each.instance_id for each in found if each.last_seen_at < now - presence.TOUCHED_EVERY]
    rows = Instance.objects.filter(workspace=principal.workspace_id)
    if len(due) > 1:  # to queue for several rows of others would be a deadlock with whoever locks them
        with writing():
            free = rows.filter(pk__in=due).select_for_update(skip_locked=True, no_key=True)
            rows.filter(pk__in=list(free.values_list("pk", flat=True))).update(last_seen_at=now)
    elif due:
        rows.filter(pk__in=due).update(last_seen_at=now)


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
    if known is None or not presence.holds_place(known.last_seen_at, now, is_present=known.left_at is None):
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


def _rival_waits(principal: Principal, known: Instance, client: str, *, takeover: bool) -> list[int]:
    """Return the keys of what another client has open under this name (names compared, not versions).

    Raises: CrossWireError `instance_in_use` when there is some and it is not to be taken over.
    """
    rivals = [
        wait
        for wait in access.open_waits(principal).filter(instance=known)
        if family(wait.client) != family(client) and wait.client
    ]
    if rivals and not takeover:
        free = _free_name(principal, known.name)
        what = "stream of events" if rivals[0].kind == Wait.Kind.EVENTS else "wait"
        raise CrossWireError(
            "instance_in_use",
            f'"{known.name}" has an open {what} from {rivals[0].client}. Register as "{free}", or pass takeover=true '
            f"to end that {what}.",
            free_name=free,
        )
    return [wait.pk for wait in rivals]


def family(client: str) -> str:
    """Return a client's name without its version: `claude-code/2.1` is `claude-code`."""
    return client.partition("/")[0].strip().lower()


def _free_name(principal: Principal, name: str) -> str:
    taken = set(access.instances(principal).filter(name__startswith=name[:70]).values_list("name", flat=True))
    return next(free for number in range(2, 10_000) if (free := f"{name[:70]}-{number}") not in taken)
