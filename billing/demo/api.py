"""The API: a request comes in, an answer in Stripe's shape goes out."""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from billing.demo import (
    billing_routes,
    catalog,
    checkout,
    customers,
    endpoints,
    lifecycle,
    payments,
    portal,
    schedules,
    subscription_routes,
)
from billing.demo.errors import ApiError, invalid, unauthorized
from billing.demo.expanding import expand
from billing.demo.forms import checked, listed, nested, text
from billing.demo.routes import Route
from billing.demo.world import API_VERSION, Cause, Object, World, new_id

ROUTES: list[Route] = [
    *catalog.ROUTES,
    *customers.ROUTES,
    *checkout.ROUTES,
    *portal.ROUTES,
    *subscription_routes.ROUTES,
    *schedules.ROUTES,
    *payments.ROUTES,
    *billing_routes.ROUTES,
    *endpoints.ROUTES,
]
EXPAND = {"expand": listed(text)}
MOST_KEY_CHARACTERS = 255

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """A request as it came; header names in lower case."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass
class Answer:
    """What goes out."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def answer(world: World, request: Request) -> Answer:
    """Answer one request of the API."""
    request_id = new_id("req", 14)
    key = request.headers.get("idempotency-key", "") if request.method == "POST" else ""
    headers = {"request-id": request_id, "stripe-version": API_VERSION, "content-type": "application/json"}
    try:
        if outage := _outage(world, headers):
            return outage
        _authorize(world, request)
        headers |= {"idempotency-key": key} if key else {}
        return _answer(world, request, Cause(request_id, key or None), headers)
    except ApiError as refusal:
        return _refused(refusal, headers)
    except Exception:
        logger.exception("demo_payments_broke")
        return _refused(ApiError(500, "api_error", "An unknown error occurred."), headers)


def _refused(refusal: ApiError, headers: dict[str, str]) -> Answer:
    error = {**refusal.error}
    if code := error.get("code"):
        error["doc_url"] = f"https://stripe.com/docs/error-codes/{str(code).replace('_', '-')}"
    return Answer(refusal.status, orjson.dumps({"error": error}), headers)


def _outage(world: World, headers: dict[str, str]) -> Answer | None:
    """Return the refusal of the outage that was asked for, None when there is none."""
    outage = world.data["modes"]["outage"]
    if outage == "500":
        return _refused(ApiError(500, "api_error", "An unknown error occurred (the demo plays an outage)."), headers)
    if outage == "429":
        refusal = ApiError(429, "invalid_request_error", "Request rate limit exceeded.", code="rate_limit")
        return _refused(refusal, {**headers, "retry-after": "1"})
    return None


def _authorize(world: World, request: Request) -> None:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(given).decode().partition(":")[0]
        except ValueError:
            given = ""
    given = given.strip()
    if not _is_same(given, world.data["key"]):
        raise unauthorized(given)
    version = request.headers.get("stripe-version", API_VERSION)
    if version != API_VERSION:
        raise invalid(f"Invalid Stripe API version: {version}. Demo payments speak {API_VERSION} alone.")


def _is_same(given: str, expected: str) -> bool:
    return hashlib.sha256(given.encode()).digest() == hashlib.sha256(expected.encode()).digest()


def _answer(world: World, request: Request, cause: Cause, headers: dict[str, str]) -> Answer:
    route, identifiers = _route(request)
    body = request.body.decode("utf-8", "replace")
    raw = body if request.method == "POST" else "&".join(filter(None, (request.query, body)))
    fingerprint = hashlib.sha256(f"{request.method} {request.path}\n{raw}".encode()).hexdigest()
    with world.lock:
        catch_up(world)
        if before := _repeated(world, cause, fingerprint):
            return Answer(before["status"], before["body"].encode(), {**headers, "idempotent-replayed": "true"})
        try:
            with world.transaction(cause):
                done = Answer(200, _do(world, route, identifiers, nested(raw)), headers)
                _remember(world, cause, done, fingerprint)
        except ApiError as refusal:
            done = _refused(refusal, headers)
            if refusal.status == 402:
                with world.transaction():
                    _remember(world, cause, done, fingerprint)
        return done


def catch_up(world: World) -> None:
    """Do what the clock made due, in a change of its own."""
    with world.lock:
        if lifecycle.is_due(world):
            with world.transaction():
                lifecycle.catch_up(world)


def _route(request: Request) -> tuple[Route, tuple[str, ...]]:
    for route in ROUTES:
        if route.method == request.method and (found := route.pattern.fullmatch(request.path)):
            return route, found.groups()
    raise ApiError(
        404,
        "invalid_request_error",
        f"Unrecognized request URL ({request.method}: {request.path}).",
        code="url_invalid",
    )


def _repeated(world: World, cause: Cause, fingerprint: str) -> Object | None:
    """Return the answer that was given for this key. Raises: ApiError when it was for another request."""
    key = cause.idempotency_key
    if key is None:
        return None
    if len(key) > MOST_KEY_CHARACTERS:
        raise invalid("Idempotency keys can have up to 255 characters.")
    before: Object | None = world.data["answers"].get(key)
    if before and before["request"] != fingerprint:
        raise ApiError(
            400,
            "idempotency_error",
            "Keys for idempotent requests can only be used with the same parameters they were first used with. Try "
            f"using a key other than '{key}' if you meant to execute a different request.",
        )
    return before


def _do(world: World, route: Route, identifiers: tuple[str, ...], raw: Object) -> bytes:
    given = checked({**route.spec, **EXPAND}, raw)
    wanted = given.pop("expand", [])
    found = route.answer(world, given, *identifiers)
    shown = found if found.get("object") == "list" else world.public(found)
    return orjson.dumps(expand(world, shown, wanted))


def _remember(world: World, cause: Cause, done: Answer, fingerprint: str) -> None:
    """Keep an answer for its idempotency key. A request that could not begin leaves none."""
    if cause.idempotency_key:
        world.data["answers"][cause.idempotency_key] = {
            "at": world.now(),
            "request": fingerprint,
            "status": done.status,
            "body": done.body.decode(),
        }
        world.touch()
