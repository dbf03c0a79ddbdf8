"""One way to call an operation over each surface by real HTTP, so that one test speaks for all of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal, get_args
from urllib.parse import quote, urlencode

import httpx2
from mcp_types import CLIENT_CAPABILITIES_META_KEY, CLIENT_INFO_META_KEY, PROTOCOL_VERSION_META_KEY

from tests.support import loopback
from tests.support.cast import Credential

type SurfaceName = Literal["mcp-2026-07-28", "mcp-2025-11-25", "lane", "drf"]

SURFACES: tuple[SurfaceName, ...] = get_args(SurfaceName.__value__)
REST: tuple[SurfaceName, ...] = ("lane", "drf")
MCP: tuple[SurfaceName, ...] = ("mcp-2026-07-28", "mcp-2025-11-25")
CLIENT = {"name": "crosswire-tests", "version": "1"}
_ANSWER_SECONDS = 60.0
_JSON = {"Content-Type": "application/json"}


class Result(dict[str, Any]):
    """The structured data of an answer. `text` is the text part (None on REST), `status` the HTTP status.

    `raw` is the whole JSON answer (on MCP the JSON-RPC result), `notifications` what came before it on MCP.
    """

    def __init__(
        self,
        data: Mapping[str, Any],
        *,
        raw: Mapping[str, Any],
        response: httpx2.Response,
        text: str | None = None,
        notifications: list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(data)
        self.text = text
        self.raw = dict(raw)
        self.status = response.status_code
        self.headers = response.headers
        self.notifications = notifications or []

    @property
    def data(self) -> dict[str, Any]:
        """The structured data as the surface sent it."""
        return dict(self)


@dataclass(frozen=True)
class Refusal:
    """A no. `status` and `headers` are HTTP's; a tool's refusal on MCP has no status of its own: None."""

    code: str
    message: str
    details: dict[str, Any]
    status: int | None
    headers: httpx2.Headers
    raw: dict[str, Any] = field(repr=False)


class Surface:
    """One surface of one server. `surface(caller, "send_message", content="x", …)` never raises for a refusal.

    `caller` None sends no key. Use it from several threads at will; `start` calls in the background.
    """

    def __init__(self, name: SurfaceName, url: str) -> None:
        self.name = name
        self.url = url
        self._http = loopback.Client(
            base_url=url,
            timeout=_ANSWER_SECONDS,
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=50),
        )
        self._threads = ThreadPoolExecutor(64, thread_name_prefix="caller")
        self._ids = count(1)

    @property
    def is_mcp(self) -> bool:
        """Whether the operations are MCP tools here."""
        return self.name in MCP

    def __call__(self, caller: Credential | None, operation: str, /, **arguments: Any) -> Result | Refusal:
        """Perform an operation. Raises: LookupError when this surface has no such operation."""
        return self._tool(caller, operation, arguments) if self.is_mcp else self._rest(caller, operation, arguments)

    def ok(self, caller: Credential | None, operation: str, /, **arguments: Any) -> Result:
        """Perform an operation that has to succeed."""
        answer = self(caller, operation, **arguments)
        assert isinstance(answer, Result), f"{operation} on {self.name} was refused: {answer}"
        return answer

    def refused(self, caller: Credential | None, operation: str, code: str = "", /, **arguments: Any) -> Refusal:
        """Perform an operation that has to be refused, with this code if one is given."""
        answer = self(caller, operation, **arguments)
        assert isinstance(answer, Refusal), f"{operation} on {self.name} was not refused: {answer}"
        assert not code or answer.code == code, f"{operation} on {self.name} was refused otherwise: {answer}"
        return answer

    def start(self, caller: Credential | None, operation: str, /, **arguments: Any) -> Future[Result | Refusal]:
        """Begin an operation in another thread, such as a wait; ask the future with `.result(timeout=…)`."""
        return self._threads.submit(self, caller, operation, **arguments)

    def close(self) -> None:
        """End idle connections and threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._http.close()

    # --- MCP: one JSON-RPC request in one POST, as a stateless client sends it --------------------------------------

    def request(
        self, caller: Credential | None, method: str, params: Mapping[str, Any] | None = None
    ) -> Result | Refusal:
        """Send any MCP request; the data is the JSON-RPC result."""
        answer, response, notifications = self._post_rpc(caller, method, dict(params or {}))
        if "jsonrpc" not in answer:  # refused before any JSON-RPC was read
            return _http_refusal(answer, response)
        if "error" in answer:
            return _rpc_refusal(answer, response)
        return Result(answer["result"], raw=answer["result"], response=response, notifications=notifications)

    def _tool(self, caller: Credential | None, tool: str, arguments: Mapping[str, Any]) -> Result | Refusal:
        if not _is_tool(tool):
            raise LookupError(f"{tool} is no MCP tool.")
        answer = self.request(caller, "tools/call", {"name": tool, "arguments": dict(arguments)})
        if isinstance(answer, Refusal):
            return answer
        text = "\n".join(part["text"] for part in answer.get("content", ()) if part["type"] == "text")
        if answer.get("isError"):
            return _tool_refusal(answer, text)
        answer.text = text
        structured = answer.raw.get("structuredContent", {})
        answer.clear()
        answer.update(structured)
        return answer

    def _post_rpc(
        self, caller: Credential | None, method: str, params: dict[str, Any]
    ) -> tuple[dict[str, Any], httpx2.Response, list[dict[str, Any]]]:
        version = self.name.removeprefix("mcp-")
        headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": version}
        if version >= "2026":
            params["_meta"] = _envelope(version) | params.get("_meta", {})
            headers |= {"Mcp-Method": method} | _name_header(params)
        body = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        response = self._http.post("/mcp", content=_body(body), headers=headers | _JSON | _key(caller))
        messages = _messages(response)
        answers = [message for message in messages if message.get("id") == body["id"]]
        others = [message for message in messages if "method" in message]
        return (answers or messages or [{}])[-1], response, others

    # --- REST: the operations table says where --------------------------------------------------------------------

    def _rest(self, caller: Credential | None, name: str, arguments: Mapping[str, Any]) -> Result | Refusal:
        method, path, rest = rest_request(name, arguments)
        if method == "POST":
            response = self._http.post(f"/api{path}", content=_body(rest), headers=_JSON | _key(caller))
        else:
            query = urlencode(_query(rest), errors="surrogatepass")
            response = self._http.request(method, f"/api{path}{query and '?'}{query}", headers=_key(caller))
        body = _json(response)
        return Result(body, raw=body, response=response) if response.is_success else _http_refusal(body, response)


def _is_tool(name: str) -> bool:
    """Whether MCP offers an operation. Names of no operation may be tried: that is for the server to refuse."""
    from bus.operations import OPERATIONS  # noqa: PLC0415 - the harness is of use without the bus

    return name not in OPERATIONS or OPERATIONS[name].is_tool


def rest_request(name: str, arguments: Mapping[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """Return method, path under /api and the remaining parameters, by their REST names, of an operation.

    Raises: LookupError when it has no REST call or an argument that its path needs is missing.
    """
    from bus.operations import OPERATIONS  # noqa: PLC0415 - as above

    operation = OPERATIONS[name]
    if operation.http is None:
        raise LookupError(f"{name} has no REST call of its own.")
    rest_names = {argument: rest for rest, argument in operation.http.aliases.items()}
    left = {rest_names.get(argument, argument): value for argument, value in arguments.items()}
    segments = operation.http.path.split("/")
    for position, segment in enumerate(segments):
        if segment.startswith("{"):
            segments[position] = _segment(str(_taken(left, segment.strip("{}"), name)))
    return operation.http.method, "/".join(segments), left


def _segment(value: str) -> str:
    """Write a value into a path as it is: not even `..` may be taken for a way up."""
    return value.replace(".", "%2E") if value in {".", ".."} else quote(value, safe="", errors="surrogatepass")


def _taken(left: dict[str, Any], placeholder: str, name: str) -> Any:
    """Take out what the path needs; a channel may be left out as on MCP."""
    if placeholder not in left and placeholder == "channel":
        return "general"
    if placeholder not in left:
        raise LookupError(f"{name} needs {placeholder} in its path on REST.")
    return left.pop(placeholder)


def _body(value: Mapping[str, Any]) -> bytes:
    """Write JSON in ASCII: whatever Python can say goes out, lone surrogates and NaN too."""
    return json.dumps(value).encode()


def _query(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Write values the way a query string has them; None means left out."""
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in parameters.items()
        if value is not None
    }


def _key(caller: Credential | None) -> dict[str, str]:
    return caller.headers if caller else {}


def _envelope(version: str) -> dict[str, Any]:
    """What every request of protocol 2026-07-28 says about its client, for there is no handshake."""
    return {
        PROTOCOL_VERSION_META_KEY: version,
        CLIENT_INFO_META_KEY: CLIENT,
        CLIENT_CAPABILITIES_META_KEY: {},
    }


def _name_header(params: Mapping[str, Any]) -> dict[str, str]:
    name = params.get("name") or params.get("uri")
    return {"Mcp-Name": str(name)} if name else {}


def _messages(response: httpx2.Response) -> list[dict[str, Any]]:
    """Return the JSON messages of an answer, which is one JSON object or a stream of events."""
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        return [_json(response)]
    events = response.text.replace("\r\n", "\n").split("\n\n")
    data = ["\n".join(line[5:].lstrip() for line in event.split("\n") if line.startswith("data:")) for event in events]
    return [json.loads(text) for text in data if text]


def _json(response: httpx2.Response) -> dict[str, Any]:
    """Return the JSON object of an answer; what is none is shown as a refusal without a code."""
    try:
        body = response.json()
    except ValueError:
        body = None
    return body if isinstance(body, dict) else {"error": response.text[:500], "code": f"http:{response.status_code}"}


def refusal_in(body: dict[str, Any]) -> dict[str, Any]:
    """Return the refusal in the body of a refused request: all of it, or what JSON-RPC wraps into its error."""
    error = body.get("error")
    data = error.get("data") if isinstance(error, dict) else None
    return data if isinstance(data, dict) and "code" in data else body


def _http_refusal(body: dict[str, Any], response: httpx2.Response) -> Refusal:
    details = {name: value for name, value in body.items() if name not in ("error", "code")}
    code = str(body.get("code", f"http:{response.status_code}"))
    return Refusal(code, str(body.get("error", "")), details, response.status_code, response.headers, body)


def _rpc_refusal(answer: dict[str, Any], response: httpx2.Response) -> Refusal:
    error = answer["error"]
    if response.is_error and (door := refusal_in(answer)) is not answer:
        return _http_refusal(door, response)
    details = error["data"] if isinstance(error.get("data"), dict) else {"data": error.get("data")}
    code = f"jsonrpc:{error['code']}"
    return Refusal(code, error["message"], details, response.status_code, response.headers, answer)


def _tool_refusal(answer: Result, text: str) -> Refusal:
    shown = answer.raw.get("_meta", {}).get("crosswire/error", {})
    details = {name: value for name, value in shown.items() if name not in ("error", "code")}
    return Refusal(str(shown.get("code", "no code")), text, details, None, answer.headers, answer.raw)
