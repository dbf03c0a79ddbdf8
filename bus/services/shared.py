"""Shared data: large text under a key. The workspace's bytes are exact, under the counters' lock."""

from __future__ import annotations

from django.conf import settings
from django.db.models import Sum

from accounts.principals import Principal
from bus import access, retention, wakeups
from bus.models import Counters, SharedItem
from bus.params import DATA_PART_BYTES
from bus.results import Ok, SharedContent, SharedEntry, SharedList, SharedMade
from bus.services import instances, limits
from crosswire.lib import clock
from crosswire.lib.database import writing
from crosswire.lib.errors import CrossWireError, not_found

LISTED_MOST = 1_000


def share(principal: Principal, *, key: str, content: str, sender: str = "", description: str = "") -> SharedMade:
    """Store text under a key, replacing what was there in one step.

    Raises: CrossWireError `too_large` (one item), `limit_reached` (the plan's bytes), `read_only_key`.
    """
    principal.must_write()
    name = principal.speaks_for("sender", sender)
    assert name is not None
    size = len(content.encode())
    now = clock.now()
    with writing():
        counters = access.lock_counters(principal)
        instances.admit(principal, name, counters)
        refusal = _make_room(principal, counters, key, size)
        if refusal is None:
            counters.data_bytes += size - _bytes_of(principal, key)
            stored = {"content": content, "description": description, "created_by": name}
            SharedItem.objects.update_or_create(
                workspace_id=principal.workspace_id,
                key=key,
                defaults={**stored, "size_bytes": size, "created_at": now},
            )
            wakeups.data_changed(principal.workspace_id, key)
        counters.save(update_fields=["data_bytes"])
    if refusal is not None:
        raise refusal
    made: SharedMade = {
        "ok": True,
        "key": key,
        "size_bytes": size,
        "expires_at": retention.expires_at(principal, now),
    }
    if unread := instances.unread(principal, name):
        made["unread"] = unread
    return made


def _make_room(principal: Principal, counters: Counters, key: str, size: int) -> CrossWireError | None:
    """Delete what has expired if there is too little room; return the refusal if that does not help.

    Raises: CrossWireError `too_large`.
    """
    plan = limits.plan_now(principal)
    most = min(settings.MAX_SHARED_DATA_BYTES, plan.data_bytes or settings.MAX_SHARED_DATA_BYTES)
    if size > most:
        raise CrossWireError(
            "too_large",
            f"One item may have {most:,} bytes and this has {size:,}; share it in parts.",
            limit=most,
            size=size,
        )
    if plan.data_bytes is None or counters.data_bytes - _bytes_of(principal, key) + size <= plan.data_bytes:
        return None
    expired = access.expired_shared_items(principal)
    counters.data_bytes -= expired.aggregate(total=Sum("size_bytes"))["total"] or 0
    expired.delete()
    if counters.data_bytes - _bytes_of(principal, key) + size <= plan.data_bytes:
        return None
    return limits.reached(
        plan,
        f"Plan {plan.title} has {plan.data_bytes:,} bytes for shared data; {counters.data_bytes:,} are used and "
        f"this needs {size:,}.",
        plan.data_bytes,
        counters.data_bytes,
    )


def _bytes_of(principal: Principal, key: str) -> int:
    sizes = SharedItem.objects.filter(workspace=principal.workspace_id, key=key).values_list("size_bytes", flat=True)
    return sizes.first() or 0


def get(principal: Principal, *, key: str, offset: int = 0, length: int | None = None) -> SharedContent:
    """Return an item, whole or from a character on. Raises: CrossWireError `not_found`."""
    row = _item(principal, key)
    part = row.content[offset:] if length is None else row.content[offset : offset + length]
    end = offset + len(part)
    return {
        **_entry(principal, row),
        "content": part,
        "offset": min(offset, len(row.content)),
        "next_offset": end if end < len(row.content) else None,
    }


def get_part(principal: Principal, *, key: str, offset: int = 0, length: int | None = None) -> SharedContent:
    """Return a part of an item that a model can take: at most 60,000 bytes. Raises: CrossWireError `not_found`."""
    found = get(principal, key=key, offset=offset, length=min(length or DATA_PART_BYTES, DATA_PART_BYTES))
    part = found["content"].encode()[:DATA_PART_BYTES].decode(errors="ignore")
    if len(part) < len(found["content"]):
        found["content"], found["next_offset"] = part, found["offset"] + len(part)
    return found


def list_all(principal: Principal) -> SharedList:
    """Return the items without their content, newest first."""
    rows = list(access.shared_items(principal).defer("content")[: LISTED_MOST + 1])
    items = [_entry(principal, row) for row in rows[:LISTED_MOST]]
    return {"items": items, "has_more": True} if len(rows) > LISTED_MOST else {"items": items}


def delete(principal: Principal, *, key: str) -> Ok:
    """Delete an item and give its bytes back. Raises: CrossWireError `not_found`, `read_only_key`."""
    principal.must_write()
    with writing():
        counters = access.lock_counters(principal)
        row = _item(principal, key)
        counters.data_bytes -= row.size_bytes
        counters.save(update_fields=["data_bytes"])
        row.delete()
        wakeups.data_changed(principal.workspace_id, key)
    return {"ok": True}


def _item(principal: Principal, key: str) -> SharedItem:
    row = access.shared_items(principal).filter(key=key).first()
    if row is None:
        raise not_found(f'No shared data found for key "{key}".')
    return row


def _entry(principal: Principal, row: SharedItem) -> SharedEntry:
    return {
        "key": row.key,
        "created_by": row.created_by,
        "description": row.description,
        "size_bytes": row.size_bytes,
        "created_at": clock.iso(row.created_at),
        "expires_at": retention.expires_at(principal, row.created_at),
    }
