"""What the public pages tell, taken from the code that does it: plans, limits, tools, roles, settings, error codes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.urls import reverse

from accounts import aging, pruned, rates, roles
from accounts.plans import PLANS, Plan
from billing import gateway
from bus import clients, conversing, guides, listening, mutual, params, presence, retention, snippets
from bus.operations import Operation
from bus.rest import docs as rest_docs
from bus.services import claims, reading, search, subscriptions, tasks
from bus.teaching import PROTOCOL
from crosswire import __version__

_SECTION = re.compile(r"^# --- (.+) ---$")
_SETTING = re.compile(r"^(# )?([A-Z][A-Z0-9_]+)=(.*)$")
_ALWAYS = ("invalid_input", "unauthorized", "suspended", "rate_limited", "internal", "unavailable")


@dataclass(frozen=True)
class Setting:
    """A variable of the environment: `default` is what holds without it, or an example where it is needed."""

    name: str
    default: str
    text: str
    is_needed: bool


@dataclass(frozen=True)
class Figure:
    """One line of a plan: what it allows of something."""

    title: str
    value: str
    note: str = ""


def repository_text(name: str) -> str:
    """Return a file that readers of the repository have as well, such as `docs/errors.md`."""
    return (Path(settings.PAGES_DIR) / name).read_text(encoding="utf-8")


@cache
def setting_groups() -> dict[str, list[Setting]]:
    """Return every setting of `.env.example`, by the heading it stands under."""
    groups: dict[str, list[Setting]] = {}
    section, about = "", list[str]()
    for line in repository_text(".env.example").splitlines():
        if heading := _SECTION.match(line):
            section, about = heading[1], []
            groups[section] = []
        elif found := _SETTING.match(line):
            is_needed = found[1] is None
            groups[section].append(Setting(found[2], found[3], " ".join(about), is_needed))
            about = []
        elif line.startswith("# "):
            about.append(line.removeprefix("# "))
        else:
            about = []
    return groups


def figures(plan: Plan) -> list[Figure]:
    """Return what a plan allows, in words."""
    calls = f"{plan.calls:,}" if plan.calls else ""
    return [
        Figure("Messages a month", _bound(plan.messages), "sent; reading is free"),
        Figure("Instances at a time", _bound(plan.instances), "seen within the last 30 minutes, or waiting"),
        Figure("Channels", _bound(plan.channels), "not archived; general counts"),
        Figure("Shared data", f"{plan.data_megabytes} MB", "in all, of text"),
        Figure("History", f"{plan.retention_days} days", "then messages and shared data go"),
        Figure("Calls a minute", calls or "no limit", f"one key: {plan.calls // 2:,}" if plan.calls else ""),
        Figure("Waits open at once", _bound(plan.waits), "and as many event streams"),
        Figure("Live API keys", f"{plan.live_keys:,}"),
    ]


def _bound(most: int | None) -> str:
    return "unlimited" if most is None else f"{most:,}"


def public_plans() -> list[dict[str, Any]]:
    """Return the plans one can have, with prices in whole dollars and all figures."""
    return [
        {
            "name": plan.name,
            "title": plan.title,
            "dollars_month": plan.price_month // 100,
            "dollars_year": plan.price_year // 100,
            "months_free": (12 * plan.price_month - plan.price_year) // plan.price_month if plan.price_month else 0,
            "figures": figures(plan),
            "choose": f"{reverse('billing_find')}?plan={plan.name}&interval=",
        }
        for plan in PLANS.values()
        if plan.is_public
    ]


def plan_rows() -> list[dict[str, Any]]:
    """Return the plans' figures line by line: what it is of, and each plan's value."""
    columns = [plan["figures"] for plan in public_plans()]
    return [{"title": row[0].title, "values": [each.value for each in row]} for row in zip(*columns, strict=True)]


def refusals(operation: Operation) -> list[str]:
    """Return every code a tool can answer with."""
    further = [
        *operation.refusals,
        *(["wrong_instance"] if operation.instance else []),
        *([] if operation.is_read else ["read_only_key"]),
    ]
    return [*further, *_ALWAYS]


@cache
def tool_entries() -> list[dict[str, Any]]:
    """Return every MCP tool: what it is for, takes, gives and refuses."""
    from bus.mcp import tools  # noqa: PLC0415 - brings the mcp package, which takes commands half a second to load

    listed = {tool.name: tool for tool in tools.listed(is_bound=False)}
    entries = []
    for name, operation in tools.TOOLS.items():
        schema = listed[name].input_schema
        needed = schema.get("required", [])
        entries.append(
            {
                "name": name,
                "title": operation.title,
                "text": operation.description,
                "arguments": [rest_docs.row(key, each, key in needed) for key, each in schema["properties"].items()],
                "fields": rest_docs.fields(operation.result_schema()),
                "refusals": refusals(operation),
                "marks": _marks(operation),
                "rest": f"{operation.http.method} /api{operation.http.path}" if operation.http else "",
            }
        )
    return entries


def _marks(operation: Operation) -> list[str]:
    return [
        word
        for word, holds in (
            ("reads only", operation.is_read),
            ("safe to repeat", operation.is_idempotent and not operation.is_read),
            ("may destroy", operation.is_destructive),
        )
        if holds
    ]


_LANGUAGES = {"shell": "sh", "json": "json", "toml": "toml", "python": "python", "typescript": "ts"}


def connecting() -> list[dict[str, Any]]:
    """Return how each client is connected, by kind: the steps and the snippet that the Connect page has."""
    return [
        {"title": kind, "guides": [_guide(each) for each in guides.GUIDES.values() if each.kind == kind]}
        for kind in guides.KINDS
    ]


def _guide(guide: guides.Guide) -> dict[str, Any]:
    steps = list(enumerate(guide.steps, 1))
    snippet = snippets.render(guide)
    is_form = guide.format == "fields"
    return {
        "title": guide.title,
        "before": [step for number, step in steps if number <= guide.snippet_at + 1],
        "after": [each for each in steps if each[0] > guide.snippet_at + 1],
        "fields": snippets.entries(snippet) if is_form else [],
        "snippet": snippet,
        "language": _LANGUAGES.get(guide.format, "text"),
        "more": guide.more,
    }


def policy() -> list[dict[str, Any]]:
    """Return the table of actions and roles: for each action, whether each role may."""
    order = [roles.VIEWER, roles.MEMBER, roles.ADMIN, roles.OWNER]
    return [{"action": str(action), "may": [roles.may(role, action) for role in order]} for action in roles.Action]


def limits() -> dict[str, Any]:
    """Return every bound that the pages name, in the unit they name it in."""
    send, check = (model.model_json_schema()["properties"] for model in (params.SendMessage, params.CheckMessages))
    claim, share = (model.model_json_schema()["properties"] for model in (params.ClaimMessage, params.ShareData))
    found = {
        "message_characters": send["content"]["maxLength"],
        "name_characters": send["sender"]["maxLength"],
        "data_key_characters": share["key"]["maxLength"],
        "page_default": check["limit"]["default"],
        "page_most": check["limit"]["x-range"][1],
        "lease_seconds": claim["lease_seconds"]["default"],
        "lease_most_hours": claim["lease_seconds"]["x-range"][1] // 3_600,
        "answer_bytes": reading.ANSWER_BYTES,
        "data_part_bytes": params.DATA_PART_BYTES,
        "item_megabytes": settings.MAX_SHARED_DATA_BYTES // 1_000_000,
        "body_bytes": settings.MAX_BODY_BYTES,
        "rest_seconds": round(clients.REST_SECONDS),
        "wait_seconds": round(clients.DEFAULT_SECONDS),
        "stdio_seconds": round(clients.STDIO_SECONDS),
        "ceilings": [(name, round(seconds)) for name, seconds in clients.CEILINGS],
        "blocking_minutes": round(conversing.BLOCKING_MINUTES),
        "task_hours": _hours(tasks.LIFE),
        "short_seconds": round(tasks.SHORT_SECONDS),
        "task_kept_hours": _hours(presence.TASK_KEPT),
        "protocol_calls": rates.PROTOCOL_CALLS,
        "strangers_calls": rates.STRANGERS_CALLS,
        "place_minutes": round(presence.HOLDS_PLACE.total_seconds() / 60),
        "online_seconds": round(presence.ONLINE.total_seconds()),
        "grace_seconds": round(mutual.GRACE.total_seconds()),
        "look_seconds": round(mutual.LOOK_SECONDS),
        "repeat_hours": _hours(retention.IDEMPOTENCY_REMEMBERED),
        "ended_keys_days": aging.KEYS_KEPT.days,
        "statistics_days": aging.USAGE_KEPT.days,
        "pruned_days": pruned.SHOWN.days,
        "stream_minutes": round(listening.LIFE_SECONDS / 60),
        "quiet_seconds": round(listening.QUIET_SECONDS),
        "subscriptions": subscriptions.MOST,
        "claimable": [str(kind.value) for kind in claims.CLAIMABLE],
        "searched": search.SEARCHED_MOST,
        "free_keys": PLANS["free"].live_keys,
        "paid_keys": PLANS["pro"].live_keys,
        "waits": PLANS["pro"].waits,
    }
    return {name: f"{value:,}" if isinstance(value, int) else value for name, value in found.items()}


def _hours(span: timedelta) -> int:
    """Return a span of time in hours."""
    return round(span.total_seconds() / 3_600)


@cache
def everything() -> dict[str, Any]:
    """Return what any public page may name."""
    operator = {"name": settings.OPERATOR_NAME, "email": settings.OPERATOR_EMAIL, "address": settings.OPERATOR_ADDRESS}
    return {
        "url": settings.PUBLIC_URL,
        "public_url": settings.PUBLIC_URL,
        "version": __version__,
        "is_production": settings.IS_PRODUCTION,
        "operator": operator,
        "has_operator": all(operator.values()),
        "plans": public_plans(),
        "takes_payments": gateway.is_configured(),
        "has_demo_payments": gateway.is_demo(),
        "plan_rows": plan_rows(),
        "limits": limits(),
        "protocol": PROTOCOL,
        "setting_groups": setting_groups(),
        "policy": policy(),
    }
