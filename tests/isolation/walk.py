"""The walk of a stranger, made from the operations table: every operation, with every argument taken from Alice.

Each call is made twice by equal strangers: before Alice is there, with decoys of her names, and after, with the real
ones. Both answers must be the same, word for word and count for count; and nothing of hers may be in the second.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bus.operations import OPERATIONS, Operation
from tests.isolation.world import KINDS, Kind, Mallory, Secrets, make_alice, rows_of
from tests.support.surfaces import Refusal, Result, Surface

type Arguments = dict[str, Any]

SHORT_WAITS: Mapping[str, Arguments] = {
    "wait_for_reply": {"timeout_seconds": 0.05, "persistent": False},
}
"""What a call is always given, so that the walk ends."""


def samples(hers: Secrets) -> dict[str, list[Any]]:
    """Return what a stranger would try for each argument there is. A new argument needs its line here."""
    numbers = [hers.base + 1, hers.base + 2]
    return {
        "ack": [{hers.channel: hers.base + 1}],
        "after_id": [0, hers.base],
        "channel": [hers.channel, "general"],
        "channels": [hers.channel, f"general,{hers.channel}"],
        "client": [f"{hers.text}-client/1"],
        "content": [f"{hers.text} secret plan"],
        "description": [f"{hers.text} what we plan"],
        "idempotency_key": [hers.retry],
        "in_reply_to": numbers,
        "instance_id": [hers.coder, hers.bound],
        "key": [hers.key],
        "lease_seconds": [60],
        "length": [100],
        "limit": [200],
        "max_wait_minutes": [0.001],
        "message_id": numbers,
        "message_type": ["request"],
        "name": [f"{hers.channel}x", hers.channel, "general"],
        "offset": [0],
        "persistent": [False],
        "poll_interval_seconds": [1],
        "query": [hers.text, f"{hers.text} secret plan", "plan", "-"],
        "release": [True],
        "role": ["active"],
        "sender": [hers.coder, hers.bound],
        "since": ["2020-01-01T00:00:00Z"],
        "takeover": [True],
        "timeout_seconds": [0.05],
        "until": ["2099-01-01T00:00:00Z"],
        "up_to": numbers,
        "wait": [0.05],
    }


def tries(operation: Operation, surface: Surface, hers: Secrets) -> list[Arguments]:
    """Return the arguments to try: what must be given, everything at once, and each further value by itself."""
    rest = operation.http.params if operation.http and not surface.is_mcp else None
    fields = (rest or operation.params).model_fields
    known = samples(hers)
    missing = sorted(set(fields) - set(known))
    assert not missing, f"What would a stranger try for {missing} of {operation.name}? Say so in samples()."
    least = {
        name: known[name][0] for name, field in fields.items() if field.is_required() or name == operation.instance
    }
    least |= SHORT_WAITS.get(operation.name, {})
    found = [least, {name: known[name][0] for name in fields}]
    found += [{**least, name: value} for name in fields for value in known[name]]
    return list({json.dumps(each, sort_keys=True): each for each in found}.values())


@dataclass(frozen=True)
class Step:
    """One call of the walk and its answer, as text in which only what may differ is made equal."""

    what: str
    code: str
    answer: str
    named: frozenset[str]


def steps(surface: Surface, hers: Secrets, *, only: str = "") -> Iterator[Step]:
    """Make every call; a stranger of each kind for each operation."""
    for name, operation in OPERATIONS.items():
        if (surface.is_mcp and not operation.is_tool) or (not surface.is_mcp and operation.http is None):
            continue
        if only and only != name:
            continue
        for kind in KINDS:
            mallory = Mallory.make(kind, hers)
            for arguments in tries(operation, surface, hers):
                yield _step(surface, kind, mallory, name, arguments)


def _step(surface: Surface, kind: Kind, mallory: Mallory, name: str, arguments: Arguments) -> Step:
    mallory.named |= set(words(arguments))
    answer = surface(mallory.caller, name, **arguments)
    what = f"{kind} stranger on {surface.name}: {name} {json.dumps(arguments)}"
    code = answer.code if isinstance(answer, Refusal) else ""
    return Step(what, code, shown(answer, mallory), frozenset(mallory.named))


def words(value: Any) -> Iterator[str]:
    """Return every string and number in a value."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from (*words(key), *words(each))
    elif isinstance(value, list):
        for each in value:
            yield from words(each)
    elif not isinstance(value, bool):
        yield str(value)


_VARIES = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "TIME"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "RANDOM"),  # a fence, a reference
    (re.compile(r'"(waited_seconds|retry_after)": [\d.]+'), "SECONDS"),
    (re.compile(r"\b\d+\.\d s\b|\bafter \d+ s\b"), "SECONDS"),
)
_HEADERS_THAT_VARY = frozenset({"date", "x-request-id", "content-length", "retry-after", "etag"})


def shown(answer: Result | Refusal, mallory: Mallory) -> str:
    """Return everything an answer says: status, headers, body, text, notifications."""
    raw = {key: value for key, value in answer.raw.items() if not (key == "id" and "jsonrpc" in answer.raw)}
    headers = {name: value for name, value in answer.headers.items() if name not in _HEADERS_THAT_VARY}
    told = [answer.status, headers, raw, getattr(answer, "text", ""), getattr(answer, "notifications", [])]
    return without_what_varies(json.dumps(told, ensure_ascii=False, sort_keys=True), mallory)


def without_what_varies(text: str, mallory: Mallory) -> str:
    """Return a text with times, random words and her workspace's name and address made equal."""
    own = mallory.caller.workspace
    text = text.replace(own.name, "HER WORKSPACE").replace(f"/w/{own.slug}/", "/w/HERS/")
    for pattern, name in _VARIES:
        text = pattern.sub(name, text)
    return text


def translated(text: str, told: Secrets, into: Secrets) -> str:
    """Return a text with one set of marks put in the place of another."""
    return text.replace(told.text, into.text).replace(told.digits, into.digits)


def leaks(answer: str, named: frozenset[str], hers: Secrets) -> list[str]:
    """Return the marks in an answer that the stranger did not put there herself."""
    for word in sorted(named, key=len, reverse=True):
        if any(mark in word for mark in hers.marks()):
            answer = answer.replace(json.dumps(word, ensure_ascii=False)[1:-1], "SAID")
    return [mark for mark in hers.marks() if mark in answer]


def compare(before: Step, after: Step, decoy: Secrets, hers: Secrets) -> str:
    """Return what a stranger learns from the second answer, "" if nothing."""
    if leaked := leaks(after.answer, after.named, hers):
        return f"{after.what} shows {leaked}: {after.answer}"
    if translated(before.answer, decoy, hers) != after.answer:
        return f"{after.what} tells that Alice is there:\nbefore: {before.answer}\nafter:  {after.answer}"
    return ""


def findings(walk: Callable[[Secrets], Iterator[Step]]) -> Iterator[str]:
    """Walk before and after Alice is there; yield everything a stranger learns or changes."""
    decoy, hers = Secrets.new(), Secrets.new()
    before = list(walk(decoy))
    alice = make_alice(hers)
    rows = rows_of(alice)
    after = list(walk(hers))
    for first, second in zip(before, after, strict=True):
        if finding := compare(first, second, decoy, hers):
            yield finding
    if rows_of(alice) != rows:
        yield f"Alice's rows changed: {[table for table, kept in rows_of(alice).items() if kept != rows[table]]}"
