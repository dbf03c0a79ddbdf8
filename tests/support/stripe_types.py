"""Answers held against the type annotations of Stripe's SDK: what is there, of which type, and nothing else."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import types
import typing
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from typing import Any

import stripe
from stripe._stripe_object import StripeObject, UntypedStripeObject

_BOTH = {name: getattr(typing, name) for name in ("Any", "Dict", "List", "Optional", "Union", "Type", "ClassVar")}
_IMPORT = re.compile(r"^\s+from (stripe[\w.]*) import \(?([^()]+?)\)?$", re.MULTILINE)


def kinds() -> dict[str, type[StripeObject]]:
    """Return the SDK's class of each kind of object, by the value of `object`."""
    from stripe._object_classes import OBJECT_CLASSES  # noqa: PLC0415 - private, and needed here alone

    def loaded(place: Any) -> type[StripeObject]:
        if isinstance(place, tuple):
            return getattr(importlib.import_module(place[0]), place[1])  # type: ignore[no-any-return]
        return place  # type: ignore[no-any-return]

    return {kind: loaded(place) for kind, place in OBJECT_CLASSES.items()}


def problems(value: Any) -> list[str]:
    """Return what is wrong with an object of the API, one sentence each."""
    known = kinds()
    kind = value.get("object") if isinstance(value, dict) else None
    if kind not in known:
        return [f"There is no kind of object {kind!r}."]
    return list(_of_class(known[kind], value, str(kind)))


def _of_class(cls: type, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: {value!r} is no {cls.__name__}"
        return
    if value.get("deleted") is True and set(value) == {"id", "object", "deleted"}:
        return
    hints = fields(cls)
    for name in sorted(set(value) - set(hints)):
        yield f"{path}.{name}: unknown"
    for name, hint in hints.items():
        if name in value:
            yield from _of_type(hint, value[name], f"{path}.{name}")
        elif not _is_optional(hint):
            yield f"{path}.{name}: missing"


def _is_optional(hint: Any) -> bool:
    return _origin(hint) is typing.Union and type(None) in typing.get_args(hint)


def _origin(hint: Any) -> Any:
    origin = typing.get_origin(hint)
    return typing.Union if origin is types.UnionType else origin


def _of_type(hint: Any, value: Any, path: str) -> Iterator[str]:
    origin, arguments = _origin(hint), typing.get_args(hint)
    if hint is Any:
        return
    if origin is typing.Union:
        yield from _of_union(arguments, value, path)
    elif origin is typing.Literal:
        if value not in arguments:
            yield f"{path}: {value!r} is none of {arguments}"
    elif origin is list:
        yield from _of_list(arguments[0], value, path)
    elif origin is stripe.ListObject:
        yield from _of_page(arguments[0], value, path)
    elif origin is UntypedStripeObject:
        yield from _of_mapping(arguments[0], value, path)
    else:
        yield from _of_plain(hint, value, path)


def _of_plain(hint: Any, value: Any, path: str) -> Iterator[str]:
    if inspect.isclass(hint) and issubclass(hint, StripeObject):
        yield from _of_class(hint, value, path)
    elif hint is Decimal:  # goes over the wire as a string
        if not isinstance(value, str) or not re.fullmatch(r"-?\d+(\.\d+)?", value):
            yield f"{path}: {value!r} is no decimal in a string"
    elif type(value) is not hint and not (hint is float and type(value) is int):
        yield f"{path}: {value!r} is no {hint}"


def _of_union(choices: tuple[Any, ...], value: Any, path: str) -> Iterator[str]:
    literal = next((each for each in choices if _origin(each) is typing.Literal), None)
    if literal is not None and str in choices and isinstance(value, str):
        # The SDK leaves room for what comes later (`Union[Literal[...], str]`); a stand-in sends what is known today.
        yield from _of_type(literal, value, path)
        return
    found = [list(_of_type(each, value, path)) for each in choices]
    if all(found):
        yield from min(found, key=lambda each: (len(each), -max(map(len, each))))


def _of_list(each: Any, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{path}: {value!r} is no list"
        return
    for place, one in enumerate(value):
        yield from _of_type(each, one, f"{path}[{place}]")


def _of_page(each: Any, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict) or value.get("object") != "list":
        yield f"{path}: {value!r} is no list object"
        return
    if set(value) != {"object", "data", "has_more", "url"}:
        yield f"{path}: a list object has object, data, has_more and url, not {sorted(value)}"
    yield from _of_list(each, value.get("data"), f"{path}.data")


def _of_mapping(each: Any, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: {value!r} is no hash"
        return
    for key, one in value.items():
        yield from _of_type(each, one, f"{path}.{key}")


# --- reading the annotations ------------------------------------------------------------------------------------
@cache
def fields(cls: type) -> dict[str, Any]:
    """Return the type of each field of a class of the SDK, names resolved: nested classes shadow imported ones."""
    names = {**_BOTH, **vars(sys.modules[cls.__module__]), **_imported_for_types(cls.__module__)}
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if base is StripeObject or not issubclass(base, StripeObject):
            continue
        inner = {**names, **_enclosing(base), **vars(base)}
        for name, text in inspect.get_annotations(base).items():
            if name == "OBJECT_NAME" or name.startswith("_"):
                continue
            found[name] = _resolved(text, {**inner, **_builtins()})
    return found


def _builtins() -> dict[str, type]:
    return {"str": str, "int": int, "float": float, "bool": bool, "list": list}


def _enclosing(cls: type) -> dict[str, Any]:
    """Return the names that the classes around a nested one bring."""
    names: dict[str, Any] = {}
    around: Any = sys.modules[cls.__module__]
    for part in cls.__qualname__.split(".")[:-1]:
        around = getattr(around, part)
        names.update({name: each for name, each in vars(around).items() if inspect.isclass(each)})
    return names


@cache
def _imported_for_types(module: str) -> dict[str, Any]:
    """Return what a module imports for type checkers alone."""
    source = inspect.getsource(sys.modules[module])
    names: dict[str, Any] = {}
    for place, listed in _IMPORT.findall(source):
        for each in listed.split(","):
            name, _, alias = each.strip().partition(" as ")
            if name and ".params." not in place:
                names[alias or name] = getattr(importlib.import_module(place), name)
    return names


def _resolved(hint: Any, names: dict[str, Any]) -> Any:
    if isinstance(hint, str):
        return _resolved(eval(hint, dict(names)), names)  # noqa: S307 - the SDK's own annotations
    if isinstance(hint, typing.ForwardRef):
        return _resolved(hint.__forward_arg__, names)
    arguments = typing.get_args(hint)
    origin = typing.get_origin(hint)
    if not arguments or origin is typing.Literal:
        return hint
    parts = tuple(_resolved(each, names) for each in arguments)
    if origin is types.UnionType:
        return typing.Union[parts]  # noqa: UP007 - made of parts that are known at run time alone
    return (typing.Union if origin is typing.Union else {list: list}.get(origin, origin))[parts]
