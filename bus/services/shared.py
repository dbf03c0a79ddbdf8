"""Shared data: large text under a key. The workspace's bytes are exact, under the counters' lock."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.db.models.functions import Length, Substr
from django.utils.html import escape

from accounts import audit
from accounts.plans import Plan
from accounts.principals import Principal
from bus import access, paging, pruning, quotas, retention, wakeups
from bus.models import Counters, SharedItem
from bus.paging import Mark
from bus.params import DATA_PART_BYTES
from bus.results import Ok, SharedContent, SharedEntry, SharedList, SharedMade
from bus.services import instances, limits
from crosswire.lib import clock
from crosswire.lib.database import writing
from crosswire.lib.errors import CrossWireError, not_found

LISTED_MOST = 1_000
SHOWN_BYTES = 100_000
"""What a page shows of an item at once; as HTML at most half as much again."""


@dataclass(frozen=True)
class Listed:
    """A page of items, newest first; `end` is where the next one begins."""

    items: list[SharedEntry]
    end: Mark | None


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
        plan = limits.plan_now(principal)
        refusal = _make_room(principal, plan, counters, key, size)
        if refusal is None:
            before = counters.data_bytes
            counters.data_bytes += size - _bytes_of(principal, key)
            stored = {"content": content, "description": description, "created_by": name}
            SharedItem.objects.update_or_create(
                workspace_id=principal.workspace_id,
                key=key,
                defaults={**stored, "size_bytes": size, "created_at": now},
            )
            wakeups.data_changed(principal.workspace_id, key)
            quotas.notice(principal.workspace_id, before, counters.data_bytes, plan.data_bytes)
        counters.save(update_fields=["data_bytes"])
    if refusal is not None:
        raise refusal
    made: SharedMade = {
        "ok": True,
        "key": key,
        "size_bytes": size,
        "expires_at": retention.expires_at(principal, now),
    }
    made.update(instances.news(principal, name))  # type: ignore[typeddict-item] # its own keys
    return made


def _make_room(principal: Principal, plan: Plan, counters: Counters, key: str, size: int) -> CrossWireError | None:
    """Delete what has expired if there is too little room; return the refusal if that does not help.

    Raises: CrossWireError `too_large`.
    """
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
    pruning.expire_items(counters, access.expired_shared_items(principal))
    if counters.data_bytes - _bytes_of(principal, key) + size <= plan.data_bytes:
        return None
    oldest = access.shared_items(principal).order_by("created_at").values_list("created_at", flat=True).first()
    return limits.reached(
        principal,
        plan,
        f"Plan {plan.title} has {plan.data_bytes:,} bytes for shared data; {counters.data_bytes:,} are used and "
        f"this needs {size:,}.",
        plan.data_bytes,
        counters.data_bytes,
        frees_at=retention.expires_at(principal, oldest) if oldest else None,
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
        **_entry(principal, row),  # type: ignore[typeddict-item]  # mypy thinks an entry might have `unread`
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


def page(principal: Principal, *, after: Mark | None = None, most: int = 50) -> Listed:
    """Return the items without their content, newest first, from a mark on."""
    part = paging.part(access.shared_items(principal).defer("content"), "created_at", "key", after, most)
    return Listed([_entry(principal, row) for row in part.rows], part.end)


def entry(principal: Principal, *, key: str) -> SharedEntry:
    """Return an item without its content. Raises: CrossWireError `not_found`."""
    return _entry(principal, _found(access.shared_items(principal).defer("content").filter(key=key).first(), key))


def show(principal: Principal, *, key: str, offset: int = 0) -> SharedContent:
    """Return a part of an item that a page can show, from a character on. Raises: CrossWireError `not_found`.

    It is cut in the database: of 10 MB nothing more is read.
    """
    offset = max(0, min(offset, settings.MAX_SHARED_DATA_BYTES))
    rows = access.shared_items(principal).defer("content").filter(key=key)
    row = _found(
        rows.annotate(part=Substr("content", offset + 1, SHOWN_BYTES), characters=Length("content")).first(), key
    )
    part = _that_fits(row.part)  # type: ignore[attr-defined]  # annotated above, as the next
    characters: int = row.characters  # type: ignore[attr-defined]
    end = offset + len(part)
    return {
        **_entry(principal, row),  # type: ignore[typeddict-item]  # as above
        "content": part,
        "offset": min(offset, characters),
        "next_offset": end if end < characters else None,
    }


def _that_fits(text: str) -> str:
    """Return as much from the front of a text as a page can hold."""
    text = text.encode()[:SHOWN_BYTES].decode(errors="ignore")
    while (size := len(escape(text).encode())) > 1.5 * SHOWN_BYTES:  # signs that HTML writes longer
        text = text[: int(len(text) * SHOWN_BYTES / size) or 1]
    return text


def delete(principal: Principal, *, key: str) -> Ok:
    """Delete an item and give its bytes back; what a person deletes is recorded.

    Raises: CrossWireError `not_found`, `read_only_key`.
    """
    principal.must_write()
    with writing():
        counters = access.lock_counters(principal)
        row = _item(principal, key)
        counters.data_bytes -= row.size_bytes
        counters.save(update_fields=["data_bytes"])
        row.delete()
        if principal.member_id is not None:
            audit.record_person(principal, "data.deleted", key, size_bytes=row.size_bytes, created_by=row.created_by)
        wakeups.data_changed(principal.workspace_id, key)
    return {"ok": True}


def _item(principal: Principal, key: str) -> SharedItem:
    return _found(access.shared_items(principal).filter(key=key).first(), key)


def _found(row: SharedItem | None, key: str) -> SharedItem:
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
