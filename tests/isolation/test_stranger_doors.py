"""Isolation beyond the operations: every MCP method and resource, and every path of the URL conf."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver
from mcp_types import CLIENT_CAPABILITIES_META_KEY

from bus.mcp import resources, server, tasks
from crosswire.site import status
from tests.isolation.walk import Step, findings, shown, without_what_varies
from tests.isolation.world import Kind, Mallory, Secrets
from tests.support import loopback
from tests.support.surfaces import MCP, Refusal, Surface

pytestmark = pytest.mark.slow

# --- MCP --------------------------------------------------------------------------------------------------------

ELSEWHERE = {
    "tools/call": "test_stranger.py",
    "subscriptions/listen": "tests/mcp/test_listen.py",  # a stream
}
"""Methods that are walked by other tests."""


def uris(hers: Secrets) -> list[str]:
    """Return the addresses of Alice's resources, made from the templates, and of what could be one."""
    parts = {
        "name": [hers.channel, "general"],
        "key": [quote(hers.key, safe=""), hers.key],
        "instance_id": [hers.coder, hers.bound],
    }
    made = []
    for template in resources.TEMPLATES:
        names = [name for name in parts if f"{{{name}}}" in template.uri_template]
        assert "{" not in template.uri_template.format(**dict.fromkeys(names, "")), template
        filled = (dict(zip(names, each, strict=True)) for each in itertools.product(*(parts[name] for name in names)))
        made += [template.uri_template.format(**each) for each in filled]
    return [
        "crosswire://channels",
        f"crosswire://{hers.text}",
        f"crosswire://channels/{hers.channel}/../general",
        *made,
    ]


def methods(hers: Secrets) -> dict[str, list[dict[str, Any]]]:
    """Return what a stranger would ask with each method. A new method needs its line here."""
    takes_tasks: dict[str, Any] = {"_meta": {CLIENT_CAPABILITIES_META_KEY: {"extensions": {tasks.EXTENSION: {}}}}}
    task = {"taskId": f"{hers.text}-token", **takes_tasks}
    return {
        "tasks/get": [task],
        "tasks/cancel": [task],
        "tasks/update": [{**task, "inputResponses": {}}],
        "ping": [{}],
        "server/discover": [{}],
        "prompts/list": [{}, {"cursor": hers.text}],
        "prompts/get": [{"name": "crosswire-protocol"}, {"name": hers.channel}],
        "resources/list": [{}, {"cursor": hers.text}],
        "resources/templates/list": [{}],
        "resources/read": [{"uri": uri} for uri in uris(hers)],
        "tools/list": [{}, {"cursor": hers.text}],
    }


def test_every_mcp_method_is_walked() -> None:
    assert set(server.build()._request_handlers) == set(methods(Secrets.new())) | set(ELSEWHERE)


@pytest.mark.parametrize("call", MCP, indirect=True)
def test_no_mcp_method_or_resource_tells_a_stranger_anything(call: Surface) -> None:
    def walk(hers: Secrets) -> Iterator[Step]:
        kinds: tuple[Kind, ...] = ("fresh", "full", "namesake")
        for kind in kinds:
            mallory = Mallory.make(kind, hers)
            for method, asked in methods(hers).items():
                for params in asked:
                    mallory.named |= {quote(hers.key, safe=""), hers.key, hers.channel, hers.text}
                    mallory.named |= {hers.coder, hers.bound}
                    answer = call.request(mallory.caller, method, params)
                    code = answer.code if isinstance(answer, Refusal) else ""
                    what = f"{kind} stranger on {call.name}: {method} {json.dumps(params)}"
                    yield Step(what, code, shown(answer, mallory), frozenset(mallory.named))

    assert not (found := list(findings(walk))), "\n\n".join(found[:5])


# --- paths ------------------------------------------------------------------------------------------------------

_VARYING = frozenset({"date", "x-request-id", "content-length", "set-cookie", "etag", "expires", "retry-after"})
_TOKEN = re.compile(r'(csrfmiddlewaretoken" value|nonce|csrfToken|csrf-token" content)(: |=)"[^"]+"', re.IGNORECASE)
_TIME = re.compile(r"<time [^>]*>[^<]*</time>")  # when the status page looked
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
BESIDE_THE_URL_CONF = ("/mcp", "/mcp/", "/health", "/api", "/metrics", "/static/css/site.css", "/sse", "/messages")
"""Paths that are answered before Django or nowhere."""


def in_path(hers: Secrets) -> dict[str, list[str]]:
    """Return what a stranger would put into each variable part of a path. A new part needs its line here."""
    return {
        "app_label": ["accounts", "bus"],
        "channel": [hers.channel, "general"],
        "content_type_id": ["1"],
        "export_id": ["1"],
        "id": [str(hers.base + 1)],
        "instance_id": [hers.coder],
        "invite": ["1"],
        "key": [hers.key],
        "member": ["1"],
        "name": [hers.channel],
        "number": [str(hers.base + 1)],
        "object_id": ["1", str(hers.base + 1)],
        "pk": ["1"],
        "prefix": [f"cw_{hers.text}"],
        "token": [hers.text],
        "url": [f"bus/message/{hers.base + 1}"],
        "workspace": [f"{hers.text}slug"],
    }


def patterns(resolver: URLResolver, prefix: str = "/") -> Iterator[tuple[str, URLPattern]]:
    """Return every path of the URL conf and what is behind it."""
    for each in resolver.url_patterns:
        route = prefix + str(each.pattern).removeprefix("^").removesuffix("$")
        if isinstance(each, URLResolver):
            yield from patterns(each, route)
        else:
            yield route, each


_VARIABLE = re.compile(r"<\w+:(\w+)>")
"""A variable part of a path, those of what it is included under among them."""


def paths(hers: Secrets) -> list[str]:
    """Return every path there is, its variable parts filled with what is Alice's."""
    known = in_path(hers)
    found = list(BESIDE_THE_URL_CONF)
    for route, pattern in patterns(get_resolver()):
        names = _VARIABLE.findall(route) or list(getattr(pattern.pattern, "regex").groupindex)  # noqa: B009 - every kind of pattern has it
        missing = sorted(set(names) - set(known))
        assert not missing, f"What would a stranger put into {missing} of {route}? Say so in in_path()."
        base = route.split("(?P")[0].split("<")[0] if not _VARIABLE.search(route) else route
        filled = (dict(zip(names, each, strict=True)) for each in itertools.product(*(known[name] for name in names)))
        found += [_filled(route, base, each) for each in filled]
    return list(dict.fromkeys(found))


def _filled(route: str, base: str, values: dict[str, str]) -> str:
    if "(?P" in route:  # the admin's regular expressions: one part, at the end
        return base + quote("/".join(values.values())) + ("/" if route.endswith("/") else "")
    for name, value in values.items():
        start = route.index("<")
        end = route.index(">", start)
        assert route[start:end].endswith(name)
        route = route[:start] + quote(value) + route[end + 1 :]
    return route


@pytest.fixture
def _however_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two walks over all paths come from one address, at any pace: no limit is met, and nothing late, in one alone."""
    monkeypatch.setattr(status, "BEAT_LATE", timedelta(days=1))
    monkeypatch.setattr(settings, "ACCOUNT_RATE_LIMITS", False)
    monkeypatch.setattr(settings, "MFA_RATE_LIMITS", False, raising=False)


@pytest.mark.usefixtures("_however_often")
@pytest.mark.parametrize(
    ("server_url", "credential"),
    [("lane_url", "key"), ("drf_url", "key"), ("lane_url", "session"), ("lane_url", "none")],
)
def test_no_path_tells_a_stranger_anything(request: pytest.FixtureRequest, server_url: str, credential: str) -> None:
    url = request.getfixturevalue(server_url)

    def walk(hers: Secrets) -> Iterator[Step]:
        mallory = Mallory.make("fresh", hers)
        mallory.named |= {word for values in in_path(hers).values() for word in values} | {quote(hers.key)}
        headers = {"Accept": "text/html, application/json;q=0.5"}
        if credential == "key":
            headers |= mallory.caller.headers
        if credential == "session":
            token = "t" * 32
            cookies = {settings.SESSION_COOKIE_NAME: mallory.session(), settings.CSRF_COOKIE_NAME: token}
            headers |= {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()), "X-CSRFToken": token}
        with loopback.Client(base_url=url, headers=headers, timeout=60) as client:
            for path in paths(hers):
                for method in METHODS:
                    answer = client.request(method, path)
                    told = {name: value for name, value in answer.headers.items() if name not in _VARYING}
                    text = _TIME.sub("TIME", f"{answer.status_code} {json.dumps(told)} {answer.text}")
                    text = _TOKEN.sub("TOKEN", text)
                    what = f"{credential}: {method} {path}"
                    yield Step(what, "", without_what_varies(text, mallory), frozenset(mallory.named))

    assert not (found := list(findings(walk))), "\n\n".join(found[:5])
