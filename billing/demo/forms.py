"""Form-encoded requests with nested brackets, and what each request may say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from billing.demo.errors import ApiError, invalid

type Value = str | dict[str, Value] | list[Value]
type Read = Callable[[Any, str], Any]
type Spec = Mapping[str, "Read | Spec"]

MOST_FIELDS = 1_000


def nested(text: str) -> dict[str, Any]:
    """Return `a[b]=1&c[]=2&d[0][e]=3` as nested dictionaries and lists of strings.

    Raises: ApiError for brackets that do not match or too many fields.
    """
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError:
        raise invalid("The request's form cannot be read.") from None
    tree: dict[str, Any] = {}
    for name, value in pairs:
        _put(tree, _path(name), value, name)
    return {name: _with_lists(value) for name, value in tree.items()}


def _path(name: str) -> list[str]:
    head, bracket, rest = name.partition("[")
    if not bracket:
        return [head]
    if not rest.endswith("]") or not head:
        raise invalid(f"Invalid parameter name: {name}")
    return [head, *rest[:-1].split("][")]


def _put(tree: dict[str, Any], path: list[str], value: str, name: str) -> None:
    for part in path[:-1]:
        tree = tree.setdefault(_index(tree, part), {})
        if not isinstance(tree, dict):
            raise invalid(f"Invalid parameter: {name}", name)
    tree[_index(tree, path[-1])] = value


def _index(tree: dict[str, Any], part: str) -> str:
    return part or str(len(tree))


def _with_lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(key.isdecimal() for key in value):
        return [_with_lists(value[key]) for key in sorted(value, key=int)]
    return {key: _with_lists(each) for key, each in value.items()}


def checked(spec: Spec, given: Mapping[str, Any], within: str = "") -> dict[str, Any]:
    """Return what was given, each value read as the spec says. Raises: ApiError for what is unknown or unreadable."""
    found = {}
    for name, value in given.items():
        param = f"{within}[{name}]" if within else name
        if name not in spec:
            raise ApiError(
                400,
                "invalid_request_error",
                f"Received unknown parameter: {param}",
                code="parameter_unknown",
                param=param,
            )
        reader = spec[name]
        if callable(reader):
            found[name] = reader(value, param)
        elif isinstance(value, dict):
            found[name] = checked(reader, value, param)
        elif value == "":
            found[name] = {}
        else:
            raise invalid("Invalid object", param)
    return found


def need(given: Mapping[str, Any], *names: str) -> None:
    """Raises: ApiError when one of the parameters is missing."""
    for name in names:
        if given.get(name) in (None, ""):
            raise invalid(f"Missing required param: {name}.", name, "parameter_missing")


def text(value: Any, param: str) -> str | None:
    """Read a string; an empty one unsets."""
    if not isinstance(value, str):
        raise invalid("Invalid string", param)
    if len(value) > 5_000:
        raise invalid("Invalid string: too long", param)
    return value or None


def whole(value: Any, param: str) -> int:
    """Read a whole number."""
    if not isinstance(value, str) or not value.removeprefix("-").isdecimal() or len(value) > 15:
        raise invalid(f"Invalid integer: {value}", param, "parameter_invalid_integer")
    return int(value)


def whole_or_empty(value: Any, param: str) -> int | None:
    """Read a whole number, or the empty string that unsets one."""
    return None if value == "" else whole(value, param)


def whole_or_now(value: Any, param: str) -> int | str:
    """Read a time, or the word `now`."""
    return "now" if value == "now" else whole(value, param)


def flag(value: Any, param: str) -> bool:
    """Read true or false."""
    if value not in ("true", "false"):
        raise invalid(f"Invalid boolean: {value}", param)
    return bool(value == "true")


def one_of(*words: str) -> Read:
    """Return a reader of one of these words."""

    def read(value: Any, param: str) -> str:
        if value not in words:
            raise invalid(f"Invalid {param}: must be one of {', '.join(words)}", param)
        return str(value)

    return read


def listed(each: Read | Spec) -> Read:
    """Return a reader of lists; an empty string is an empty list."""

    def read(value: Any, param: str) -> list[Any]:
        if value == "":
            return []
        if not isinstance(value, list):
            raise invalid("Invalid array", param)
        if callable(each):
            return [each(one, f"{param}[{place}]") for place, one in enumerate(value)]
        return [checked(each, _object(one, param, place), f"{param}[{place}]") for place, one in enumerate(value)]

    return read


def _object(value: Any, param: str, place: int) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise invalid("Invalid object", f"{param}[{place}]")
    return value


def mapping(value: Any, param: str) -> dict[str, str]:
    """Read metadata: at most 50 strings, where an empty one removes its key and `""` removes all."""
    if value == "":
        return {"": ""}
    value = dict(enumerate(value)) if isinstance(value, list) else value
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise invalid("Metadata must be a hash of strings", param)
    if len(value) > 50 or any(len(str(key)) > 40 or len(each) > 500 for key, each in value.items()):
        raise invalid("Metadata can have up to 50 keys of 40 characters, values of 500 characters", param)
    return {str(key): each for key, each in value.items()}


def merged(metadata: Mapping[str, str], given: Mapping[str, str] | None) -> dict[str, str]:
    """Return metadata with what was given put in."""
    if given is None:
        return dict(metadata)
    if "" in given:
        return {}
    return {key: value for key, value in {**metadata, **given}.items() if value != ""}


CREATED: Spec = {"gt": whole, "gte": whole, "lt": whole, "lte": whole}


def created_range(value: Any, param: str) -> dict[str, int]:
    """Read the filter `created`: one time, or a hash of bounds."""
    return (
        checked(CREATED, value, param) if isinstance(value, dict) else {"gte": (at := whole(value, param)), "lte": at}
    )


PAGE: Spec = {"limit": whole, "starting_after": text, "ending_before": text}
