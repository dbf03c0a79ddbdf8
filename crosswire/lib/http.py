"""HTTP below Django: what the ASGI surfaces share. Keys, bodies, answers, origins."""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Awaitable, Callable, Coroutine, Iterable, MutableMapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlsplit

import orjson
from django.conf import settings

from crosswire.lib.env import is_loopback
from crosswire.lib.errors import CrossWireError, invalid

type Scope = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
type Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
type App = Callable[[Scope, Receive, Send], Awaitable[None]]
type HeaderList = list[tuple[bytes, bytes]]

MOST_QUERY_FIELDS = 50
MOST_STRUCTURE_BYTES = 10_000
"""Of a JSON body beside its strings; no call needs a tenth of it."""
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_WITH_PORT = re.compile(r"([\d.]+):\d+|\[([\da-fA-F:.]+)\](?::\d+)?")
SECURITY_HEADERS: HeaderList = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]


def header(scope: Scope, name: bytes) -> str:
    """Return a request header, "" when it is not there."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def media_type(scope: Scope) -> str:
    """Return what a request's body is, without parameters such as the charset."""
    return header(scope, b"content-type").partition(";")[0].strip().lower()


def refuse_oversized(scope: Scope) -> CrossWireError | None:
    """Return why a request's address or headers are more than anybody needs, None when they are not."""
    if len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"]) > settings.MAX_ADDRESS_BYTES:
        most = settings.MAX_ADDRESS_BYTES
        return CrossWireError("address_too_long", f"The address is longer than {most:,} bytes.", limit=most)
    headers = scope["headers"]
    if len(headers) > settings.MAX_HEADERS:
        most = settings.MAX_HEADERS
        return CrossWireError("headers_too_large", f"There are more than {most} headers.", limit=most)
    if sum(len(name) + len(value) for name, value in headers) > settings.MAX_HEADER_BYTES:
        most = settings.MAX_HEADER_BYTES
        return CrossWireError("headers_too_large", f"The headers are larger than {most:,} bytes.", limit=most)
    return None


def client_address(scope: Scope) -> str:
    """Return the address a request comes from, past the proxies in TRUSTED_PROXIES; of IPv6 the network (/64)."""
    address = client_ip(scope)
    if address is None:
        return "unknown"
    return str(address if address.version == 4 else ipaddress.ip_network((address, 64), strict=False))


def client_ip(scope: Scope) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the whole address a request comes from, None when it is not known.

    Proxies append to `X-Forwarded-For`, so it is read from its end, and only as far as trusted ones wrote it.
    """
    peer = scope.get("client")
    address = _ip(peer[0]) if peer else None
    lines = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    hops = [_ip(hop) for hop in ",".join(lines).split(",")]  # a proxy may add a line of its own
    while hops and (address is None or any(address in network for network in settings.TRUSTED_PROXIES)):
        if not settings.TRUSTED_PROXIES or (hop := hops.pop()) is None:
            break
        address = hop
    return address


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    text = text.strip()
    if with_port := _WITH_PORT.fullmatch(text):
        text = with_port[1] or with_port[2]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def take_key(scope: Scope) -> tuple[str, Scope]:
    """Return the key of a request ("" for none) and the request without it in its query string.

    In this order: `Authorization: Bearer`, `X-API-Key`, `X-Auth-Token`, `?api_key=`.
    """
    authorization = header(scope, b"authorization")
    scheme, _, credentials = authorization.partition(" ")
    key = credentials.strip() if scheme.lower() == "bearer" else ""
    key = key or header(scope, b"x-api-key").strip() or header(scope, b"x-auth-token").strip()
    if b"api_key" not in scope["query_string"]:
        return key, scope
    fields: list[bytes] = scope["query_string"].split(b"&")  # as they came: what is not ours is not written anew
    mine = [value for name, _, value in (field.partition(b"=") for field in fields) if name == b"api_key"]
    rest = b"&".join(field for field in fields if field.partition(b"=")[0] != b"api_key")
    return key or next((unquote_plus(value.decode("latin-1")) for value in mine), ""), {**scope, "query_string": rest}


def with_plain_query(scope: Scope) -> Scope:
    """Return a request whose query string is ASCII as addresses are: what was typed raw is percent-encoded."""
    raw: bytes = scope["query_string"]
    if raw.isascii():
        return scope
    encoded = "".join(chr(byte) if byte < 128 else f"%{byte:02X}" for byte in raw)
    return {**scope, "query_string": encoded.encode("ascii")}


def with_trimmed_headers(scope: Scope) -> Scope:
    """Return a request without the blanks around header values, which belong to none (RFC 9110, 5.5).

    Daphne drops them; uvicorn leaves those at the end.
    """
    return {**scope, "headers": [(name, value.strip(b" \t")) for name, value in scope["headers"]]}


def query(scope: Scope) -> dict[str, str]:
    """Return the query string's fields; a blank one is as good as left out.

    Raises: CrossWireError `invalid_input` for too many fields or what is no UTF-8.
    """
    raw = scope["query_string"]
    if not raw:
        return {}
    try:
        pairs = parse_qsl(
            raw.decode("ascii"), keep_blank_values=False, max_num_fields=MOST_QUERY_FIELDS, errors="strict"
        )
    except ValueError:
        raise invalid("The query string must be URL-encoded UTF-8 with at most 50 fields.") from None
    return dict(pairs)


async def read_body(scope: Scope, receive: Receive, most: int) -> bytes:
    """Return a request's body; one that is announced as too large is not read at all.

    Raises: CrossWireError `too_large`; ConnectionError when the client hung up.
    """
    announced = header(scope, b"content-length")
    if announced.isdecimal() and int(announced) > most:
        raise too_large(most)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("the client hung up")
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            raise too_large(most)
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


def too_large(most: int) -> CrossWireError:
    """Return the refusal for a body of more than so many bytes."""
    return CrossWireError("too_large", f"The body is larger than {most:,} bytes.", limit=most)


async def unless_hung_up[T](work: Coroutine[Any, Any, T], receive: Receive) -> T:
    """Do the work of a request whose body was read; end it when the client hangs up.

    Raises: ConnectionError when it did.
    """
    working, gone = asyncio.ensure_future(work), asyncio.ensure_future(_hung_up(receive))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if gone.done():
            raise ConnectionError("the client hung up")
        return working.result()
    finally:
        for task in (working, gone):
            task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await working


async def has_left(receive: Receive) -> bool:
    """Return whether the client of a request whose body was read, or that has none, is known to have hung up."""
    gone = asyncio.ensure_future(_hung_up(receive))
    for _ in range(3):  # what the server knows is there at once; nothing is waited for
        await asyncio.sleep(0)
    if gone.done():
        return True
    gone.cancel()
    return False


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def load_json(body: bytes) -> Any:
    """Return a JSON document. Raises: orjson.JSONDecodeError; CrossWireError `invalid_input` for too much structure,
    which would cost far more than its bytes."""
    if body.count(b"[") + body.count(b"{") > settings.MAX_JSON_DEPTH:
        _refuse_structure(body)
    return orjson.loads(body)


def _refuse_structure(body: bytes) -> None:
    """Raises: CrossWireError `invalid_input` when a document without its strings is much or deep."""
    is_much = body.count(b'"') - body.count(b'\\"') > MOST_STRUCTURE_BYTES
    structure = b"" if is_much else _STRING.sub(b"", body)
    if is_much or len(structure) > MOST_STRUCTURE_BYTES:
        raise invalid("The JSON holds too many values or is nested too deeply; long text goes into one string.")
    depth = deepest = 0
    for sign in structure:
        depth += (sign in b"[{") - (sign in b"]}")
        deepest = max(deepest, depth)
    if deepest > settings.MAX_JSON_DEPTH:
        raise invalid(f"The JSON is nested more than {settings.MAX_JSON_DEPTH} levels deep.")


def json_object(body: bytes) -> dict[str, Any]:
    """Return a body that is a JSON object. Raises: CrossWireError `invalid_input`."""
    try:
        value = load_json(body or b"{}")
    except orjson.JSONDecodeError:
        raise invalid("The body is not valid JSON in UTF-8.") from None
    if not isinstance(value, dict):
        raise invalid("The body must be a JSON object.")
    return value


async def reply_json(send: Send, status: int, value: Any, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    """Answer with JSON."""
    body = orjson.dumps(value)
    head = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *SECURITY_HEADERS,
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


async def reply_page(send: Send, status: int, page: str, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    """Answer with a page that nothing but its own site is a part of."""
    body = page.encode()
    head = [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"content-security-policy", b"default-src 'self'; frame-ancestors 'none'"),
        *SECURITY_HEADERS,
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


async def reply_refusal(send: Send, refusal: CrossWireError, headers: HeaderList | None = None) -> None:
    """Answer with a refusal in the product's error shape."""
    await reply_json(send, refusal.status, refusal.as_dict(), [*refusal_headers(refusal), *(headers or [])])


def refusal_headers(refusal: CrossWireError) -> HeaderList:
    """Return what a refusal says in headers: RFC 9110 Retry-After, RFC 6750 WWW-Authenticate."""
    headers: HeaderList = []
    if refusal.retry_after is not None:
        headers.append((b"retry-after", str(refusal.retry_after).encode()))
    if refusal.status == 401:
        headers.append((b"www-authenticate", refusal.challenge.encode()))
    return headers


def is_allowed_host(host: str) -> bool:
    """Return whether a Host header names this installation; the port does not matter."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    return name.lower() in settings.ALLOWED_HOSTS or "*" in settings.ALLOWED_HOSTS


def is_allowed_origin(origin: str) -> bool:
    """Return whether a browser page of that origin may call us: our own, a configured one, on defaults a local one."""
    if origin == settings.PUBLIC_URL or origin in settings.CORS_ORIGINS or "*" in settings.CORS_ORIGINS:
        return True
    try:
        return not settings.IS_PRODUCTION and is_loopback(urlsplit(origin).hostname or "")
    except ValueError:
        return False


def cors_headers(origin: str) -> HeaderList:
    """Return what lets an allowed origin's page read the answer. Keys go in a header, so no cookies are allowed."""
    return [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-expose-headers", b"mcp-session-id, www-authenticate, retry-after, x-request-id"),
        (b"vary", b"origin"),
    ]


PREFLIGHT_HEADERS: HeaderList = [
    (b"access-control-allow-methods", b"GET, POST, DELETE, OPTIONS"),
    (
        b"access-control-allow-headers",
        (
            b"authorization, content-type, accept, x-api-key, x-auth-token, mcp-protocol-version, mcp-session-id, "
            b"mcp-method, mcp-name, last-event-id"
        ),
    ),
    (b"access-control-max-age", b"600"),
    (b"content-length", b"0"),
]


class Exchange:
    """A request on its way through somebody else's code; notices a client that left before its answer was complete.

    `body`: what was read of the request already. The answer gets our security headers beside its own.
    `before_last` is called when the last part of the answer is about to go out.
    """

    def __init__(
        self, body: bytes, receive: Receive, send: Send, before_last: Callable[[], None] = lambda: None
    ) -> None:
        self._body: bytes | None = body
        self._receive, self._send = receive, send
        self._before_last = before_last
        self._has_begun = asyncio.Event()
        self._is_complete = False
        self.is_broken = False

    async def receive(self) -> Any:
        """Return the body, then whatever comes after it."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        return await self.after_body()

    async def receive_late(self) -> Any:
        """As `receive`, but that the client left is told only once the answer has begun: what was begun is done."""
        message = await self.receive()
        if message["type"] == "http.disconnect":
            await self._has_begun.wait()
        return message

    async def after_body(self) -> Any:
        """Return what comes after the body: that the client left."""
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self._is_complete:
            self.is_broken = True
        return message

    async def send(self, message: Any) -> None:
        """Pass a part of the answer on."""
        if message["type"] == "http.response.start":
            self._has_begun.set()
            message = {**message, "headers": [*message.get("headers", []), *_headers_beside(message)]}
        is_last = message["type"] == "http.response.body" and not message.get("more_body")
        if is_last:
            self._before_last()
        await self._send(message)
        self._is_complete = self._is_complete or is_last


def _headers_beside(message: Any) -> HeaderList:
    present = {name.lower() for name, _ in message.get("headers", [])}
    return [(name, value) for name, value in SECURITY_HEADERS if name not in present]
