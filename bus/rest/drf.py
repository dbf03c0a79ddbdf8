"""DRF over the operations table: what people browse and extend, and what serves whatever the lane does not know."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from django.urls import URLPattern, path
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from accounts import rates
from accounts.principals import Principal
from bus import callers
from bus.operations import EVENTS, OPERATIONS, Operation
from bus.rest import formats, lane
from crosswire.lib import http
from crosswire.lib.errors import CrossWireError


class OperationView(APIView):
    """One path of the REST interface and the operations that its methods are."""

    operations: Mapping[str, Operation] = {}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse a call without a key that works; an address that goes on with such calls as `rate_limited`."""
        super().initial(request, *args, **kwargs)
        if request.auth is None:
            rates.count_stranger(http.client_address(request.scope))  # type: ignore[attr-defined]  # ASGI's, not WSGI's
            raise formats.refusal_of(request)
        rates.count_operation(request.auth)  # type: ignore[arg-type]  # DRF types its own token here

    def run(self, request: Request, **in_path: str) -> Response:
        """Answer one call."""
        operation = self.operations["GET" if request.method == "HEAD" else request.method or ""]
        assert operation.http is not None
        principal: Principal = request.auth  # type: ignore[assignment]  # DRF types its own token here
        if request.method == "POST":
            source: Any = request.data  # an object: the parser refuses anything else
        else:
            scope = {"query_string": request.META.get("QUERY_STRING", "").encode("latin-1"), "headers": []}
            source = http.query(http.take_key(scope)[1])
        return Response(operation(principal, lane.arguments(operation.http, source, in_path)))

    @property
    def default_response_headers(self) -> dict[str, str]:
        """Return what DRF sends with every answer, and that nobody keeps a copy of it."""
        return {**super().default_response_headers, "Cache-Control": "no-store"}

    def get_view_name(self) -> str:
        """Return the heading of the browsable page."""
        return next(iter(self.operations.values())).title

    def get_view_description(self, html: bool = False) -> str:
        """Return what the operations of this path do and what they take."""
        return "\n\n".join(_described(method, operation) for method, operation in self.operations.items())


def _described(method: str, operation: Operation) -> str:
    """Return an operation's text and its arguments: `name` needed, `name=default` not."""
    assert operation.http is not None
    model = operation.http.params or operation.params
    names = {argument: name for name, argument in operation.http.aliases.items()}
    told = [
        names.get(name, name) if field.is_required() or name == operation.instance else f"{name}={field.default!r}"
        for name, field in model.model_fields.items()
    ]
    return f"{method}: {operation.description} Takes: {', '.join(told) or 'nothing'}."


class RootView(APIView):
    """Where to start browsing: the calls that need no argument, and every path there is. It asks for no key."""

    authentication_classes = ()

    def get(self, request: Request) -> Response:
        """List the operations."""
        shown = {"api_key": key} if (key := request.query_params.get("api_key")) else {}  # or the links lead to 401
        links = {
            name: reverse(name, request=request, query=shown)
            for name, operation in OPERATIONS.items()
            if operation.http and operation.http.method == "GET" and "{" not in operation.http.path
        }
        paths = {
            f"{operation.http.method} {lane.PREFIX}{operation.http.path}": operation.description
            for operation in (*OPERATIONS.values(), EVENTS)
            if operation.http
        }
        return Response({"browse": links, "operations": paths})

    def get_view_name(self) -> str:
        """Return the heading of the browsable page."""
        return "CrossWire API"


def exception_handler(problem: Exception, context: Mapping[str, Any]) -> Response:
    """Turn whatever a view raised into the product's error shape."""
    refusal = problem if isinstance(problem, CrossWireError) else _translated(problem)
    response = Response(refusal.as_dict(), status=refusal.status)
    for name, value in http.refusal_headers(refusal):
        response[name.decode()] = value.decode()
    if isinstance(problem, exceptions.MethodNotAllowed):
        response["Allow"] = ", ".join(context["view"].allowed_methods)
    return response


def _translated(problem: Exception) -> CrossWireError:
    if isinstance(problem, exceptions.UnsupportedMediaType):
        return CrossWireError("unsupported_media_type", "Send application/json.")
    if isinstance(problem, exceptions.NotAcceptable):
        return CrossWireError("not_acceptable", "Answers are application/json (or text/html for a browser).")
    if isinstance(problem, exceptions.MethodNotAllowed):
        return CrossWireError("method_not_allowed", "This path does not take that method.")
    if isinstance(problem, exceptions.APIException):
        return CrossWireError("invalid_input", "The request could not be read.")
    return callers.unexpected("drf", problem)


def urlpatterns() -> list[URLPattern]:
    """Return the REST paths, made from the table; the lane's order, so the same path finds the same operation."""
    by_path: dict[str, dict[str, Operation]] = defaultdict(dict)
    for operation in OPERATIONS.values():
        if operation.http is not None:
            by_path[operation.http.path][operation.http.method] = operation
    patterns = [path("", RootView.as_view(), name="api-root")]
    for at, operations in by_path.items():
        route = re.sub(
            r"{(\w+)}", lambda name: f"<{'path' if name[1] in lane.WITH_SLASHES else 'str'}:{name[1]}>", at[1:]
        )
        methods = {method.lower(): OperationView.run for method in operations}
        names = [*methods, "options"]
        if "GET" in operations and operations["GET"].instance is None:
            names.append("head")  # elsewhere a read is remembered, and nothing is shown by a HEAD
        view: type[OperationView] = type(
            "OperationView", (OperationView,), {"operations": operations, "http_method_names": names, **methods}
        )
        first = operations.get("GET") or next(iter(operations.values()))
        patterns.append(path(route, view.as_view(), name=first.name))
    return patterns
