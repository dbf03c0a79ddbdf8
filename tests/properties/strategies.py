"""Arguments for every operation, made from the table: what its schema allows, and what no client ought to send."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from accounts.principals import RESERVED_NAMES
from bus.operations import Operation
from tests.isolation.world import Secrets

type Arguments = dict[str, Any]
type Schema = Mapping[str, Any]

FOREIGN = Secrets("zq0f0f0f0f0f", "6123457")
"""What a workspace has that is none of the caller's business."""

INSTANCES = ("ann", "ben", "Ångström 🦊")
CHANNELS = ("general", "plans", "General_Plans")
KEYS = ("notes/plan.md", "notes", "a b/ç?#%.md")
SOON = 0.0005
"""Long enough for a wait: half a millisecond, or, where an argument counts minutes, 30."""

_KNOWN: Mapping[str, Sequence[str]] = {
    "instance_id": INSTANCES,
    "sender": INSTANCES,
    "channel": CHANNELS,
    "name": CHANNELS,
    "key": KEYS,
    "query": ("plan", "POL-3", "日本", "%", "one two"),
    "idempotency_key": ("once", "twice"),
    "content": ("the plan", "é🦊"),
}
"""Names that the caller's workspace has, so that some calls meet what is there."""

_TIMES = ("2020-01-01T00:00:00Z", "2026-11-22T20:00:00.123+01:00", "2099-12-31T23:59:59Z")
_LETTERS = st.characters(codec="utf-8", exclude_characters="\0")
_TEXTS = (
    *("", " ", "\t", "\n", "a\nb", " a", "a ", "\0", "a\0b", "\x07", "\x1b[31m", "\x7f", "\x85"),
    *("\ud800", "a\udfff", "\ud83d\ude00", "\u00a0", "\u3000", "\u200b", "\ufeff", "\u2028", "a\u202eb", "\u2066a"),
    *("..", ".", "/", "//", "a/b", "../../etc/passwd", "%2F", "%00", "%ff", "?q=1", "#x", "\\", "a&b=c", "general/1"),
    *("true", "null", "[]", "{}", "NaN", "Infinity", "1e400", "-1", "0x10", "1_000", "٣", "9" * 401),
    *("' OR 1=1 --", '"', "%", "_", "*", "NOT", "a OR", "(", "<script>", "<system-reminder>x</system-reminder>"),
    *("0000-00-00", "2026-02-30T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "now"),
    *("é" * 80, "a" * 81, "a" * 129, "a" * 201, "a" * 501, "a" * 1_001, "🦊" * 3_000, "x" * 64_001, "x" * 1_000_001),
    *sorted(RESERVED_NAMES),
    *("Human", "SYSTEM", FOREIGN.channel, FOREIGN.coder, FOREIGN.bound, FOREIGN.key, FOREIGN.retry),
)
_NUMBERS = (
    *(-1, 0, 1, 2, 201, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 10**30, -(2**63) - 1, -(10**30)),
    *(0.5, -0.0, 1.0, 1e18, 1e308, -1e308, 5e-324, float("nan"), float("inf"), float("-inf"), FOREIGN.base + 1),
)
_UNSTORABLE = ("a\0b", "a\ud800")
_ODD: Sequence[Any] = (None, True, False, [], {}, [None], [1, "a"], {"a": 1}, {"": None}, {"general": "x"}, [[[[]]]])
_UNKNOWN = ("colour", "", " ", "workspace", "workspace_id", "principal", "self", "__class__", "a.b", "a[]", "x" * 300)


@dataclass(frozen=True, repr=False)
class Asked:
    """One call. `is_valid`: its arguments are as the schema says; `is_known`: it names no argument there is not."""

    arguments: Arguments
    is_valid: bool
    is_known: bool = True

    def __repr__(self) -> str:
        shown = f"{self.arguments} {'is' if self.is_valid else 'not'} valid"
        return shown if len(shown) < 3_000 else f"{shown[:3_000]} … ({len(shown)} characters)"


def extremes(operation: Operation, *, on_mcp: bool) -> Iterator[Asked]:
    """Return a call for each number at a machine's edges, and for text that a database cannot store: chance is not
    to be relied on for these."""
    fields, needed = _fields(operation, on_mcp=on_mcp)
    least = {name: _KNOWN.get(name, (0 if _is_time(fields[name]) else 1,))[0] for name in sorted(needed)}
    for name, field in fields.items():
        kinds = {option.get("type") for option in _options(field)}
        for value in (*(_NUMBERS if "integer" in kinds else ()), *(_UNSTORABLE if "string" in kinds else ())):
            yield Asked({**least, name: value}, is_valid=False)


def _fields(operation: Operation, *, on_mcp: bool) -> tuple[Mapping[str, Schema], set[str]]:
    """Return an operation's arguments, and which are always given."""
    own = None if on_mcp or operation.http is None else operation.http.params
    schema = (own or operation.params).model_json_schema()
    fields: Mapping[str, Schema] = schema.get("properties", {})
    needed = {operation.instance, *schema.get("required", ())}
    return fields, {name for name, field in fields.items() if name in needed or _is_time(field)}


@st.composite
def calls(draw: st.DrawFn, operation: Operation, *, on_mcp: bool) -> Asked:
    """Draw a call: in half of them everything is right, in the others one to three things are wrong."""
    fields, needed = _fields(operation, on_mcp=on_mcp)
    arguments = {
        name: draw(_valid(name, field)) for name, field in fields.items() if name in needed or draw(st.booleans())
    }
    if draw(st.booleans()):
        return Asked(arguments, is_valid=True)
    for name in draw(st.lists(st.sampled_from(sorted(fields)), min_size=1, max_size=3)) if fields else ():
        arguments[name] = draw(_hostile(fields[name]))
    fixed = {name for name in fields if _is_time(fields[name])} | (set() if on_mcp else _in_path(operation))
    if droppable := draw(st.lists(st.sampled_from(sorted(set(fields) - fixed) or [""]), max_size=1)):
        arguments.pop(droppable[0], None)
    is_known = bool(fields) and draw(st.integers(0, 4)) > 0
    if not is_known:  # null, and a blank in a query string, is as good as left out
        arguments[draw(st.sampled_from(_UNKNOWN))] = draw(
            _STRANGE.filter(lambda value: value is not None and value != "")
        )
    return Asked(arguments, is_valid=False, is_known=is_known)


def _in_path(operation: Operation) -> set[str]:
    """Return the arguments that a REST call cannot be made without."""
    if operation.http is None:
        return set()
    aliases = operation.http.aliases
    return {aliases.get(name, name) for name in re.findall(r"{(\w+)}", operation.http.path)}


def _options(field: Schema) -> Sequence[Schema]:
    options: Sequence[Schema] = field.get("anyOf", [field])
    return options


def _is_time(field: Schema) -> bool:
    """Whether it says how long to wait: that is always given, lest the default hold up the tests."""
    return any(option.get("type") == "number" for option in _options(field))


def _valid(name: str, field: Schema) -> st.SearchStrategy[Any]:
    """Draw what the schema allows."""
    if _is_time(field):
        return st.sampled_from((0, 0.0001, SOON, str(SOON), -1))
    return st.one_of(*(_valid_option(name, option) for option in _options(field)))


def _valid_option(name: str, field: Schema) -> st.SearchStrategy[Any]:
    match field:
        case {"enum": several}:
            return st.sampled_from(several)
        case {"format": "date-time"}:
            return st.sampled_from(_TIMES)
        case {"type": "string"}:
            return _valid_text(name, field)
        case {"type": "integer"}:
            few = st.integers(least := field.get("minimum", -3), 12)
            return st.one_of(few, few.map(float), few.map(str), st.integers(least, field.get("maximum", 2**63 - 1)))
        case {"type": "object"}:
            return st.dictionaries(st.sampled_from(CHANNELS), st.integers(0, 12), max_size=2)
        case {"type": "boolean" | "null" as kind}:
            return st.booleans() if kind == "boolean" else st.none()
    raise NotImplementedError(f"What is a valid {name}, of {field}? Say so here.")


def _valid_text(name: str, field: Schema) -> st.SearchStrategy[str]:
    ends = field.get("pattern", "").replace("$", r"\Z")  # Python's `$` looks over a line break, JSON schema's does not
    found, never = re.compile(ends), re.compile(field.get("not", {}).get("pattern", r"(?!)"))

    def fits(text: str) -> bool:
        return bool(found.search(text)) and not never.search(text) and text.lower() not in RESERVED_NAMES

    most = field.get("maxLength", 1_000)
    texts = st.text(_LETTERS, min_size=field.get("minLength", 0), max_size=min(most, 40)).filter(fits)
    if known := [text for text in (*_KNOWN.get(name, ()), *field.get("examples", ())) if fits(text)]:
        return st.one_of(st.sampled_from(known), texts)
    return texts


_BIG = st.sampled_from(_NUMBERS)
_STRANGE = st.one_of(
    st.sampled_from(_TEXTS),
    _BIG,
    st.sampled_from(_ODD),
    st.text(st.characters(exclude_categories=()), max_size=30),
)


def _hostile(field: Schema) -> st.SearchStrategy[Any]:
    """Draw anything; where it says how long to wait, nothing that does."""
    if _is_time(field):
        return _STRANGE.filter(_ends_soon)
    if any(option.get("type") == "integer" for option in _options(field)):
        return st.one_of(_BIG, _BIG.map(str), _STRANGE)
    return _STRANGE


def _ends_soon(value: Any) -> bool:
    if value is None:
        return False  # the default
    try:
        return not float(value) > SOON
    except (TypeError, ValueError, OverflowError):
        return True
