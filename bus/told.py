"""What the REST documents tell about a type beside its JSON schema. MCP leaves it out: a model pays for every word."""

from __future__ import annotations

from typing import Annotated, Any

KEYWORDS = frozenset({"pattern", "not", "format", "examples", "x-range"})


class Told:
    """Keywords for a type's JSON schema; what they say is checked elsewhere, with a sentence of its own."""

    def __init__(self, **keywords: Any) -> None:
        self.keywords = keywords

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        schema: dict[str, Any] = handler(core_schema)
        return {**schema, **self.keywords}


def clamped(least: float, most: float) -> Told:
    """Tell which range any other number is brought into."""
    return Told(**{"x-range": [least, most]})


_EDGE = r" \u0000-\u001f\u007f-\u009f\u1680\u2000-\u200a\u2028\u2029\u202a-\u202f\u205f\u2066-\u2069\u3000\u00a0"
_INSIDE = r"\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069"
ONE_LINE = f"^[^{_EDGE}]([^{_INSIDE}]*[^{_EDGE}])?$"
LINE_OR_NONE = f"^([^{_EDGE}]([^{_INSIDE}]*[^{_EDGE}])?)?$"
STORABLE = r"^[^\u0000]*$"
_KEPT, _DASH = "A-Za-z0-9", r"\s_-"  # what stays of a channel's name, and what becomes one dash between two of these
LONG_CHANNEL = f"[{_KEPT}][^{_KEPT}{_DASH}]*([{_KEPT}][^{_KEPT}{_DASH}]*|[{_DASH}][^{_KEPT}]*(?=[{_KEPT}])){{80}}"
CHANNEL_LIST = f"^[^,]*[{_KEPT}][^,]*(,[^,]*[{_KEPT}][^,]*)*$"
LONG_IN_LIST = LONG_CHANNEL.replace("[^", "[^,")

Time = Annotated[str, Told(format="date-time")]
